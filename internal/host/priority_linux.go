package host

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Classes of ioprio_set(2), shifted to their place.
const (
	ioBestEffort = 2 << 13
	ioIdle       = 3 << 13
	ioLowest     = 7 // within best effort
)

// LowerPriority gives this process, and what it starts from now on, another
// priority: nice as in nice(1), and for input and output "low", "idle" or "" for
// what it is.
func LowerPriority(nice int, io string) error {
	class := 0
	switch io {
	case "":
	case "low":
		class = ioBestEffort | ioLowest
	case "idle":
		class = ioIdle
	default:
		return fmt.Errorf("input and output have no priority %q", io)
	}
	if nice == 0 && class == 0 {
		return nil
	}
	return setPriority(func(thread int) error {
		if nice != 0 {
			if err := unix.Setpriority(unix.PRIO_PROCESS, thread, nice); err != nil {
				return fmt.Errorf("set the priority to %d: %w", nice, err)
			}
		}
		if class != 0 {
			if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, 1, uintptr(thread), uintptr(class)); errno != 0 {
				return fmt.Errorf("set the priority of input and output to %s: %w", io, errno)
			}
		}
		return nil
	})
}

// UsualPriority takes back what LowerPriority did, as far as this process may: what
// it starts, services say, is to run as it always does.
func UsualPriority() {
	_ = setPriority(func(thread int) error {
		_ = unix.Setpriority(unix.PRIO_PROCESS, thread, 0)
		_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, 1, uintptr(thread), 0)
		return nil
	})
}

// setPriority reaches all threads: Linux keeps priorities by thread, and a new one
// has that of the thread which began it. So threads are looked for until there is
// no new one.
func setPriority(set func(thread int) error) error {
	seen := map[int]bool{}
	for again := true; again; {
		again = false
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("look for the threads of this process: %w", err)
		}
		for _, entry := range entries {
			thread, err := strconv.Atoi(entry.Name())
			if err != nil || seen[thread] {
				continue
			}
			seen[thread], again = true, true
			if err := set(thread); err != nil && !isGone(thread) {
				return err
			}
		}
	}
	return nil
}

func isGone(thread int) bool {
	_, err := os.Stat("/proc/self/task/" + strconv.Itoa(thread))
	return err != nil
}
