package bundle

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"lifeboat/internal/rescue/configuration"
)

// Make lists the files of a directory, which is laid out as a bundle is. Symbolic
// links and whatever else is no file are refused, with their names.
func Make(dir *os.Root, version int64, arch string, now time.Time, valid time.Duration) (*Manifest, error) {
	m := &Manifest{Format: Format, Version: version, Created: now.UTC().Truncate(time.Second), Expires: now.Add(valid).UTC().Truncate(time.Second), Arch: arch}
	err := fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%w: %s is no plain file", ErrContent, name)
		}
		if err := PathAllowed(name); err != nil {
			return err
		}
		f := File{Path: name, Exec: name == Program || strings.HasPrefix(name, "tools/")}
		in, err := dir.Open(name)
		if err != nil {
			return err
		}
		defer in.Close()
		sum := sha256.New()
		if f.Size, err = io.Copy(sum, in); err != nil {
			return err
		}
		f.SHA256 = hex.EncodeToString(sum.Sum(nil))
		m.Files = append(m.Files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the files of the bundle: %w", err)
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return m, m.check()
}

// Write signs the list and writes the stream. A file that has changed since it was
// listed is an error.
func (m *Manifest) Write(to io.Writer, dir *os.Root, with *configuration.Signer) (err error) {
	payload, err := json.Marshal(m)
	if err != nil {
		return err
	}
	envelope, err := with.Envelope(PayloadType, payload)
	if err != nil {
		return err
	}
	if len(envelope) > MaxManifest {
		return fmt.Errorf("%w: its list has more than %d bytes", ErrContent, MaxManifest)
	}
	encoder, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return err
	}
	out := tar.NewWriter(encoder)
	defer func() {
		err = errors.Join(err, encoder.Close())
	}()
	entry := func(name string, size int64, mode int64, from io.Reader) error {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: mode, ModTime: m.Created, Format: tar.FormatPAX}
		if err := out.WriteHeader(h); err != nil {
			return fmt.Errorf("write %s into the bundle: %w", name, err)
		}
		if _, err := io.Copy(out, from); err != nil {
			return fmt.Errorf("write %s into the bundle: %w", name, err)
		}
		return nil
	}
	if err := entry(manifestName, int64(len(envelope)), 0o600, strings.NewReader(string(envelope))); err != nil {
		return err
	}
	for _, f := range m.Files {
		in, err := dir.Open(f.Path)
		if err != nil {
			return err
		}
		sum := sha256.New()
		mode := int64(0o600)
		if f.Exec {
			mode = 0o700
		}
		err = errors.Join(entry(f.Path, f.Size, mode, io.TeeReader(in, sum)), in.Close())
		if err == nil && hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
			err = fmt.Errorf("%s has changed while the bundle was made", f.Path)
		}
		if err != nil {
			return err
		}
	}
	return out.Close()
}
