package bundle

import (
	"archive/tar"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/klauspost/compress/zstd"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/rescue/configuration"
)

// Expected is what a bundle has to be.
type Expected struct {
	Keys    []ed25519.PublicKey
	Now     time.Time
	Arch    string
	Applied int64 // the version of the newest that was applied; 0 is none
}

// Reader reads one bundle, front to back. Not for several goroutines.
type Reader struct {
	Manifest *Manifest
	from     *heard
	zstd     *zstd.Decoder
	tar      *tar.Reader
}

// skew is how far clocks may differ.
const skew = 10 * time.Minute

// Open reads and verifies the list. Nothing else of the stream has been looked at
// then. Close frees what reading takes.
func Open(from io.Reader, e Expected) (*Reader, error) {
	in := &heard{Reader: from}
	decoder, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("read the bundle: %w", err)
	}
	r := &Reader{from: in, zstd: decoder, tar: tar.NewReader(decoder)}
	if err := r.open(e); err != nil {
		decoder.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(e Expected) error {
	h, err := r.tar.Next()
	if err != nil {
		return r.stream(err)
	}
	if h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Size > MaxManifest {
		return fmt.Errorf("%w: it does not begin with its list", ErrContent)
	}
	envelope, err := io.ReadAll(r.tar)
	if err != nil {
		return r.stream(err)
	}
	payload, err := configuration.Payload(envelope, MaxManifest, PayloadType, e.Keys)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	m, err := parse(payload)
	if err != nil {
		return err
	}
	switch {
	case m.Arch != e.Arch:
		return fmt.Errorf("%w: %s, and this is %s", ErrArch, m.Arch, e.Arch)
	case m.Version < e.Applied:
		return fmt.Errorf("%w: version %d, and %d was applied", ErrOlder, m.Version, e.Applied)
	case e.Now.After(m.Expires.Add(skew)):
		return fmt.Errorf("%w: it expired at %s, and this machine's clock says %s", ErrExpired, m.Expires.UTC().Format(time.DateTime), e.Now.UTC().Format(time.DateTime))
	case m.Created.After(e.Now.Add(skew)):
		return fmt.Errorf("%w: it was made at %s, and this machine's clock says %s", ErrExpired, m.Created.UTC().Format(time.DateTime), e.Now.UTC().Format(time.DateTime))
	}
	r.Manifest = m
	return nil
}

// stream tells a stream that is no bundle from a network that fails.
func (r *Reader) stream(err error) error {
	if r.from.err != nil {
		return fmt.Errorf("read the bundle: %w", r.from.err)
	}
	return fmt.Errorf("%w: %w", ErrContent, err)
}

// heard remembers why reading has failed.
type heard struct {
	io.Reader
	err error
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err != nil && err != io.EOF {
		h.err = err
	}
	return n, err
}

// maxTrailer bounds what may follow the last file: zeros that fill a tar up.
const maxTrailer = 1 << 20

// Unpack writes the files that are wanted below a directory, which is empty, and
// verifies all. Before it returns nil nothing of them may be used. Files are for
// their owner alone.
func (r *Reader) Unpack(to *os.Root, want func(File) bool) error {
	for _, f := range r.Manifest.Files {
		h, err := r.tar.Next()
		if err != nil {
			return r.stream(err)
		}
		if h.Name != f.Path || h.Typeflag != tar.TypeReg || h.Size != f.Size {
			return fmt.Errorf("%w: %s should come, and %q of %d bytes did", ErrDiffers, f.Path, excerpt.Line(h.Name, 60), h.Size)
		}
		if err := r.file(to, f, want(f)); err != nil {
			return err
		}
	}
	if h, err := r.tar.Next(); err != io.EOF {
		if err == nil {
			return fmt.Errorf("%w: %q comes behind the last file", ErrDiffers, excerpt.Line(h.Name, 60))
		}
		return r.stream(err)
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(r.zstd, maxTrailer+1))
	if err != nil {
		return r.stream(err)
	}
	if rest > maxTrailer {
		return fmt.Errorf("%w: more comes behind the last file", ErrDiffers)
	}
	return nil
}

func (r *Reader) file(to *os.Root, f File, write bool) (err error) {
	sum := sha256.New()
	var into io.Writer = sum
	if write {
		if err := to.MkdirAll(path.Dir(f.Path), 0o700); err != nil {
			return fmt.Errorf("unpack %s: %w", f.Path, err)
		}
		mode := os.FileMode(0o600)
		if f.Exec {
			mode = 0o700
		}
		out, err := to.OpenFile(f.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", f.Path, err)
		}
		defer func() {
			if err == nil {
				err = out.Sync()
			}
			err = errors.Join(err, out.Close())
		}()
		into = io.MultiWriter(sum, out)
	}
	n, err := io.Copy(into, r.tar)
	var disk *fs.PathError
	if errors.As(err, &disk) {
		return fmt.Errorf("unpack %s: %w", f.Path, err)
	}
	if err != nil {
		return r.stream(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != f.Size || got != f.SHA256 {
		return fmt.Errorf("%w: %s is another file", ErrDiffers, f.Path)
	}
	return nil
}

// Close frees what reading takes.
func (r *Reader) Close() { r.zstd.Close() }
