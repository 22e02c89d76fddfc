package secret

import (
	"fmt"
	"io/fs"
	"os"
)

// Keep says in which file a person should keep a secret.
const Keep = "a file that only you may read"

// open follows links: whoever may make one on Windows is an administrator, or was let.
func open(path string) (*os.File, error) { return os.Open(path) }

// alone does not know who may read a file: Windows keeps no mode, and an access list
// says it only together with groups of this machine and of its domain. The page of the
// fleet tells people so.
func alone(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", path)
	}
	return nil
}
