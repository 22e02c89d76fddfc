package scratch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dataDir is the option by which a database server, and what fills its data
// directory, is told where the data lie: https://mariadb.com/kb/en/server-system-variables/#datadir
const dataDir = "--datadir="

// endWait is how long a killed process may take to be gone.
const endWait = time.Minute

// end kills the database servers whose data lie in a directory, and waits until
// they are gone. The name of a program says nothing: a server belongs to the
// directory if it was given a data directory in it, and sees the same directory
// there.
func end(dir string) error {
	deadline := time.Now().Add(endWait)
	for {
		left, err := servers(dir)
		if err != nil || len(left) == 0 {
			return err
		}
		for _, pid := range left {
			// From here on the process is held, and another of its number is not hit.
			p, err := os.FindProcess(pid)
			if err != nil {
				continue
			}
			if uses(pid, dir) {
				_ = p.Signal(syscall.SIGKILL)
			}
			_ = p.Release()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the database servers %v still run on it", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// servers lists the processes that use a data directory below dir.
func servers(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for database servers: %w", err)
	}
	var found []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && uses(pid, dir) {
			found = append(found, pid)
		}
	}
	return found, nil
}

func uses(pid int, dir string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil || !bytes.Contains(line, []byte(dataDir)) {
		return false
	}
	for arg := range strings.SplitSeq(string(line), "\x00") {
		data, ok := strings.CutPrefix(arg, dataDir)
		if !ok || !strings.HasPrefix(filepath.Clean(data), dir+"/") {
			continue
		}
		here, err := os.Stat(dir)
		if err != nil {
			return false
		}
		there, err := os.Stat(filepath.Join(proc, "root", dir))
		return err == nil && os.SameFile(here, there)
	}
	return false
}
