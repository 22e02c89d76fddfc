package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrOutputHeld says that a command has ended well, and that something it started
// still held its output 10 seconds later.
var ErrOutputHeld = exec.ErrWaitDelay

// stderrTail bounds what an ExitError keeps of a command's standard error, in
// bytes.
const stderrTail = 4096

// Command is one program call: an argument list, never a shell line.
type Command struct {
	Args   []string // program and arguments; the program is looked up in PATH
	Dir    string   // working directory on the machine; "" is its root
	Env    []string // KEY=value, added to a small fixed environment
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Files  []*os.File // inherited as descriptors 3, 4, …
	User   string     // run as this user of the machine; "" is the present one

	// Offspring has what the command started and what has left its process group end
	// with ctx, too, as far as it is found.
	Offspring bool
	// Session gives it a session of its own, which has no terminal: not even
	// /dev/tty leads to one.
	Session bool
}

// ExitError says that a command ran and did not exit with 0.
type ExitError struct {
	Args   []string
	Code   int    // exit code; -1 when a signal ended it
	Signal string // name of that signal, or ""
	Stderr string // the last bytes of standard error
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != "" {
		how = "ended by signal " + e.Signal
	}
	msg := fmt.Sprintf("%s: %s", filepath.Base(e.Args[0]), how)
	if tail := strings.TrimSpace(e.Stderr); tail != "" {
		msg += ": " + tail
	}
	return msg
}

// Run runs the command and waits for it and for all its output. An exit code
// other than 0 is an *ExitError. When ctx ends, the command's whole process
// group gets SIGTERM and, 10 seconds later, SIGKILL. Output that something else holds
// is waited for as long after the end.
func (h *Host) Run(ctx context.Context, c Command) error {
	var others *offspring
	if c.Offspring {
		others = newOffspring()
		c.Env = append(c.Env[:len(c.Env):len(c.Env)], others.mark)
	}
	cmd, tail, err := h.prepare(ctx, c)
	if err != nil {
		return err
	}
	if others != nil {
		cmd.Cancel = func() error {
			others.look(cmd.Process.Pid)
			others.signal(syscall.SIGTERM)
			return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		}
	}
	err = cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// What ignores the first signal, and is not the process that was waited for.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if others != nil {
			if left := others.kill(cmd.Process.Pid); len(left) > 0 {
				return fmt.Errorf("%w; %w", h.exit(ctx, c.Args, tail, ctx.Err()), &LeftError{left})
			}
		}
	}
	return h.exit(ctx, c.Args, tail, err)
}

// Output runs the arguments and returns their standard output, at most 64 MiB.
func (h *Host) Output(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := h.Run(ctx, Command{Args: args, Stdout: &limitedWriter{w: &out, left: 64 << 20}})
	return out.Bytes(), err
}

// itself is what profiles call this program.
const itself = "lifeboat"

// Look returns the first of the names that is a program on the machine.
func (h *Host) Look(names ...string) (string, error) {
	for _, name := range names {
		if strings.Contains(name, "/") {
			if h.executable(name) {
				return name, nil
			}
			continue
		}
		for _, dir := range strings.Split(commandPath(), ":") {
			if p := filepath.Join(dir, name); h.executable(p) {
				return p, nil
			}
		}
	}
	if slices.Contains(names, itself) && h.IsLocal() {
		// It stands where nobody looks for programs. What the kernel started can be started
		// again, also in a sandbox in which that place is not to be seen.
		return fmt.Sprintf("/proc/%d/exe", os.Getpid()), nil
	}
	return "", fmt.Errorf("none of the programs %s is installed: %w", strings.Join(names, ", "), exec.ErrNotFound)
}

func (h *Host) executable(path string) bool {
	p, err := h.Path(path)
	if err != nil {
		return false
	}
	info, err := os.Stat(p)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func commandPath() string {
	if p := os.Getenv("PATH"); p != "" {
		return p + ":/usr/sbin:/sbin:/usr/bin:/bin"
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// Commands of the system make files for the system: they get the usual umask and
// not this program's, which is for secrets. The constant line takes the command
// as arguments and replaces itself by it; nothing is interpreted.
const (
	shell      = "/bin/sh"
	plainUmask = `umask 022; exec "$@"`
)

func (h *Host) prepare(ctx context.Context, c Command) (*exec.Cmd, *tailWriter, error) {
	if len(c.Args) == 0 {
		return nil, nil, errors.New("empty command")
	}
	program, err := h.Look(c.Args[0])
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, shell, append([]string{"-c", plainUmask, program, program}, c.Args[1:]...)...)
	cmd.Dir = "/"
	if c.Dir != "" {
		cmd.Dir = c.Dir
	}
	cmd.Env = append([]string{"PATH=" + commandPath(), "LC_ALL=C.UTF-8", "HOME=" + home(), "LANG=C.UTF-8"}, c.Env...)
	tail := &tailWriter{max: stderrTail}
	cmd.Stdin, cmd.Stdout = c.Stdin, c.Stdout
	cmd.Stderr = tail
	if c.Stderr != nil {
		cmd.Stderr = io.MultiWriter(c.Stderr, tail)
	}
	cmd.ExtraFiles = c.Files
	cmd.SysProcAttr = h.attributes(c.Session)
	if c.User != "" {
		credential, err := h.credential(c.User)
		if err != nil {
			return nil, nil, err
		}
		cmd.SysProcAttr.Credential = credential
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd, tail, nil
}

func (h *Host) exit(ctx context.Context, args []string, tail *tailWriter, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", filepath.Base(args[0]), ctx.Err())
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("%s: %w", filepath.Base(args[0]), err)
	}
	e := &ExitError{Args: args, Code: exit.ExitCode(), Stderr: string(tail.buf)}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal().String()
	}
	return e
}

func home() string {
	if d := os.Getenv("HOME"); d != "" {
		return d
	}
	return "/root"
}

// tailWriter keeps the last max bytes written to it.
type tailWriter struct {
	buf []byte
	max int
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errors.New("more output than expected")
	}
	l.left -= len(p)
	return l.w.Write(p)
}
