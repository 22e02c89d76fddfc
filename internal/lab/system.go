package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/lab/machine"
	"lifeboat/internal/sandbox"
)

// installName is the double that turns a root into a bare system. It runs
// before there is a spec to load.
const installName = "lab-install"

func init() {
	if filepath.Base(os.Args[0]) != installName {
		return
	}
	if err := installSystem(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func installSystem() error {
	var spec machine.Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read the spec: %w", err)
	}
	m := machine.New(spec)
	if err := m.Save(); err != nil {
		return err
	}
	if err := m.InstallSystem(); err != nil {
		return err
	}
	if err := machine.Install(products[spec.Plays].system...); err != nil {
		return err
	}
	return m.BringUp()
}

// Open returns the system that some process built in dir.
func Open(dir string) (*System, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	box, err := sandbox.Open(filepath.Join(dir, "box"))
	if err != nil {
		return nil, err
	}
	return &System{Sandbox: box, dir: dir}, nil
}

// insidePath is the lab's: its doubles of reboot and shutdown before the sandbox's.
const insidePath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Exec runs a command inside as an administrator would. A system that rebooted
// is brought up first.
func (s *System) Exec(ctx context.Context, c sandbox.Command) error {
	if s.Ending() == sandbox.Reboot {
		if err := s.Wait(ctx); err != nil {
			return err
		}
		if err := s.Start(ctx); err != nil && !errors.Is(err, sandbox.ErrRunning) {
			return err
		}
	}
	return s.Run(ctx, c)
}

// Run runs a command inside.
func (s *System) Run(ctx context.Context, c sandbox.Command) error {
	c.Env = append([]string{insidePath}, c.Env...)
	return s.Sandbox.Run(ctx, c)
}

// Spawn starts a command inside.
func (s *System) Spawn(ctx context.Context, c sandbox.Command) (*sandbox.Process, error) {
	c.Env = append([]string{insidePath}, c.Env...)
	return s.Sandbox.Spawn(ctx, c)
}

// Shell runs a shell line inside and returns what it printed on both streams.
func (s *System) Shell(ctx context.Context, line string) (string, error) {
	var out bytes.Buffer
	err := s.Exec(ctx, sandbox.Command{Args: []string{"/bin/bash", "-c", line}, Stdout: &out, Stderr: &out})
	return out.String(), err
}

// Reboot stops the system in order and starts it again.
func (s *System) Reboot(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Destroy removes the system with everything in its directory that the lab made.
func (s *System) Destroy(ctx context.Context) error { return Destroy(ctx, s.dir) }

// Destroy removes the system in dir, whatever state it is in.
func Destroy(ctx context.Context, dir string) error {
	if err := sandbox.Remove(ctx, filepath.Join(dir, "box")); err != nil {
		return err
	}
	for _, path := range []string{filepath.Join(dir, "client.json"), dir} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("destroy lab system: %w", err)
		}
	}
	return nil
}

// Call is a line of the log of calls.
type Call struct {
	Time time.Time
	Name string
	Args []string
}

// String is the command line without quotes.
func (c Call) String() string { return strings.TrimSpace(c.Name + " " + strings.Join(c.Args, " ")) }

// Calls returns, in order, the calls of doubles that were made inside.
func (s *System) Calls(ctx context.Context) ([]Call, error) {
	var out bytes.Buffer
	err := s.Exec(ctx, sandbox.Command{Args: []string{"/bin/sh", "-c", "cat " + machine.CallsLog + " 2>/dev/null || true"}, Stdout: &out})
	if err != nil {
		return nil, err
	}
	var calls []Call
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		fields := strings.SplitN(line, "\t", 3)
		if len(fields) < 3 {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, fields[0])
		if err != nil {
			return nil, fmt.Errorf("log of calls: %w", err)
		}
		calls = append(calls, Call{Time: at, Name: fields[1], Args: unquote(fields[2])})
	}
	return calls, nil
}

func unquote(s string) []string {
	var args []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return append(args, s)
		}
		arg, _ := strconv.Unquote(quoted)
		args, s = append(args, arg), s[len(quoted):]
	}
	return args
}

// Client is the identity of a client registered with the server when it was
// built, as its product writes it. It works against whatever system took the
// server's place.
func (s *System) Client() (json.RawMessage, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, "client.json"))
	if err != nil {
		return nil, fmt.Errorf("no client knows this system: %w", err)
	}
	return raw, nil
}

// Refresh plays a client's contact with its server over HTTPS. It fails when the
// client's trust or identity is gone, and moves its last contact otherwise.
func (s *System) Refresh(ctx context.Context, client json.RawMessage) error {
	return s.run(ctx, sandbox.Command{Args: []string{machine.Program}, Name: "client-refresh", Stdin: bytes.NewReader(client)})
}
