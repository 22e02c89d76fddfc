package sandbox

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is a pseudo terminal of the sandbox and what is copied to and from it.
type terminal struct {
	master, slave *os.File
	copied        sync.WaitGroup
	restore       func()
	resized       chan os.Signal
}

// openTerminal opens a terminal in the present root and makes it the
// controlling terminal and the streams of cmd.
func openTerminal(cmd *exec.Cmd) (*terminal, error) {
	master, err := os.OpenFile("/dev/pts/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	t := &terminal{master: master}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		t.slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.slave, t.slave, t.slave
	cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, 0
	kind := os.Getenv("TERM")
	if kind == "" {
		kind = "xterm"
	}
	cmd.Env = append(cmd.Env, "TERM="+kind)
	return t, nil
}

// started begins to copy, or closes everything when the program did not start.
func (t *terminal) started(c Command, ok bool) {
	t.slave.Close()
	if !ok {
		t.master.Close()
		return
	}
	out := c.Stdout
	if out == nil {
		out = io.Discard
	}
	if in, isFile := c.Stdin.(*os.File); isFile && term.IsTerminal(int(in.Fd())) {
		t.adopt(in)
	}
	if c.Stdin != nil {
		go func() { _, _ = io.Copy(t.master, c.Stdin) }()
	}
	// The master reads EIO once the last process has closed the terminal.
	t.copied.Go(func() { _, _ = io.Copy(out, t.master) })
}

// adopt makes the caller's terminal raw and follows its size.
func (t *terminal) adopt(in *os.File) {
	if state, err := term.MakeRaw(int(in.Fd())); err == nil {
		t.restore = func() { _ = term.Restore(int(in.Fd()), state) }
	}
	resize := func() {
		if size, err := unix.IoctlGetWinsize(int(in.Fd()), unix.TIOCGWINSZ); err == nil {
			_ = unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, size)
		}
	}
	resize()
	t.resized = make(chan os.Signal, 1)
	signal.Notify(t.resized, unix.SIGWINCH)
	go func() {
		for range t.resized {
			resize()
		}
	}()
}

func (t *terminal) close() {
	t.copied.Wait()
	if t.resized != nil {
		signal.Stop(t.resized)
		close(t.resized)
	}
	if t.restore != nil {
		t.restore()
	}
	t.master.Close()
}
