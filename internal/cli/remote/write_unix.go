//go:build unix

package remote

import "github.com/google/renameio/v2"

// writePublic writes a file that everybody may read, or replaces one, at once.
func writePublic(name string, data []byte) error {
	return renameio.WriteFile(name, data, 0o644, renameio.IgnoreUmask())
}
