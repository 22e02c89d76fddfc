package gaps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/files"
)

// places are where configuration is, and where administrators keep things (hier(7),
// the Filesystem Hierarchy Standard). Homes, and what programs write below /var, are
// no configuration.
var places = []string{etc, "/usr/local", "/opt", "/srv", "/root", "/var/spool/cron"}

// maxEntries bounds how much of a place is looked through.
const maxEntries = 200_000

var errCut = errors.New("more entries than are looked through")

// file is one that no recovery point would hold.
type file struct {
	at   string
	size int64
}

// unowned finds what no package knows in a place. The highest directory of which
// nothing is known or covered is one gap; what is ignored there makes no difference.
func (s *search) unowned(ctx context.Context, place string) error {
	var list []file
	mixed := map[string]bool{place: true}
	seen := 0
	mix := func(at string) {
		for ; !mixed[at] && at != "/"; at = path.Dir(at) {
			mixed[at] = true
		}
	}
	devices := map[uint64]bool{} // whether files there are of this machine
	err := files.Walk(ctx, s.Host, place, files.Filter{}, func(at string, info fs.FileInfo, real string) error {
		if seen++; seen > maxEntries {
			return errCut
		}
		_, owned := s.known[at]
		skip := s.covered(at) || s.rules.ignores(at) || info.IsDir() && !local(devices, info, real, at == place)
		switch {
		case s.covered(at):
			mix(path.Dir(at))
		case skip:
		case owned && info.IsDir():
			mix(at)
		case owned:
			mix(path.Dir(at))
		case info.IsDir(), info.Size() == 0: // there is nothing to save
		case info.Mode().IsRegular(), info.Mode()&fs.ModeSymlink != 0:
			list = append(list, file{at, info.Size()})
		}
		if skip && info.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if errors.Is(err, fs.ErrPermission) && place != etc {
		err = nil // who is not root does not see all
	}
	if err == nil || errors.Is(err, errCut) {
		s.group(list, mixed)
	}
	return err
}

// local tells whether a directory is on a file system of this machine, as a place itself
// counts: one of another machine may be without end, and is backed up there.
func local(devices map[uint64]bool, info fs.FileInfo, real string, place bool) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	here, known := devices[st.Dev]
	if !known && place {
		here, devices[st.Dev] = true, true
	} else if !known {
		var about unix.Statfs_t
		err := unix.Statfs(real, &about)
		here = err == nil && !slices.Contains(remote, int64(about.Type))
		devices[st.Dev] = here
	}
	return here
}

// remote are the file systems of other machines, by their numbers (statfs(2)).
var remote = []int64{unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AUTOFS_SUPER_MAGIC}

// group makes gaps of files: of several in a directory of which nothing is held one.
func (s *search) group(list []file, mixed map[string]bool) {
	groups := map[string]int{}
	for _, f := range list {
		at := f.at
		for dir := path.Dir(at); !mixed[dir]; dir = path.Dir(dir) {
			at = dir
		}
		i, there := groups[at]
		if !there {
			i = len(s.gaps)
			groups[at] = i
			s.gaps = append(s.gaps, Gap{Path: f.at, Kind: Unowned})
		} else {
			s.gaps[i].Path = at
		}
		// A directory is worth what the best in it is.
		if why := s.rules.values(f.at); why != "" && s.gaps[i].Why == "" {
			s.gaps[i].Why = why + ": " + f.at
		}
		s.gaps[i].Files++
		s.gaps[i].Bytes += f.size
	}
}

// sizeOf is the size of a file on the machine; 0 where it is not there.
func (s *search) sizeOf(at string) int64 {
	real, err := s.Host.Entry(at)
	if err != nil {
		return 0
	}
	info, err := os.Lstat(real)
	if err != nil {
		return 0
	}
	return info.Size()
}
