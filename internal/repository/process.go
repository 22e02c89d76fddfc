package repository

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// ticks is the unit of process times in /proc, which Linux gives to programs as
// a hundredth of a second on every architecture (proc(5), sysconf(_SC_CLK_TCK)).
const ticks = time.Second / 100

// reused tells whether the process that a lock of this host names began after
// the lock was made: the machine was restarted, and the number has a new owner.
// A clock that was set meanwhile can make it wrong, so nobody writes because of it.
func (l Lock) reused(hostname string) bool {
	if l.Damage != nil || l.Hostname != hostname || l.PID <= 0 {
		return false
	}
	born, ok := processStart(l.PID)
	return ok && born.Sub(l.Time) > time.Minute
}

// processStart is when a process of this machine began (proc(5): stat, field 22).
func processStart(pid int) (time.Time, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return time.Time{}, false
	}
	// The name in parentheses may hold anything; fields follow the last one.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return time.Time{}, false
	}
	since, err := strconv.ParseInt(string(fields[19]), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	all, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, false
	}
	for line := range bytes.Lines(all) {
		if boot, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			at, err := strconv.ParseInt(string(bytes.TrimSpace(boot)), 10, 64)
			return time.Unix(at, 0).Add(time.Duration(since) * ticks), err == nil
		}
	}
	return time.Time{}, false
}
