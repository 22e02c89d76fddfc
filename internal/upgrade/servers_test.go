package upgrade

import (
	"testing"

	"lifeboat/internal/upgrade/wayback"
)

// A database that does not go back with the root is told from one that does.
func TestOutside(t *testing.T) {
	t.Parallel()
	fit := wayback.Fit{OK: true, Left: []wayback.Left{{Path: "/no/var/lib/mysql", Why: "a subvolume of its own"}, {Path: "/no/srv/*", Why: "left out"}, {Path: "/no/lost+found"}}}
	for dir, left := range map[string]string{
		"/no/var/lib/mysql/": "/no/var/lib/mysql", "/no/var/lib/mysql/data": "/no/var/lib/mysql", "/no/srv/db": "/no/srv/*",
		"/no/var/lib": "", "/no/var/lib/mysql2": "", "/no/var/lib/pgsql/data": "",
	} {
		got, ok := outside(dir, fit)
		if ok != (left != "") || got.Path != left {
			t.Errorf("%s: %v, %v", dir, got, ok)
		}
	}
}
