package wayback

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/runbook"
)

// still refuses when a process, as far as it can be seen from here, has a file of a root
// open for writing: a database server that works in a mounted root, say. Its files would
// be copied as they fit together nowhere, or exchanged below it. The journals do not count.
func still(t Target) error {
	root, err := filepath.EvalSymlinks(t.Root)
	if err != nil {
		return err
	}
	state, in, err := t.within()
	if err != nil {
		return err
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return err
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		path, below := strings.CutPrefix(to, root+"/")
		parts := strings.Split(link, "/") // "", proc, PID, fd, N
		if err != nil || !below || parts[2] == strconv.Itoa(os.Getpid()) || in && strings.HasPrefix("/"+path, state+"/") {
			continue
		}
		if writes(parts[2], parts[4]) {
			name, _ := os.ReadFile("/proc/" + parts[2] + "/comm")
			return runbook.Refuse("", "process %s (%s) has %s open for writing; end what works in %s first", parts[2], strings.TrimSpace(string(name)), to, t.Root)
		}
	}
	return nil
}

// writes tells how a descriptor was opened, see proc(5).
func writes(pid, fd string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%s/fdinfo/%s", pid, fd))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseInt(strings.TrimSpace(value), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY && flags&unix.O_PATH == 0
		}
	}
	return false
}
