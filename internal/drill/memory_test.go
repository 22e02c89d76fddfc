package drill

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lifeboat/internal/runbook"
)

func TestMemoryLimit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a control group")
	}
	id := filepath.Base(t.TempDir()) + strconv.Itoa(os.Getpid())
	g, err := limitMemory(id, 64<<20)
	if errors.Is(err, runbook.ErrRefused) {
		t.Skip("needs a control group for memory that can be written")
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.add(cmd.Process.Pid); err != nil {
		t.Error(err)
	}
	inside, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil || strings.TrimSpace(string(inside)) != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("%q, %v", inside, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := removeGroups(id); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(g.dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the group is still there")
	}
	if err := removeGroups(id); err != nil {
		t.Error("again:", err)
	}
}
