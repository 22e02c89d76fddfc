package host

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// offspring is what a command has started, also in sessions of its own and when the
// parent is gone: it is known by its descent and by a variable of its environment.
// What has neither, since it put both away or another service started it, is not found.
type offspring struct {
	mark  string // KEY=value in the environment of the command
	known map[int]*os.Process
}

// LeftError names processes that a command had started and that could not be ended.
type LeftError struct{ Processes []int }

func (e *LeftError) Error() string {
	return fmt.Sprintf("what it had started could not be ended: processes %v", e.Processes)
}

func newOffspring() *offspring {
	return &offspring{mark: "LIFEBOAT_CALL=" + rand.Text(), known: map[int]*os.Process{}}
}

// look finds those that live now. Their descent is seen only while parents live.
func (o *offspring) look(root int) {
	parent := map[int]int{}
	var marked []int
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil || pid == os.Getpid() {
			continue
		}
		stat, err := os.ReadFile(name + "/stat")
		if err != nil {
			continue // gone
		}
		// pid (name) state parent, and the name may hold anything
		if _, rest, ok := strings.Cut(string(stat[max(0, bytes.LastIndexByte(stat, ')')):]), ") "); ok {
			if fields := strings.Fields(rest); len(fields) > 1 && fields[0] != "Z" {
				parent[pid], _ = strconv.Atoi(fields[1])
			}
		}
		if env, err := os.ReadFile(name + "/environ"); err == nil && slices.Contains(strings.Split(string(env), "\x00"), o.mark) {
			marked = append(marked, pid)
		}
	}
	for pid := range parent {
		for at, steps := pid, 0; at > 1 && steps < len(parent); at, steps = parent[at], steps+1 {
			if at == root {
				marked = append(marked, pid)
				break
			}
		}
	}
	for _, pid := range marked {
		if _, ok := o.known[pid]; ok || pid == root {
			continue
		}
		// The handle stays that process, also when its number is given out again.
		if p, err := os.FindProcess(pid); err == nil {
			o.known[pid] = p
		}
	}
}

// signal sends a signal to all that are known, and forgets those that are gone.
func (o *offspring) signal(s syscall.Signal) {
	for pid, p := range o.known {
		if p.Signal(s) != nil || ended(pid) {
			delete(o.known, pid)
		}
	}
}

// ended tells whether a process is gone but for being waited for.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") Z "))
}

// kill ends all, also what is started meanwhile, and returns those that live on.
func (o *offspring) kill(root int) []int {
	for range 1500 {
		o.look(root)
		if o.signal(syscall.SIGKILL); len(o.known) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	var left []int
	for pid := range o.known {
		left = append(left, pid)
	}
	slices.Sort(left)
	return left
}
