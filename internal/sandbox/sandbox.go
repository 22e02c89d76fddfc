// Package sandbox runs programs on an assembled root in mount, PID, UTS, IPC
// and network namespaces of their own: the real paths of this machine, with
// nothing outside touched. Package-owned files come from an overlay of the
// machine's root; what a caller names in Options.Empty starts empty, so that
// no live state shines through. Every mount lives in the sandbox's own mount
// namespace only, so the kernel removes all of them, loop device included,
// when the sandbox's last process ends.
//
// A sandbox guards against accidents, not against a hostile root inside it.
//
// Init must be the first call in main, and in TestMain of tests. No product,
// profile or laboratory knowledge may enter.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// Errors that callers can tell apart.
var (
	ErrNotRoot    = errors.New("a sandbox needs root: run this as root")
	ErrTooDeep    = errors.New("the kernel stacks two overlays at most, and this machine's root is already the second: run this one level further out")
	ErrNotRunning = errors.New("the sandbox is not running")
	ErrRunning    = errors.New("the sandbox is running already")
	ErrEnded      = errors.New("the sandbox went down while the command ran")
)

// DefaultSize is the size of a sandbox's own layer, in bytes, when Options
// does not say. The file is sparse.
const DefaultSize = 8 << 30

// Options describe a sandbox. Paths are absolute; those inside are resolved
// without leaving the assembled root.
type Options struct {
	// Dir holds the sandbox's layers and state on the outer machine. It must
	// not exist yet or be empty. Inside it always starts empty.
	Dir string
	// Root is the tree whose files the sandbox sees; "" is "/". File systems
	// mounted below it are included when they are of an on-disk kind; all
	// others (tmpfs, network, FAT) are empty directories inside.
	Root string
	// Hostname is written to /etc/hostname and /etc/hosts at the first start;
	// every boot takes the name from /etc/hostname. "" keeps the machine's.
	Hostname string
	// Empty lists paths that start empty: a directory keeps its mode and owner
	// but none of its entries, anything else is absent. A symbolic link is
	// absent and what it leads to starts empty.
	Empty []string
	// Size limits everything written inside, in bytes; 0 is DefaultSize.
	Size int64
	// Plain keeps what is written inside in a directory instead of a loop
	// image: no size limit, and Dir must be on a disk file system.
	Plain bool
	// Volatile lets writes inside return before they are on the outer disk, so
	// that databases are quicker. A crash of the outer machine may spoil the
	// sandbox; Kill does not. It has no effect with Plain.
	Volatile bool
	// Interfaces are network interfaces besides the loopback.
	Interfaces []Interface
	// Binds are parts of the outer machine shared with the sandbox.
	Binds []Bind
	// Covers are further trees that are seen at their own paths, also below /tmp and
	// /run, and with the disk file systems mounted below them: what is written to them
	// inside stays inside. They must not lie in each other.
	Covers []Cover
	// Boot runs inside at each start. Start returns when it has ended, and
	// fails with its output if its exit code is not 0.
	Boot []string
	// Shutdown runs inside before an orderly stop or reboot ends all processes.
	Shutdown []string
	// Devices lets nodes be opened that are made in /dev: a sandbox within this one
	// needs loop devices. Without it, only the usual ones can; outside of /dev none
	// can be opened in any sandbox, whatever a restore brings there.
	Devices bool
	// DieWithParent ends the sandbox when the process that started it ends,
	// however it ends.
	DieWithParent bool
}

// Interface is a network interface. It leads nowhere, which is enough for programs
// that ask for addresses and hardware, unless Network says where.
type Interface struct {
	Name      string
	MAC       string   // "" is made by the kernel
	Addresses []string // in CIDR notation
	Gateway   string   // default route, "" for none
	// Network is the file of a network namespace, such as /proc/PID/ns/net, and
	// Bridge a bridge in it that the interface is plugged into at each start.
	Network, Bridge string
}

// Cover is a further tree that is seen inside.
type Cover struct {
	Path string
	// System says that it is the root of a system, which has the sandbox's /dev and
	// /proc: programs that make it their root find them there.
	System bool
}

// Bind shares a file or directory of the outer machine.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// Sandbox is one sandbox, running or not. Its methods may be called from
// several goroutines; a lock in its directory keeps processes apart.
type Sandbox struct {
	dir     string
	record  record
	mu      sync.Mutex
	held    *os.File // write end of the pipe of DieWithParent
	pending chan struct{}
}

// Create lays out a new sandbox. It does not start it.
func Create(ctx context.Context, opts Options) (*Sandbox, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	rec, err := plan(opts)
	if err != nil {
		return nil, fmt.Errorf("create sandbox: %w", err)
	}
	dir := rec.Options.Dir
	if err := freshDir(dir); err != nil {
		return nil, fmt.Errorf("create sandbox: %w", err)
	}
	s := &Sandbox{dir: dir, record: rec}
	if err := s.layOut(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("create sandbox %s: %w", dir, err), os.RemoveAll(dir))
	}
	return s, nil
}

// Open returns the sandbox that some process created in dir.
func Open(dir string) (*Sandbox, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	rec, err := readRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open sandbox: %s holds none: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open sandbox %s: %w", dir, err)
	}
	return &Sandbox{dir: dir, record: rec}, nil
}

// Dir is the sandbox's directory on the outer machine.
func (s *Sandbox) Dir() string { return s.dir }

// Options are those the sandbox was created with.
func (s *Sandbox) Options() Options { return s.record.Options }

// Console is the file on the outer machine with what the sandbox's init and
// its boot and shutdown programs print.
func (s *Sandbox) Console() string { return filepath.Join(s.dir, "console.log") }

// Running tells whether the sandbox's init lives.
func (s *Sandbox) Running() bool {
	lock := flock.New(filepath.Join(s.dir, "init.lock"))
	free, err := lock.TryRLock() // shared, so that two that ask do not see each other
	if free {
		_ = lock.Close()
	}
	return err == nil && !free
}

// Pid is the process id of the sandbox's init as the outer machine sees it.
func (s *Sandbox) Pid() (int, error) {
	if !s.Running() {
		return 0, ErrNotRunning
	}
	return readPid(s.dir)
}

// Stop ends the sandbox in order: the shutdown program, SIGTERM, SIGKILL. When
// ctx ends first, it is killed. What was written inside stays for a new Start.
func (s *Sandbox) Stop(ctx context.Context) error {
	if !s.Running() {
		return s.settled(ctx)
	}
	if err := s.signal(sigPoweroff); err != nil {
		return err
	}
	if err := s.Wait(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// Kill ends the sandbox at once, as a power loss does to its processes. What
// they had written to files is kept, synchronized or not.
func (s *Sandbox) Kill() error {
	if s.Running() {
		if err := s.signal(syscall.SIGKILL); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return s.Wait(ctx)
}

// Wait returns when the sandbox has ended and its layers are free again.
func (s *Sandbox) Wait(ctx context.Context) error {
	for s.Running() {
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for sandbox %s to end: %w", s.dir, err)
		}
	}
	return s.settled(ctx)
}

// Ending says how a sandbox that is down went down.
type Ending string

// The ways a sandbox ends.
const (
	Killed   Ending = ""         // by a signal, or never started
	Reboot   Ending = "reboot"   // asked for inside; Start brings it up again
	Poweroff Ending = "poweroff" // by Stop, or asked for inside
)

// Ending tells how the sandbox last went down.
func (s *Sandbox) Ending() Ending {
	raw, err := os.ReadFile(filepath.Join(s.dir, "ending"))
	if err != nil {
		return Killed
	}
	return Ending(raw)
}

func (s *Sandbox) signal(sig syscall.Signal) error {
	pid, err := readPid(s.dir)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal the init of sandbox %s: %w", s.dir, err)
	}
	return nil
}

// settled waits until the kernel has let go of the layers. The mount namespace
// of a killed init is taken down a moment after its process.
func (s *Sandbox) settled(ctx context.Context) error {
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	if pending != nil {
		select {
		case <-pending: // our child is reaped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.record.Options.Plain {
		return nil
	}
	for {
		free, err := imageFree(s.image())
		if err != nil || free {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for the loop device of %s: %w", s.image(), err)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}
