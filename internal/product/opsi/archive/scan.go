package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the format's
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// entry is one member of the stream as it comes by.
type entry struct {
	index   int
	header  *tar.Header
	content io.Reader
}

// each goes through the stream from its beginning to its end, past the end of the
// tar archive too, so that the compression's own sum is checked.
func (a *Archive) each(ctx context.Context, visit func(entry) error) error {
	if _, err := a.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, c, err := unpacked(ctx, a.file, a.limits)
	if err != nil {
		return err
	}
	a.Compression = c
	t := tar.NewReader(r)
	for i := 0; ; i++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !(errors.Is(err, tar.ErrInsecurePath) && h != nil) { // names are checked here
			if err := explain(err, i); i > 0 || c == None || !errors.Is(err, ErrForeign) {
				return err
			}
			if _, damage := io.Copy(io.Discard, r); damage != nil { // bzip2 tells it at the end of a block
				return damage
			}
			return explain(err, i)
		}
		if i >= a.limits.Members {
			return fmt.Errorf("it has more than %d entries: %w", a.limits.Members, ErrLimit)
		}
		if err := visit(entry{index: i, header: h, content: t}); err != nil {
			return explain(err, i+1)
		}
	}
	if err := explain(a.drain(r), 1); err != nil {
		return err
	}
	if r.packed != nil && r.packed.zeros {
		a.findings.remark(Stray, "", "zeros follow its packed stream, as of a tape or of dd; they are not looked at")
	}
	return nil
}

// explain says what an error of the tar reader means for the archive.
func explain(err error, index int) error {
	switch {
	case err == nil, errors.Is(err, ErrDamaged), errors.Is(err, ErrForeign):
		return err
	case index == 0 && (errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF)):
		return fmt.Errorf("it is no tar file: %w", ErrForeign)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("it is cut off: %w", ErrDamaged)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("entry %d: %w: %w", index, ErrDamaged, err)
	}
	return err
}

// drain reads what follows the archive in its stream: zeros, if anything.
func (a *Archive) drain(r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			a.findings.remark(Stray, "", "something follows the end of the archive in its stream; it is not looked at")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// scan reads everything once and keeps what it needs to know of it.
func (a *Archive) scan(ctx context.Context) error {
	var sums, info []byte
	err := a.each(ctx, func(e entry) error {
		m, err := a.look(e)
		a.entries = append(a.entries, m)
		if err != nil || m != nil {
			return err
		}
		switch e.header.Name {
		case sumsName:
			return takeControl(e, &sums, a.limits.Control)
		case infoName:
			return takeControl(e, &info, maxInfo)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case sums == nil || info == nil:
		if len(a.Members) > 0 {
			return fmt.Errorf("%s or %s is missing, which stand at its end: %w", sumsName, infoName, ErrDamaged)
		}
		return fmt.Errorf("neither %s nor anything below %s is in it: %w", infoName, content, ErrForeign)
	}
	a.sums = parseChecksums(sums)
	var remarks []string
	a.Info, remarks = parseInfo(info)
	for _, r := range remarks {
		a.findings.remark(System, infoName, r)
	}
	a.settle()
	return nil
}

func takeControl(e entry, into *[]byte, limit int64) error {
	switch {
	case e.header.Typeflag != tar.TypeReg:
		return fmt.Errorf("%s is no file: %w", e.header.Name, ErrHostile)
	case *into != nil:
		return fmt.Errorf("%s is in it twice: %w", e.header.Name, ErrHostile)
	case e.header.Size > limit:
		return fmt.Errorf("%s has more than %d bytes: %w", e.header.Name, limit, ErrLimit)
	}
	data, err := io.ReadAll(e.content)
	*into = append([]byte{}, data...)
	return err
}

// look checks one entry and reads its content. It returns nil for what is no
// member of any part.
func (a *Archive) look(e entry) (*Member, error) {
	h := e.header
	if h.Typeflag == tar.TypeXGlobalHeader {
		a.findings.remark(Stray, "", "the archive has a header for all members, which opsi-backup never writes; it is not applied")
		return nil, nil //nolint:nilnil // no member
	}
	name, err := cleanName(h.Name, a.limits.Depth)
	if err != nil {
		return nil, err
	}
	m := &Member{Name: name, raw: h.Name, index: e.index, ModTime: h.ModTime, Size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		m.Type = Regular
	case tar.TypeDir:
		m.Type, m.raw = Directory, strings.TrimRight(h.Name, "/")
	case tar.TypeSymlink:
		m.Type, m.Target = Symlink, h.Linkname
	case tar.TypeLink:
		m.Type = Hardlink
		if m.Target, err = cleanName(h.Linkname, a.limits.Depth); err != nil {
			return nil, fmt.Errorf("the hard link %s: %w", quote(h.Name), err)
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil, fmt.Errorf("%s is a device node or a pipe: %w", quote(h.Name), ErrHostile)
	default:
		return nil, fmt.Errorf("%s is of type %q: %w", quote(h.Name), h.Typeflag, ErrHostile)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return nil, fmt.Errorf("%s is a sparse file: %w", quote(h.Name), ErrHostile)
		}
	}
	if m.Type == Symlink && (m.Target == "" || len(m.Target) > maxName || strings.ContainsRune(m.Target, 0)) {
		return nil, fmt.Errorf("the symbolic link %s leads to %s: %w", quote(h.Name), quote(m.Target), ErrHostile)
	}
	if name == sumsName || name == infoName {
		h.Name = name
		return nil, nil //nolint:nilnil // read by the caller
	}
	var known, above bool
	m.Part, m.Backend, m.Path, known, above = place(name)
	if !known || strings.ContainsFunc(m.Backend, func(r rune) bool { return r < ' ' }) {
		a.out[m.raw] = true
		if !above || m.Type != Directory {
			a.findings.remark(Stray, name, "nothing of opsi-backup is called so; it is left out")
		}
		return nil, nil //nolint:nilnil // no member
	}
	if err := m.own(h); err != nil {
		return nil, fmt.Errorf("%s: %w", quote(name), err)
	}
	a.permit(m, h)
	if m.Type == Regular {
		if err := m.digest(e.content); err != nil {
			return nil, err
		}
	} else {
		m.Size = 0
	}
	a.Members = append(a.Members, m)
	return m, nil
}

// maxTime is the year 2514: what lies behind it, or before 1901, is no time.
const minTime, maxTime = -(1 << 31), 1 << 34

// permit takes mode and time. Nothing in an archive of configuration becomes a
// program that runs as its owner.
func (a *Archive) permit(m *Member, h *tar.Header) {
	mode := h.FileInfo().Mode()
	m.Mode = mode.Perm()
	if m.Type == Directory {
		m.Mode |= mode & (fs.ModeSetgid | fs.ModeSticky)
	} else if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		a.findings.remark(Owner, m.Name, "it would run as its owner (setuid or setgid); that permission is left out")
	}
	if s := m.ModTime.Unix(); s < minTime || s > maxTime {
		m.ModTime = time.Unix(0, 0)
		a.findings.remark(Stray, m.Name, "its time is none; 1970 is taken")
	}
}

// tailSize is how much of the end of a dump is kept, in bytes.
const tailSize = 512

// digest reads the content, of a dump with its end.
func (m *Member) digest(r io.Reader) error {
	sum := sha1.New() //nolint:gosec // the format's
	var w io.Writer = sum
	end := &tail{}
	if m.Part == Database {
		w = io.MultiWriter(sum, end)
	}
	n, err := io.Copy(w, r)
	if err != nil {
		return err
	}
	if n != m.Size {
		return io.ErrUnexpectedEOF
	}
	sum.Sum(m.sum[:0])
	m.tail = end.data
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ data []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p[max(0, len(p)-tailSize):]...)
	if over := len(t.data) - tailSize; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}
