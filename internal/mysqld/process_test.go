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
	other := &runAs{credential: &syscall.Credential{Uid: 12345}}
	if got := other.temporary(); got != "/var/tmp" {
		t.Errorf("another account gets %s", got)
	}
	if got := (&runAs{}).temporary(); got != closed {
		t.Errorf("the present user gets %s", got)
	}
}
