package mysqld

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// An administrator's TMPDIR below a directory for root alone is not taken.
func TestTemporaryDirectoryIsReachable(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", closed)
	for want, who := range map[string]*runAs{
		"/var/tmp": {name: "other", credential: &syscall.Credential{Uid: 12345, Gid: 12345}}, closed: {},
	} {
		if who.credential != nil && os.Geteuid() != 0 {
			continue // only root starts servers as somebody else
		}
		d, err := who.private()
		if err != nil {
			t.Fatal(err)
		}
		if got := filepath.Dir(filepath.Dir(d.Path())); got != want {
			t.Errorf("account %q gets %s", who.name, got)
		}
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	}
}
