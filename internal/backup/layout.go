package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// layOut copies what was found to where it stood on the lost machine. Both paths
// and links come from what was saved: nothing is written through a link.
func (i *Import) layOut(ctx context.Context, from, root string) error {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	for _, f := range i.Found.Files {
		source := filepath.Join(from, filepath.Clean("/"+f.From))
		at := path.Clean("/" + f.Path)
		above := at
		if f.Dir {
			source += "/."
		} else {
			above = path.Dir(at)
		}
		if err := makeAbove(root, above); err != nil {
			return err
		}
		if err := host.Local().Run(ctx, host.Command{Args: []string{"cp", "-a", "--remove-destination", "--", source, filepath.Join(root, at)}}); err != nil {
			return fmt.Errorf("copy %s: %w", f.From, err)
		}
	}
	return nil
}

// makeAbove makes the directories from root to dir that are missing. They are in
// the point as they are here, and stock restic gives what the point says to those
// that it finds: nobody may be locked out of /etc.
func makeAbove(root, dir string) error {
	if dir == "/" {
		return nil
	}
	if err := makeAbove(root, path.Dir(dir)); err != nil {
		return err
	}
	at := filepath.Join(root, dir)
	err := os.Mkdir(at, 0o755)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Lstat(at)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s must be a directory, and what was saved has a link or a file there", dir)
		}
		return err
	}
	if err == nil {
		err = os.Chmod(at, 0o755) // whatever the umask
	}
	return err
}

// accounts is a machine whose accounts name the owners of the files: those that
// the saved file itself tells, or those of this machine, where whoever copied the
// files here sees them.
func (i *Import) accounts() (*host.Host, error) {
	if i.Found.Users == nil && i.Found.Groups == nil {
		return host.Local(), nil
	}
	etc := filepath.Join(i.dir, "accounts", "etc")
	if err := os.MkdirAll(etc, 0o700); err != nil {
		return nil, err
	}
	for _, file := range []struct {
		name, rest string
		names      map[uint32]string
	}{{"passwd", "0::/:", i.Found.Users}, {"group", "", i.Found.Groups}} {
		var text strings.Builder
		for _, id := range slices.Sorted(maps.Keys(file.names)) {
			name := file.names[id]
			if name == "" || strings.ContainsAny(name, ":\n") {
				return nil, fmt.Errorf("%q is no name of an account", name)
			}
			fmt.Fprintf(&text, "%s:x:%d:%s\n", name, id, file.rest)
		}
		if err := os.WriteFile(filepath.Join(etc, file.name), []byte(text.String()), 0o600); err != nil {
			return nil, err
		}
	}
	return host.At(filepath.Join(i.dir, "accounts"))
}
