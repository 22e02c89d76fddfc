package zypper

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/host"
)

// markName is the variable of the environment by which everything that a call has
// started is known: rpm gets it from zypper, and scriptlets from rpm. Its value names
// the root, so that a later process finds what an earlier one has left behind. A killed
// zypper gives its own lock free at once while its rpm goes on; and libzypp closes the
// descriptors of what it starts, so an inherited lock does not last as long either.
const markName = "LIFEBOAT_ZYPPER"

// settle is how often it is looked whether processes have ended.
const settle = 50 * time.Millisecond

// Active lists the processes that work on the root by a call of this package, of this
// process or of one that was killed.
func (z *Zypper) Active() []int {
	var found []int
	names, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range names {
		env, err := os.ReadFile(name) // of a process that is gone it fails
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), z.mark) {
			continue
		}
		dir := filepath.Dir(name)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() || !zyppOrRPM(dir) {
			continue
		}
		found = append(found, pid)
	}
	return found
}

// zyppOrRPM tells whether a process can change packages: what a scriptlet has left
// running, a service for instance, is not waited for.
func zyppOrRPM(dir string) bool {
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return false
	}
	for _, word := range bytes.SplitN(line, []byte{0}, 6) {
		switch filepath.Base(string(word)) {
		case "zypper", "rpm", "rpmdb", "rpmkeys":
			return true
		}
	}
	return false
}

// Idle waits until no process works on the root by a call of this package.
func (z *Zypper) Idle(ctx context.Context) error {
	for {
		left := z.Active()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v still work on the packages of %s: %w", left, z.o.Root, ctx.Err())
		case <-time.After(settle):
		}
	}
}

// quiet waits for what an earlier call has left behind, and refuses while somebody
// else's zypp works on the root: two at a time spoil each other.
func (z *Zypper) quiet(ctx context.Context) error {
	if err := z.Idle(ctx); err != nil {
		return err
	}
	if pid := z.other(); pid != 0 {
		return &Error{Result: &Result{Code: ExitLocked, Messages: []Message{{Type: "error", Text: fmt.Sprintf("process %d works on the packages of %s", pid, z.o.Root)}}}}
	}
	return nil
}

// other is the process that holds zypp's lock of the root, or 0.
func (z *Zypper) other() int {
	for _, file := range []string{"/run/zypp.pid", "/var/run/zypp.pid"} {
		pid, err := host.Local().Holder(filepath.Join(z.o.Files, file), "zypp")
		if err == nil && pid != 0 && pid != os.Getpid() {
			return pid
		}
	}
	return 0
}
