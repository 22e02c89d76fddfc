package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// bootOrder is what Start hands to the init.
type bootOrder struct {
	Record record
	BootID string
	Held   bool // descriptor 5 is the pipe of DieWithParent
}

// bootReport is what the init answers when it is up, or cannot be.
type bootReport struct {
	Error string
}

// Start boots the sandbox and returns when its boot program has ended. A
// sandbox that went down may be started again; what was written stays. ctx
// bounds the start only.
func (s *Sandbox) Start(ctx context.Context) error {
	lock := flock.New(filepath.Join(s.dir, "start.lock"))
	if _, err := lock.TryLockContext(ctx, startRetry); err != nil {
		return fmt.Errorf("start sandbox %s: %w", s.dir, err)
	}
	defer lock.Close()
	if s.Running() {
		return ErrRunning
	}
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("start sandbox %s: %w", s.dir, err)
	}
	if err := s.boot(ctx); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
		defer cancel()
		return errors.Join(fmt.Errorf("start sandbox %s: %w", s.dir, err), s.Stop(ctx))
	}
	return nil
}

func (s *Sandbox) boot(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	console, err := os.OpenFile(s.Console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	orderR, orderW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orderR.Close()
	defer orderW.Close()
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reportR.Close()
	defer reportW.Close()
	cmd := exec.Command(exe)
	cmd.Args = []string{initName}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + defaultPath, "LANG=C.UTF-8", "HOME=/root"}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{orderR, reportW}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
	}
	var held *os.File
	if s.record.Options.DieWithParent {
		heldR, heldW, err := os.Pipe()
		if err != nil {
			return err
		}
		defer heldR.Close()
		held, cmd.ExtraFiles = heldW, append(cmd.ExtraFiles, heldR)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	pending := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is told by Ending
		close(pending)
	}()
	s.mu.Lock()
	s.held, s.pending = held, pending
	s.mu.Unlock()
	// The init waits for its order, so that it never runs without its pid on file.
	if err := writePid(s.dir, cmd.Process.Pid); err != nil {
		return err
	}
	reportW.Close()
	if err := plug(cmd.Process.Pid, s.record.Options.Interfaces); err != nil {
		return err
	}
	order := bootOrder{Record: s.record, BootID: uuid(), Held: held != nil}
	if err := json.NewEncoder(orderW).Encode(order); err != nil {
		return fmt.Errorf("talk to the init: %w", err)
	}
	orderW.Close()
	return s.await(ctx, cmd.Process, reportR)
}

func (s *Sandbox) await(ctx context.Context, init *os.Process, report *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = init.Kill() })
	defer stop()
	raw, err := io.ReadAll(report)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var answer bootReport
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("the init ended early: %s", tail(s.Console(), 2000))
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// uuid makes a random UUID (RFC 9562, version 4), as the kernel's boot id is.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
