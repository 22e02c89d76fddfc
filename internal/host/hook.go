package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Hook is one run of a program of the site, of which nothing is known.
type Hook struct {
	Command []string // program and arguments; the program must be a safe one, see Program
	User    string   // "" is the present one
	Env     []string // KEY=value; of the environment it gets this and little else: no secrets
	// Limit is how long it may take; then it ends, with what it started.
	Limit time.Duration
	// Lock, when there is one, stays open in a process beside the command until that
	// has ended, also when this program is killed, and no longer, also when the command
	// starts a daemon: the command itself does not get it.
	Lock *os.File
	// Logf is given each line that it prints, up to a bound.
	Logf func(format string, args ...any)
}

// LateError says that a hook was ended because its time was up.
type LateError struct {
	Name  string
	Limit time.Duration
	Left  *LeftError // what could not be ended, or nil
}

func (e *LateError) Error() string {
	text := fmt.Sprintf("%s was ended, as it took longer than %s", e.Name, e.Limit)
	if e.Left != nil {
		text += "; " + e.Left.Error()
	}
	return text
}

// heldCommand runs a command and waits for it with descriptor 3 open.
const heldCommand = `"$@" 3>&-; exit $?`

// cannotRun is the exit code of a shell for what it finds and may not run.
const cannotRun = 126

// String is the hook as journals have it, which are told to the fleet: somebody may
// have put a password among its arguments.
func (h Hook) String() string {
	if n := len(h.Command) - 1; n > 0 {
		return fmt.Sprintf("%s (arguments: %d)", h.Command[0], n)
	}
	return h.Command[0]
}

var errHookTime = errors.New("its time is up")

// RunHook runs a hook and waits for it. It has no input and no terminal. An exit code
// other than 0 is an *ExitError, the end of its time a *LateError, and one that others
// can change is an ErrUnsafe and does not run.
func (h *Host) RunHook(ctx context.Context, hook Hook) error {
	name := hook.Command[0]
	program, err := h.Program(ctx, name, hook.User)
	if err != nil {
		return err
	}
	args := append([]string{program}, hook.Command[1:]...)
	if h.bare(program) {
		args = append([]string{shell}, args...)
	}
	hook.Logf("run %s", hook)
	limited, cancel := context.WithTimeoutCause(ctx, hook.Limit, errHookTime)
	defer cancel()
	out := &hookOutput{logf: hook.Logf}
	command := Command{Args: args, Env: hook.Env[:len(hook.Env):len(hook.Env)], Stdout: out, Stderr: out, User: hook.User, Offspring: true, Session: true}
	if hook.Lock != nil {
		command.Args = append([]string{shell, "-c", heldCommand, "hook"}, args...)
		command.Files = []*os.File{hook.Lock}
	}
	if hook.User != "" {
		u, err := h.User(hook.User)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		command.Env = append(command.Env, "HOME="+u.Home, "USER="+u.Name, "LOGNAME="+u.Name)
	}
	err = h.Run(limited, command)
	out.end()
	var exit *ExitError
	switch {
	case err == nil:
		return nil
	case context.Cause(limited) == errHookTime:
		late := &LateError{Name: name, Limit: hook.Limit}
		_ = errors.As(err, &late.Left)
		return late
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", name, ctx.Err())
	case errors.Is(err, ErrOutputHeld):
		hook.Logf("%s has ended, and something that it started still holds its output", name)
		return nil
	case errors.As(err, &exit):
		exit.Args = hook.Command
		if exit.Code == cannotRun {
			return fmt.Errorf("%w (it could not be run: see that the user may run it, and that its file system is not mounted noexec)", exit)
		}
		return exit
	}
	return err
}

// Bounds of what is kept of a hook's output.
const (
	hookLines    = 200
	hookLineSize = 1000 // bytes
)

// hookOutput logs whole lines as they come, up to a bound, and counts the rest.
type hookOutput struct {
	logf func(string, ...any)

	mu      sync.Mutex
	line    []byte
	lines   int
	skipped int64
}

func (o *hookOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		if o.lines >= hookLines {
			o.skipped += int64(len(p))
			break
		}
		part, rest, whole := bytes.Cut(p, []byte("\n"))
		room := max(0, hookLineSize-len(o.line))
		o.skipped += int64(max(0, len(part)-room))
		o.line = append(o.line, part[:min(room, len(part))]...)
		if whole {
			o.flush()
		}
		p = rest
	}
	return n, nil
}

func (o *hookOutput) flush() {
	if len(o.line) > 0 {
		o.logf("%s", strings.ToValidUTF8(string(o.line), "\uFFFD"))
		o.lines++
	}
	o.line = o.line[:0]
}

// end logs what is left.
func (o *hookOutput) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	if o.skipped > 0 {
		o.logf("%d bytes more were printed and are left out", o.skipped)
	}
}
