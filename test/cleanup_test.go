package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// cleanUp destroys the labs that a story built below $LABS and fails the story
// when it left mounts or processes behind.
func cleanUp(env *testscript.Env) {
	tb, ok := env.T().(testing.TB)
	if !ok {
		panic("testscript no longer gives a testing.TB")
	}
	labs := env.Getenv("LABS")
	entries, err := os.ReadDir(labs)
	if err != nil && !os.IsNotExist(err) {
		tb.Errorf("look for labs: %v", err)
	}
	for _, entry := range entries {
		dir := filepath.Join(labs, entry.Name())
		if out, err := exec.Command(filepath.Join(programs, "lab"), "destroy", dir).CombinedOutput(); err != nil {
			tb.Errorf("lab destroy %s: %v\n%s", dir, err, out)
		}
	}
	for _, mount := range mountsBelow(tb, env.WorkDir) {
		tb.Errorf("%s is still mounted", mount)
	}
	for _, process := range processesIn(env.WorkDir) {
		tb.Errorf("still running: %s", process)
	}
}

func mountsBelow(tb testing.TB, dir string) []string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		tb.Errorf("read the mounts: %v", err)
		return nil
	}
	var mounts []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			mounts = append(mounts, fields[4])
		}
	}
	return mounts
}

// processesIn finds processes whose command line names the directory or that
// work in it.
func processesIn(dir string) []string {
	var found []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range processes {
		command, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		line := strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))
		cwd, _ := os.Readlink(filepath.Join(proc, "cwd")) // empty for a stranger's
		if strings.Contains(line, dir+"/") || strings.HasPrefix(cwd+"/", dir+"/") {
			found = append(found, filepath.Base(proc)+" "+line)
		}
	}
	return found
}
