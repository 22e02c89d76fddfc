package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a program to run inside.
type Command struct {
	Args           []string // the program is looked up inside
	Name           string   // argv[0] when it is not Args[0]
	Dir            string   // "" is /
	Env            []string // KEY=value, added to PATH, HOME and LANG
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Files          []*os.File // inherited as descriptors 3, 4, …
	// TTY gives the program a terminal of the sandbox. Stdin is copied to it
	// and its output to Stdout; when Stdin is a terminal itself, it is raw
	// meanwhile.
	TTY bool
}

// Process is a program that runs inside.
type Process struct {
	sandbox *Sandbox
	cmd     *exec.Cmd
	term    *terminal
}

// Run runs a program in all namespaces of the sandbox and waits for it. A bad
// end is an *exec.ExitError; ErrEnded when the sandbox went down under it.
// When ctx ends, the program's process group gets SIGTERM and, 5 seconds later, SIGKILL.
func (s *Sandbox) Run(ctx context.Context, c Command) error {
	p, err := s.Spawn(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Spawn starts a program inside; its Wait must be called.
func (s *Sandbox) Spawn(ctx context.Context, c Command) (*Process, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("run in sandbox: empty command")
	}
	pid, err := s.Pid()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Err = nil // the program is looked up inside, not here
	if c.Name != "" {
		cmd.Args[0] = c.Name
	}
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = append([]string{"PATH=" + insidePath, "HOME=/root", "LANG=C.UTF-8", "LC_ALL=C.UTF-8"}, c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = c.Stdin, c.Stdout, c.Stderr, c.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	p := &Process{sandbox: s, cmd: cmd}
	spaces, err := namespaces(pid)
	if err != nil {
		return nil, err
	}
	defer spaces.close()
	err = spaces.do(func() error {
		if cmd.Path, err = lookup(c.Args[0], cmd.Dir); err != nil {
			return err
		}
		if c.TTY {
			if p.term, err = openTerminal(cmd); err != nil {
				return err
			}
		}
		return cmd.Start()
	})
	if p.term != nil {
		p.term.started(c, err == nil)
	}
	if err != nil {
		return nil, fmt.Errorf("run %s in sandbox: %w", c.Args[0], err)
	}
	return p, nil
}

// Pid is the process id as the outer machine sees it.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait waits for the program and its output, as Run does.
func (p *Process) Wait() error {
	err := p.cmd.Wait()
	if p.term != nil {
		p.term.close()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well; a daemon it left behind keeps its output open
	}
	// The init says how it ends before it ends anything else; a killed one
	// takes everything in its PID namespace with it.
	if err != nil && (p.sandbox.Ending() != Killed || !p.sandbox.Running()) {
		return errors.Join(ErrEnded, err)
	}
	return err
}

// lookup finds a program in the present root, which is the sandbox's.
func lookup(name, dir string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	for _, d := range strings.Split(insidePath, ":") {
		p := filepath.Join(d, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", &fs.PathError{Op: "look up", Path: name, Err: exec.ErrNotFound}
}

// spaceSet is the open namespaces of a sandbox.
type spaceSet []*os.File

var spaceKinds = []struct {
	name string
	flag int
}{
	{"uts", unix.CLONE_NEWUTS},
	{"ipc", unix.CLONE_NEWIPC},
	{"net", unix.CLONE_NEWNET},
	{"pid", unix.CLONE_NEWPID},
	{"mnt", unix.CLONE_NEWNS}, // last: the others are found through the outer /proc
}

func namespaces(pid int) (spaceSet, error) {
	var set spaceSet
	for _, k := range spaceKinds {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, k.name))
		if err != nil {
			set.close()
			return nil, fmt.Errorf("enter sandbox: %w", err)
		}
		set = append(set, f)
	}
	return set, nil
}

func (set spaceSet) close() {
	for _, f := range set {
		f.Close()
	}
}

// do calls f on a thread inside the namespaces. A program that f starts stays inside.
func (set spaceSet) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("enter sandbox: %w", err)
		}
		for i, k := range spaceKinds {
			if err := unix.Setns(int(set[i].Fd()), k.flag); err != nil {
				return fmt.Errorf("enter the sandbox's %s namespace: %w", k.name, err)
			}
		}
		if err := dropCapabilities(); err != nil {
			return err
		}
		return f()
	})
}
