//go:build unix

package secret

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Keep says in which file a person should keep a secret.
const Keep = "a file of mode 600"

func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

func alone(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others than its owner may use %s, which holds a secret (chmod 600 %s; and if others are on this machine, the secret counts as known)", path, path)
	}
	return nil
}
