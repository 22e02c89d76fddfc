package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

const (
	// hidden is the first argument of a guard process.
	hidden = "__guard"
	// socket is the descriptor on which a guard process is spoken to.
	socket = 3
	// outputTail is how much of a failed command's output an error quotes, in bytes.
	outputTail = 2048
)

// Main becomes the guard process when the program was called as one, and does
// not return then. It must be the first call of main, and of TestMain.
func Main() {
	if len(os.Args) != 4 || os.Args[1] != hidden {
		return
	}
	// Caught, not ignored: ignored signals would stay ignored in the services.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE,
		unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	go func() {
		for range ignored {
		}
	}()
	closeOnExec()
	syscall.Umask(0o022) // what services are used to
	host.UsualPriority()
	p := &process{dir: os.Args[2], system: os.Args[3], conn: os.NewFile(socket, "parent"), log: os.Stderr}
	os.Exit(p.serve())
}

// closeOnExec keeps the socket, and whatever our caller's caller has left open,
// say the lock of flock(1), from the services.
func closeOnExec() {
	unix.CloseOnExec(socket)
	open, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// process is the guard process.
type process struct {
	dir, system string
	conn        io.ReadWriter
	log         *os.File
	record      *Record
}

// serve returns the process's exit code.
func (p *process) serve() int {
	in := json.NewDecoder(p.conn)
	var first request
	if err := in.Decode(&first); err != nil {
		return 0 // the caller died before there was anything to guard
	}
	lock, err := p.lock()
	if err == nil {
		defer lock.Close()
		err = p.take(first)
	}
	if err != nil || p.record == nil {
		p.answer(err)
		return code(err)
	}
	if first.Do == "recover" {
		err := p.start()
		p.answer(err)
		return code(err)
	}
	p.answer(nil)
	requests := make(chan request)
	go func() {
		defer close(requests) // the caller is gone
		for {
			var next request
			if in.Decode(&next) != nil {
				return
			}
			requests <- next
		}
	}()
	return p.guard(requests)
}

// guard does what the caller asks for, and starts the services when the caller
// is gone.
func (p *process) guard(requests <-chan request) int {
	for {
		next, there := <-requests
		switch {
		case there && next.Do == "stop":
			p.answer(p.stop(next.Args, requests))
			continue
		case there && next.Do == "cancel": // it came too late
			continue
		}
		err := p.start()
		if there {
			p.answer(err)
		}
		if err == nil || !there {
			return code(err)
		}
	}
}

// stop runs a command that stops services, until it ends, or the caller cancels
// it or dies.
func (p *process) stop(args []string, requests <-chan request) error {
	if len(args) == 0 {
		return errors.New("an empty stop command")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, "stop", args, p.record.Timeout) }()
	select {
	case err := <-ended:
		return err
	case <-requests:
		cancel()
		return <-ended
	}
}

// lock makes this the one guard of the system. Others look at the lock for a
// moment only, so a guard waits that long.
func (p *process) lock() (*os.File, error) {
	for try := 0; ; try++ {
		lock, err := lockRecord(p.dir, p.system)
		if !errors.Is(err, ErrGuarded) || try == 20 {
			return lock, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// take makes the record durable, or reads the one that is to be put right; it
// leaves none when there is nothing to do.
func (p *process) take(first request) error {
	old, err := readRecord(p.dir, p.system)
	switch {
	case first.Do == "recover" && errors.Is(err, fs.ErrNotExist):
		return nil
	case first.Do == "recover":
		if err == nil {
			old.PID = os.Getpid()
			p.record = old
		}
		return err
	case first.Do != "protect" || first.Record == nil:
		return fmt.Errorf("unknown request %q", first.Do)
	case !errors.Is(err, fs.ErrNotExist):
		return ErrStale // also when it cannot be read: services may be stopped
	}
	if err := first.Record.validate(p.system); err != nil {
		return err
	}
	if err := p.log.Truncate(0); err != nil {
		return err
	}
	first.Record.PID = os.Getpid()
	if err := first.Record.write(p.dir); err != nil {
		return errors.Join(err, first.Record.remove(p.dir))
	}
	p.record = first.Record
	return nil
}

// start runs the commands that have not ended well yet, in order, again and
// again as the record says. It removes the record when all have.
func (p *process) start() error {
	r := p.record
	if now := boot(); r.Boot != now || len(r.Started) != len(r.Start) {
		r.Boot, r.Started = now, make([]bool, len(r.Start))
	}
	wait := r.Wait
	for try := 0; ; try++ {
		var failed []error
		for i, args := range r.Start {
			if r.Started[i] {
				continue
			}
			err := p.run(context.Background(), "start", args, r.Timeout)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			r.Started[i] = true
			p.save()
		}
		r.Tried, r.Errors = time.Now().UTC(), nil
		if len(failed) == 0 {
			if err := r.remove(p.dir); err != nil {
				return fmt.Errorf("all services are started, but the record stays: %w", err)
			}
			return nil
		}
		for _, err := range failed {
			r.Errors = append(r.Errors, err.Error())
		}
		p.save()
		if try >= r.Retries {
			return errors.Join(failed...)
		}
		time.Sleep(wait)
		wait *= 2
	}
}

// save notes how far the start has come. It must not keep services from
// starting, so an error, say a full disk, is only logged.
func (p *process) save() {
	if err := p.record.write(p.dir); err != nil {
		p.logf("%v", err)
	}
}

// run runs one command. Its output goes to the log file directly: a daemon that
// keeps it open does not keep us waiting.
func (p *process) run(ctx context.Context, verb string, args []string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p.logf("%s: %s", verb, strings.Join(args, " "))
	from, _ := p.log.Stat()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err == nil {
		p.logf("done: %s", args[0])
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not done after %s: %w", timeout, err)
	}
	if from != nil {
		if tail := p.tail(from.Size()); tail != "" {
			err = fmt.Errorf("%w: %s", err, tail)
		}
	}
	err = fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	p.logf("failed: %v", err)
	return err
}

// tail reads the end of what was logged from an offset on.
func (p *process) tail(from int64) string {
	f, err := os.Open(logPath(p.dir, p.system))
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-outputTail)
	}
	data, _ := io.ReadAll(io.NewSectionReader(f, from, outputTail))
	return string(bytes.ToValidUTF8(bytes.TrimSpace(data), []byte("?")))
}

// answer tells the caller, who may no longer be there.
func (p *process) answer(err error) {
	var r reply
	switch {
	case errors.Is(err, ErrGuarded):
		r.Cause = "guarded"
	case errors.Is(err, ErrStale):
		r.Cause = "stale"
	}
	if err != nil {
		r.Error = err.Error()
	}
	if err := json.NewEncoder(p.conn).Encode(r); err != nil {
		p.logf("the caller is gone")
	}
}

func (p *process) logf(format string, args ...any) {
	fmt.Fprintf(p.log, "%s %s: %s\n", time.Now().UTC().Format(time.RFC3339), p.system, fmt.Sprintf(format, args...))
}

func code(err error) int {
	if err != nil {
		return 1
	}
	return 0
}
