package recovery

import (
	"strings"
	"testing"

	"lifeboat/internal/product"
)

// The check after a rename does not say more than it knows.
func TestRenamedAll(t *testing.T) {
	opts := &RenameOptions{Part: "database"}
	for want, rest := range map[string]*product.Rename{
		"no place with the old one": {},
		"no place with the old one; what may be one is listed to look at by hand": {Left: []string{"a note"}},
		"2 places with the old one": {Changes: []string{"a"}, Removed: []string{"b"}},
	} {
		check := renamedAll(opts, rest)
		if check.OK != strings.HasPrefix(want, "no place") || check.Found != want {
			t.Errorf("%+v, want %q", check, want)
		}
	}
}
