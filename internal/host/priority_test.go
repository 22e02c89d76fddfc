package host

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestPriority changes the priority of a process of its own, this program again.
func TestPriority(t *testing.T) {
	if os.Getenv("TEST_PRIORITY") != "" {
		if err := LowerPriority(7, "idle"); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", "-c", "nice; ionice").Output()
		t.Logf("lowered %s %v", strings.Join(strings.Fields(string(out)), " "), err)
		UsualPriority()
		out, err = exec.Command("sh", "-c", "nice; ionice").Output()
		t.Logf("usual %s %v", strings.Join(strings.Fields(string(out)), " "), err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: raises a priority again")
	}
	out, err := exec.Command("nice").Output()
	if err != nil || strings.TrimSpace(string(out)) != "0" {
		t.Skip("needs the usual priority: compares with it")
	}
	self := exec.Command(os.Args[0], "-test.run", "^TestPriority$", "-test.v")
	self.Env = append(os.Environ(), "TEST_PRIORITY=yes")
	text, err := self.CombinedOutput()
	if err != nil || !strings.Contains(string(text), "lowered 7 idle <nil>") || !strings.Contains(string(text), "usual 0 ") || strings.Contains(string(text), "usual 0 idle") {
		t.Errorf("%v\n%s", err, text)
	}
}
