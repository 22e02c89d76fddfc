package wayback

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/runbook"
)

// A database server that works in a mounted root keeps it from being saved and from
// going back.
func TestARootInUseStaysAsItIs(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	state := filepath.Join(root, "var/lib/lifeboat")
	put(t, root+"/var/lib/mysql/ibdata1", "rows")
	put(t, state+"/journal", "")
	target := Target{Root: root, State: state}
	must(t, still(target))
	held := func(path string, flag int) func() {
		f, err := os.OpenFile(path, flag, 0)
		must(t, err)
		cmd := exec.Command("sleep", "1000")
		cmd.Stdin = f
		must(t, cmd.Start())
		must(t, f.Close())
		return func() { _ = errors.Join(cmd.Process.Kill(), cmd.Wait()) }
	}
	// Readers and journals are in nobody's way.
	defer held(root+"/var/lib/mysql/ibdata1", os.O_RDONLY)()
	defer held(state+"/journal", os.O_RDWR)()
	must(t, still(target))
	end := held(root+"/var/lib/mysql/ibdata1", os.O_RDWR)
	defer end()
	err := still(target)
	if !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), "(sleep) has "+root+"/var/lib/mysql/ibdata1 open for writing") {
		t.Errorf("%v", err)
	}
}
