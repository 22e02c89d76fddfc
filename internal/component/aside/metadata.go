package aside

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"
)

// metadata is what a file or directory carries besides its content.
type metadata struct {
	Mode  uint32            `json:"mode"` // permission, set-id and sticky bits
	UID   uint32            `json:"uid"`
	GID   uint32            `json:"gid"`
	Mtime time.Time         `json:"mtime"`
	Attrs map[string][]byte `json:"attrs,omitempty"` // extended attributes, ACLs among them
}

// CopyFile copies a regular file with its metadata to a name that is not there.
func CopyFile(from, to string) error {
	m, err := metadataOf(from)
	if err != nil {
		return err
	}
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return m.apply(to)
}

// metadataOf reads the metadata of a file or directory.
func metadataOf(dir string) (*metadata, error) {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return nil, fmt.Errorf("look at %s: %w", dir, err)
	}
	m := &metadata{Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Mtime: time.Unix(st.Mtim.Unix())}
	names, err := xattr.LList(dir)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return nil, fmt.Errorf("look at %s: %w", dir, err)
	}
	for _, n := range names {
		value, err := xattr.LGet(dir, n)
		if errors.Is(err, xattr.ENOATTR) || errors.Is(err, unix.ENOTSUP) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", dir, err)
		}
		if m.Attrs == nil {
			m.Attrs = map[string][]byte{}
		}
		m.Attrs[n] = value
	}
	return m, nil
}

// apply gives a file or directory this metadata. Setting the mode comes last, because
// a change of owner clears bits; with it goes the mask of an ACL.
func (m *metadata) apply(dir string) error {
	now, err := metadataOf(dir)
	if err != nil {
		return err
	}
	if now.UID != m.UID || now.GID != m.GID {
		if err := os.Lchown(dir, int(m.UID), int(m.GID)); err != nil {
			return err
		}
	}
	for n, value := range m.Attrs {
		if have, ok := now.Attrs[n]; ok && slices.Equal(have, value) {
			continue
		}
		if err := xattr.LSet(dir, n, value); err != nil {
			return err
		}
	}
	for n := range now.Attrs {
		if _, keep := m.Attrs[n]; !keep {
			if err := xattr.LRemove(dir, n); err != nil && !errors.Is(err, xattr.ENOATTR) {
				return err
			}
		}
	}
	if err := unix.Chmod(dir, m.Mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: dir, Err: err}
	}
	return m.applyTime(dir)
}

// applyTime sets the modification time only.
func (m *metadata) applyTime(dir string) error {
	t, err := unix.TimeToTimespec(m.Mtime)
	if err != nil {
		return err
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, t}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: dir, Err: err}
	}
	return nil
}
