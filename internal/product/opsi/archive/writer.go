package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
)

// Writer writes an archive that opsi-backup verifies and restores. Calls must not
// run in parallel. A Writer that has returned an error is of no use any more.
type Writer struct {
	t    *tar.Writer
	pack io.WriteCloser // nil without compression
	sums bytes.Buffer
	// names are those that were written, with the sums of files: opsi-backup looks
	// members up by name.
	names map[string]*digest
}

// ErrUnfit says that opsi-backup cannot read a member of that name: its list of
// checksums is UTF-8, one name a line.
var ErrUnfit = errors.New("opsi-backup cannot read such a name")

// NewWriter begins an archive on w.
func NewWriter(w io.Writer, c Compression) (*Writer, error) {
	a := &Writer{names: map[string]*digest{}}
	switch c {
	case Bzip2:
		a.pack = newBzipWriter(w)
	case Gzip:
		a.pack = gzip.NewWriter(w)
	case None:
	default:
		_, err := ParseCompression(string(c))
		return nil, err
	}
	if a.pack != nil {
		w = a.pack
	}
	a.t = tar.NewWriter(w)
	return a, nil
}

// Add writes one member: its Part, Backend and Path say what it is called, its
// owners' names count and not their numbers. The content of a regular file is r,
// exactly m.Size bytes.
// ErrUnfit leaves the archive as it was.
func (a *Writer) Add(m Member, r io.Reader) error {
	name := nameOf(m.Part, m.Backend, m.Path)
	if err := a.add(name, m, r); err != nil {
		return fmt.Errorf("write %s: %w", quote(name), err)
	}
	return nil
}

func (a *Writer) add(name string, m Member, r io.Reader) error {
	// opsi-backup strips white space from the ends of the names in its list.
	if !utf8.ValidString(name) || strings.ContainsAny(name, "\n\r") || strings.TrimSpace(name) != name {
		return ErrUnfit
	}
	if _, err := cleanName(name, DefaultLimits.Depth); err != nil {
		return errors.Join(ErrUnfit, err)
	}
	if part, _, _, known, _ := place(name); !known || part != m.Part {
		return ErrUnfit
	}
	if _, twice := a.names[name]; twice {
		return errors.New("a member of that name was written already")
	}
	h := &tar.Header{
		Name: name, Mode: int64(m.Mode.Perm()), ModTime: m.ModTime, Format: tar.FormatPAX,
		Uid: int(m.UID), Gid: int(m.GID), Uname: m.User, Gname: m.Group,
	}
	switch m.Type {
	case Regular:
		h.Typeflag, h.Size = tar.TypeReg, m.Size
	case Directory:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
		if m.Mode&fs.ModeSetgid != 0 {
			h.Mode |= 0o2000
		}
		if m.Mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
	case Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, m.Target
	case Hardlink:
		if a.names[m.Target] == nil {
			return fmt.Errorf("it is a hard link to %s, which was not written before it", quote(m.Target))
		}
		h.Typeflag, h.Linkname = tar.TypeLink, m.Target
	}
	if err := a.t.WriteHeader(h); err != nil {
		return err
	}
	a.names[name] = nil
	switch m.Type {
	case Directory, Symlink:
		return nil
	case Hardlink:
		a.names[name] = a.names[m.Target]
		writeSum(&a.sums, *a.names[name], name)
		return nil
	}
	sum := sha1.New() //nolint:gosec // the format's
	n, err := io.Copy(io.MultiWriter(sum, a.t), io.LimitReader(r, m.Size))
	if err != nil {
		return err
	}
	if n != m.Size {
		return fmt.Errorf("it has %d bytes and not %d: %w", n, m.Size, io.ErrUnexpectedEOF)
	}
	d := digest(sum.Sum(nil))
	a.names[name] = &d
	writeSum(&a.sums, d, name)
	return nil
}

// Close writes the members below CONTROL and ends the archive. What w writes to
// is the caller's to close.
func (a *Writer) Close(info Info) error {
	for _, c := range []struct {
		name string
		data []byte
	}{{sumsName, a.sums.Bytes()}, {infoName, info.format()}} {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: c.name, Mode: 0o644, Size: int64(len(c.data)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := a.t.WriteHeader(h); err != nil {
			return fmt.Errorf("write %s: %w", c.name, err)
		}
		if _, err := a.t.Write(c.data); err != nil {
			return fmt.Errorf("write %s: %w", c.name, err)
		}
	}
	err := a.t.Close()
	if a.pack != nil {
		err = errors.Join(err, a.pack.Close())
	}
	if err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return nil
}

// Abort ends the writing of an archive that is given up.
func (a *Writer) Abort() {
	if a.pack != nil {
		_ = a.pack.Close()
	}
}

// FileName is a name as opsi-backup generates it; what of it is not known is left
// out.
func FileName(info Info, c Compression, when time.Time) string {
	var parts []string
	for _, p := range []string{info.Hostname, info.OpsiVersion} {
		if p != "" && !strings.ContainsAny(p, "/_ ") && printable(p) {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "opsi")
	}
	parts = append(parts, when.Format("2006-01-02_15-04-05.000000"))
	return strings.Join(parts, "_") + ".tar" + c.Suffix()
}
