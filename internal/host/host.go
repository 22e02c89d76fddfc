// Package host is the machine that Lifeboat acts on: its files, commands,
// users, services, packages and facts. It is either this machine or a target
// mounted below a root (a rescue system). Everything above reaches the machine
// only through this package, so that capture over another transport can be
// added later. No profile, component or repository knowledge may enter here.
package host

import (
	"fmt"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// Host is one machine. It holds no state besides its root and is safe for
// concurrent use.
type Host struct {
	root string
}

// Local returns this machine.
func Local() *Host { return &Host{root: "/"} }

// At returns the machine whose root file system is mounted at root, which must
// be absolute. Commands of such a host run with that root as theirs.
func At(root string) (*Host, error) {
	if !filepath.IsAbs(root) {
		return nil, fmt.Errorf("host root %q is not an absolute path", root)
	}
	return &Host{root: filepath.Clean(root)}, nil
}

// Root is the directory below which the machine's files stand; "/" for this
// machine.
func (h *Host) Root() string { return h.root }

// IsLocal tells whether the host is this machine.
func (h *Host) IsLocal() bool { return h.root == "/" }

// Path returns where the machine's absolute path stands for this process.
// Symbolic links of a mounted root are resolved inside that root and never
// lead out of it.
func (h *Host) Path(path string) (string, error) {
	if h.root == "/" {
		return filepath.Clean("/" + path), nil
	}
	p, err := securejoin.SecureJoin(h.root, path)
	if err != nil {
		return "", fmt.Errorf("resolve %s below %s: %w", path, h.root, err)
	}
	return p, nil
}

// Entry returns where the directory entry at the machine's absolute path
// stands for this process: symbolic links of its parents are resolved, also of
// parents that are missing in part, and the entry itself is not followed.
func (h *Host) Entry(path string) (string, error) {
	path = filepath.Clean("/" + path)
	if path == "/" {
		return h.root, nil
	}
	dir, err := securejoin.SecureJoin(h.root, filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("resolve %s below %s: %w", filepath.Dir(path), h.root, err)
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}
