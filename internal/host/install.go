package host

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// HasSystemd tells whether systemd is installed. It need not be running.
func (h *Host) HasSystemd() bool {
	return h.Exists("/usr/lib/systemd/systemd") || h.Exists("/lib/systemd/systemd")
}

// Exists tells whether there is something at a path, links being followed.
func (h *Host) Exists(path string) bool { return h.exists(path) }

// InstallFile puts a file that others must be able to read in place, with its
// directories. A file that is right already is not touched.
func (h *Host) InstallFile(path, text string, mode fs.FileMode) error {
	p, err := h.Path(path)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(p); err == nil && bytes.Equal(have, []byte(text)) {
		return os.Chmod(p, mode)
	}
	if err := directory(filepath.Dir(p)); err != nil {
		return err
	}
	return renameio.WriteFile(p, []byte(text), mode, renameio.IgnoreUmask())
}

// InstallLink makes the symbolic link path with an absolute target on the machine.
func (h *Host) InstallLink(target, path string) error {
	// Only the directory is resolved: the link itself may lead anywhere.
	dir, err := h.Path(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := directory(dir); err != nil {
		return err
	}
	p := filepath.Join(dir, filepath.Base(path))
	if have, err := os.Readlink(p); err == nil && have == target {
		return nil
	}
	return renameio.Symlink(target, p)
}

// directory makes a missing directory readable for all, whatever the umask.
func directory(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}
