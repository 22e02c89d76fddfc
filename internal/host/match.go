package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Match lists the machine's paths that fit a pattern as path.Match reads it, in the
// order of their bytes. Only the last part of the pattern has wildcards, and they do
// not match hidden names. A directory that is missing holds nothing.
func (h *Host) Match(pattern string) ([]string, error) {
	dir, last := path.Split(pattern)
	place, err := h.Path(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", pattern, err)
	}
	var found []string
	for _, e := range entries {
		fits, err := path.Match(last, e.Name())
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", pattern, err)
		}
		if fits && !strings.HasPrefix(e.Name(), ".") {
			found = append(found, path.Join(dir, e.Name()))
		}
	}
	return found, nil
}
