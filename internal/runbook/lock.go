package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is held by the one run that a system may have at a time. It is an
// flock(2) lock on an open file: it ends when the process, and every command
// that has inherited File, has ended or closed it.
type Lock struct{ file *os.File }

// Holder is who holds a lock, as written into its file.
type Holder struct {
	Run   string    `json:"run"`
	PID   int       `json:"pid"`
	Birth string    `json:"birth"` // start time of the process in clock ticks since boot
	Since time.Time `json:"since"`
}

// BusyError is an ErrBusy that names the holder.
type BusyError struct {
	System string
	Holder Holder
	// Orphans are processes of a holder that is dead itself: commands it had
	// started that are still running.
	Orphans []int
}

func (e *BusyError) Error() string {
	if len(e.Orphans) > 0 {
		return fmt.Sprintf("%s: run %s has died, but commands it started still run (pid %s); wait for them or end them, then resume it",
			e.System, e.Holder.Run, strings.Trim(fmt.Sprint(e.Orphans), "[]"))
	}
	if e.Holder.Run == "" {
		return fmt.Sprintf("%s: %v", e.System, ErrBusy)
	}
	return fmt.Sprintf("%s: run %s is active (pid %d, since %s); wait for it to end",
		e.System, e.Holder.Run, e.Holder.PID, e.Holder.Since.Local().Format(time.DateTime))
}

// Is makes the error an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Acquire takes the system's lock below the state directory dir for a run, or
// for another action described by run. A held lock is a *BusyError.
func Acquire(dir, system, run string) (*Lock, error) {
	path, err := lockPath(dir, system)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("lock %s: %w", system, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", system, err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", system, err)
		}
		busy := &BusyError{System: system, Holder: readHolder(f)}
		if busy.Holder.PID != 0 && !busy.Holder.alive() {
			busy.Orphans = openers(f)
		}
		return nil, busy
	}
	l := &Lock{file: f}
	birth, _ := birthOf(os.Getpid())
	data, err := json.Marshal(Holder{Run: run, PID: os.Getpid(), Birth: birth, Since: time.Now().UTC()})
	if err == nil {
		err = l.write(data)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", system, err)
	}
	return l, nil
}

// File is the locked file. Foreground commands inherit it, so that the lock
// lasts until they have ended even when this process is killed. Daemons must
// not inherit it.
func (l *Lock) File() *os.File { return l.file }

// Release gives the lock up. Commands that still have it keep it.
func (l *Lock) Release() error {
	err := l.write(nil)
	return errors.Join(err, l.file.Close())
}

// write replaces the file's content. It is information only: it need not
// survive a power loss, as no lock does.
func (l *Lock) write(data []byte) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(data, 0)
	return err
}

func lockPath(dir, system string) (string, error) {
	if !name.MatchString(system) {
		return "", fmt.Errorf("%w: system name %q: letters, digits and ._@+- only", ErrInvalid, system)
	}
	return filepath.Join(dir, "locks", system+".lock"), nil
}

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func readHolder(f *os.File) Holder {
	var h Holder
	buf := make([]byte, 4096)
	n, _ := f.ReadAt(buf, 0)
	if json.Unmarshal(buf[:n], &h) != nil {
		return Holder{}
	}
	return h
}

// holderOf reads who holds, or last held and was killed with, a system's lock.
func holderOf(dir, system string) Holder {
	path, err := lockPath(dir, system)
	if err != nil {
		return Holder{}
	}
	f, err := os.Open(path)
	if err != nil {
		return Holder{}
	}
	defer f.Close()
	return readHolder(f)
}

// Busy tells whether a living process holds the system's lock. It takes no lock.
func Busy(dir, system string) bool { return holderOf(dir, system).alive() }

func (h Holder) alive() bool {
	birth, ok := birthOf(h.PID)
	return ok && birth == h.Birth
}

// birthOf returns the start time of a process, which tells it from a later one
// with the same id (proc(5), /proc/PID/stat field 22). A zombie does not count.
func birthOf(pid int) (string, bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", false
	}
	// The command name in parentheses may hold anything; fields follow the last ")".
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return fields[19], true
}

// openers lists other processes that have the file open.
func openers(f *os.File) []int {
	want, err := f.Stat()
	if err != nil {
		return nil
	}
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		fds, _ := os.ReadDir(dir)
		for _, fd := range fds {
			if got, err := os.Stat(filepath.Join(dir, fd.Name())); err == nil && os.SameFile(want, got) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// bootMark changes with every start of the machine, and of a container or
// sandbox with process ids of its own.
func bootMark() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	birth, _ := birthOf(1)
	return strings.TrimSpace(string(id)) + "/" + birth
}

type lockKey struct{}

func withLock(ctx context.Context, l *Lock) context.Context {
	return context.WithValue(ctx, lockKey{}, l)
}

// LockFile returns the lock file of the run in whose step ctx is, or nil.
// Commands that a step starts and waits for inherit it, so that a resume waits
// for those that a killed run has left behind.
func LockFile(ctx context.Context) *os.File {
	if l, ok := ctx.Value(lockKey{}).(*Lock); ok {
		return l.file
	}
	return nil
}
