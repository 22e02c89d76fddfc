// Package guard keeps services from staying stopped. Before a backup stops
// anything, a process of its own notes on disk what runs and then watches over
// the backup: when the backup asks for it, or dies in whatever way, that process
// starts exactly those services again. A record without a living guard, say
// after a power loss, is put right at boot and by the next command. It knows
// argument lists and nothing of runs, profiles or products. Recoveries, which
// keep a system stopped on purpose, do not use it.
package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGuarded says that the system has a living guard already.
var ErrGuarded = errors.New("its services are stopped and guarded by another run")

// ErrStale says that a record of an earlier backup is still there: services
// may be stopped. Recover puts it right.
var ErrStale = errors.New("services of an interrupted backup have not been started again")

// Options say what is guarded.
type Options struct {
	Dir    string     // state directory, say /var/lib/lifeboat; records are in quiesced/ below it
	System string     // the system's name; becomes a file name
	Run    string     // id of the run, for people
	Start  [][]string // argument lists that start again what is going to be stopped, in order
	// Retries is how often a command that failed is tried again; default 4.
	Retries int
	// Wait is the time before the first retry; it doubles. Default 2 s.
	Wait time.Duration
	// Timeout bounds one start command; default 5 min.
	Timeout time.Duration
	// Executable is a program whose main calls Main; default: this one.
	Executable string
}

// Guard is a living guard process. Safe for concurrent use.
type Guard struct {
	dir, system, executable string

	mu   sync.Mutex
	conn *os.File // nil once the guard works or has ended without us
	done bool
}

// request and reply are the messages between a process and its guard, as JSON
// on a socket pair. The end of the stream is a request to start the services.
// All but cancel, which ends a stop that is under way, are answered.
type request struct {
	Do     string   `json:"do"` // protect, recover, stop, cancel, start
	Record *Record  `json:"record,omitempty"`
	Args   []string `json:"args,omitempty"` // of stop
}

type reply struct {
	Error string `json:"error,omitempty"`
	Cause string `json:"cause,omitempty"` // guarded, stale
}

func (r reply) err() error {
	switch {
	case r.Cause == "guarded":
		return ErrGuarded
	case r.Cause == "stale":
		return ErrStale
	case r.Error != "":
		return errors.New(r.Error)
	}
	return nil
}

// Protect starts the guard. When it returns without an error, the record is on
// disk and the services may be stopped: whatever becomes of this process, they
// are started again. Errors wrap ErrGuarded or ErrStale where that is the
// reason.
func Protect(ctx context.Context, o Options) (*Guard, error) {
	record := &Record{
		Version: version, System: o.System, Run: o.Run, Start: o.Start, Boot: boot(), Created: time.Now().UTC(),
		Retries: o.Retries, Wait: o.Wait, Timeout: o.Timeout,
	}
	if record.Retries <= 0 {
		record.Retries = 4
	}
	if record.Wait <= 0 {
		record.Wait = 2 * time.Second
	}
	if record.Timeout <= 0 {
		record.Timeout = 5 * time.Minute
	}
	if err := record.validate(o.System); err != nil {
		return nil, fmt.Errorf("guard %s: %w", o.System, err)
	}
	g := &Guard{dir: o.Dir, system: o.System, executable: o.Executable}
	conn, err := g.spawn(ctx, request{Do: "protect", Record: record})
	if err != nil {
		return nil, fmt.Errorf("guard %s: %w", o.System, err)
	}
	g.conn = conn
	return g, nil
}

// Stop has the guard run a command that stops services, with the time limit of
// start commands. The guard runs it because it must not start anything while such
// a command is still at work: it would be stopped again. When ctx ends, or this
// process, the command and its children get SIGTERM. An error quotes the
// command's last words.
func (g *Guard) Stop(ctx context.Context, args []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.conn == nil {
		return fmt.Errorf("stop the services of %s: there is no guard any more", g.system)
	}
	conn := g.conn
	cancel := context.AfterFunc(ctx, func() { _ = json.NewEncoder(conn).Encode(request{Do: "cancel"}) })
	defer cancel()
	// Not ended by ctx: the answer to this request must not be taken for a later one's.
	answer, err := exchange(context.WithoutCancel(ctx), conn, request{Do: "stop", Args: args})
	if err == nil {
		err = answer.err()
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("stop the services of %s: %w", g.system, err)
	}
	return nil
}

// Release has the guard start the services again and waits for the result.
// An error says which did not start after all retries; the record stays then,
// and Release may be called again. When ctx ends first the guard goes on by
// itself. A second call after a success does nothing.
func (g *Guard) Release(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done {
		return nil
	}
	err := g.release(ctx)
	if err != nil {
		return fmt.Errorf("start the services of %s again: %w", g.system, err)
	}
	g.done = true
	g.drop()
	return nil
}

func (g *Guard) release(ctx context.Context) error {
	if g.conn != nil {
		answer, err := exchange(ctx, g.conn, request{Do: "start"})
		if err == nil {
			return answer.err()
		}
		g.drop()
		if ctx.Err() != nil {
			return fmt.Errorf("%w; its guard goes on trying", ctx.Err())
		}
	}
	// The guard is dead, or was left alone with its work. Another takes over.
	conn, err := g.spawn(ctx, request{Do: "recover"})
	if err != nil {
		return err
	}
	return conn.Close()
}

func (g *Guard) drop() {
	if g.conn != nil {
		g.conn.Close()
		g.conn = nil
	}
}

// spawn starts a guard process with a first request and returns the connection
// to it once it has answered.
func (g *Guard) spawn(ctx context.Context, first request) (*os.File, error) {
	dir := recordDir(g.dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Made durable here: the guard must not be the first to find the disk full.
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath(g.dir, g.system), os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "guard")
	defer theirs.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil { // so that it honours deadlines
		unix.Close(pair[0])
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "guard")
	executable := g.executable
	if executable == "" {
		executable = "/proc/self/exe" // also when the program's file was replaced meanwhile
	}
	cmd := &exec.Cmd{
		Path: executable, Args: []string{"lifeboat", hidden, g.dir, g.system}, Dir: "/",
		Env: environment(), Stdout: log, Stderr: log, ExtraFiles: []*os.File{theirs},
		// A session of its own: no terminal, and no signal sent to our group, reaches it.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start the guard process: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	theirs.Close()
	answer, err := exchange(ctx, ours, first)
	if err == nil {
		err = answer.err()
	}
	if err != nil {
		ours.Close()
		return nil, err
	}
	return ours, nil
}

// exchange sends a request and waits for its reply, or for the end of ctx.
func exchange(ctx context.Context, conn *os.File, r request) (reply, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	var answer reply
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return reply{}, fmt.Errorf("tell the guard process: %w", errors.Join(err, ctx.Err()))
	}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return reply{}, fmt.Errorf("hear from the guard process: %w", errors.Join(err, ctx.Err()))
	}
	return answer, nil
}

// environment is what start commands get. The caller's own may hold secrets.
func environment() []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if p := os.Getenv("PATH"); p != "" {
		path = p + ":" + path
	}
	return []string{"PATH=" + path, "HOME=/root", "LANG=C.UTF-8", "LC_ALL=C.UTF-8"}
}
