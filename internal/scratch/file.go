package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// hidden is how files are called that get their name when they are whole.
const hidden = ".lifeboat-scratch-"

// File makes a file of mode 0600 beside the place where it will lie. It is this
// process's until it is closed; dead ones beside it are removed first. Where the
// file system knows no locks, dead ones stay.
func File(dir string) (*os.File, error) {
	sweepFiles(dir)
	for range 10 {
		f, err := os.CreateTemp(dir, hidden) // 0600
		if err != nil {
			return nil, err
		}
		err = hold(f)
		if !errors.Is(err, errTaken) && !errors.Is(err, os.ErrNotExist) {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("make a file: those in %s vanish", dir)
}

// sweepFiles is a courtesy: whoever wants to write is not kept from it.
func sweepFiles(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), hidden) || !e.Type().IsRegular() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, e.Name()), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		var info unix.Stat_t
		if unix.Fstat(int(f.Fd()), &info) == nil && int(info.Uid) == os.Geteuid() && hold(f) == nil {
			os.Remove(f.Name())
		}
		f.Close()
	}
}
