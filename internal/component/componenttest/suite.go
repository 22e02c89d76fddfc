// Package componenttest is the conformance suite that every kind of component
// passes: what is captured comes back after a loss; a restore that is killed at
// any boundary is completed or reversed exactly; errors of the disk and of the
// repository change nothing. It is imported by tests only.
package componenttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/component/boundary"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

// Fixture is what the suite needs of a kind: a live part that can be made,
// altered and lost again and again in one directory.
type Fixture struct {
	Kind component.Kind
	// Spec describes the component; dir is the directory that the live part is in.
	Spec func(dir string) profile.Component
	// Env, when set, changes what the component is given.
	Env func(env *component.Env, dir string)
	// Populate makes the live part, whatever was there before; always the same.
	Populate func(t testing.TB, dir string)
	// Alter changes the live part in every way that a restore has to undo.
	Alter func(t testing.TB, dir string)
	// Lose destroys the live part.
	Lose func(t testing.TB, dir string)
	// State describes the live part by bytes and metadata.
	State func(t testing.TB, dir string) string
	// Around describes all that Rollback must bring back; nil is State.
	Around func(t testing.TB, dir string) string
	// Merges says that a restore over an altered part keeps some of it.
	Merges bool
	// Passive says that a restore changes nothing.
	Passive bool
	// Stays says that losing is impossible: the part is always there.
	Stays bool
	// MissingOK says that a capture of nothing succeeds.
	MissingOK bool
	// Owners, when set, translates owners.
	Owners component.Owners
	// Every makes the suite stop only at each n-th boundary; 0 is 1.
	Every int
}

// Run runs the whole suite.
func Run(t *testing.T, f Fixture) {
	t.Helper()
	if f.Around == nil {
		f.Around = f.State
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"comes back after a loss", comesBack},
		{"rolls back", rollsBack},
		{"discards", discards},
		{"survives a kill of the restore", killedRestore},
		{"survives a kill of the rollback", killedRollback},
		{"survives a kill of the discard", killedDiscard},
		{"ends when told", cancelled},
		{"full repository", fullSink},
		{"broken repository", brokenSource},
		{"absent part", absent},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, newSuite(t, f)) })
	}
}

// suite is one part's state: a captured live part.
type suite struct {
	Fixture
	t        *testing.T
	dir      string
	record   component.Record
	source   component.Source
	captured string // State at capture
	runs     int
}

// instance is a component of one run; several may share the run, as processes
// after a kill do.
type instance struct {
	component.Component
	*suite
	env component.Env
}

// quickDir is a directory in memory where there is one: a suite writes the file
// system to disk hundreds of times, which other work on the machine would slow
// down. The result is inside a directory of its own.
func quickDir(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err == nil && st.Type == unix.TMPFS_MAGIC {
		if dir, err := os.MkdirTemp("/dev/shm", "componenttest-"); err == nil {
			t.Cleanup(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			top = dir
		}
	}
	dir := filepath.Join(top, "machine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newSuite(t *testing.T, f Fixture) *suite {
	s := &suite{Fixture: f, t: t, dir: quickDir(t)}
	f.Populate(t, s.dir)
	c := s.fresh()
	spec := f.Spec(s.dir)
	s.record = component.Record{Name: spec.Name, Kind: f.Kind.Name, Importance: spec.Importance, Capture: spec.Capture, Status: component.StatusCaptured}
	in, err := c.Inspect(t.Context())
	if err != nil || !in.Present {
		t.Fatalf("Inspect before the capture: present %v, %v", in.Present, err)
	}
	before := f.Around(t, s.dir)
	store := NewStore(t)
	s.source = store.Save(t, func(ctx context.Context, sink component.Sink) error {
		got, err := c.Capture(ctx, sink)
		if err != nil {
			return err
		}
		detail, err := json.Marshal(got.Detail)
		s.record.Detail, s.record.Paths, s.record.Streams = detail, got.Paths, got.Streams
		s.record.Bytes, s.record.Items, s.record.Warnings = got.Bytes, got.Items, got.Warnings
		return err
	})
	s.captured = f.State(t, s.dir)
	same(t, "a capture changed the live part", before, f.Around(t, s.dir))
	// A manifest is read from JSON.
	text, err := json.Marshal(s.record)
	if err == nil {
		s.record = component.Record{}
		err = json.Unmarshal(text, &s.record)
	}
	if err != nil {
		t.Fatalf("record does not survive JSON: %v", err)
	}
	return s
}

// fresh is the component in a new run.
func (s *suite) fresh() *instance {
	s.runs++
	env := component.Env{Host: host.Local(), Run: fmt.Sprintf("run%d", s.runs), State: filepath.Join(s.dir, "..", "state", fmt.Sprint(s.runs))}
	if s.Env != nil {
		s.Env(&env, s.dir)
	}
	return s.in(env)
}

func (s *suite) in(env component.Env) *instance {
	c, err := s.Kind.New(env, s.Spec(s.dir))
	if err != nil {
		s.t.Fatal(err)
	}
	return &instance{Component: c, suite: s, env: env}
}

// again is the same component in another process of the same run.
func (c *instance) again() *instance { return c.in(c.env) }

func (c *instance) restore(ctx context.Context) error {
	return c.Restore(ctx, c.source, c.options())
}

func (s *suite) options() component.RestoreOptions {
	return component.RestoreOptions{Record: s.record, Owners: s.Owners, Warn: func(m string) { s.t.Log(m) }, Progress: func(int64, int64) {}}
}

func (c *instance) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// isRestored fails unless the live part is as captured.
func (c *instance) isRestored(over string) {
	c.t.Helper()
	switch {
	case c.Passive:
		same(c.t, "a passive kind changed something", over, c.Around(c.t, c.dir))
	case !c.Merges:
		same(c.t, "restored part differs", c.captured, c.State(c.t, c.dir))
	}
	checks, err := c.Check(c.t.Context(), c.record)
	c.must("Check", err)
	for _, check := range checks {
		if !check.OK && !c.Merges && !c.Passive {
			c.t.Fatalf("check failed: %+v", check)
		}
	}
}

// altered makes the live part again and alters it.
func (s *suite) altered() (state string) {
	s.t.Helper()
	s.Populate(s.t, s.dir)
	s.Alter(s.t, s.dir)
	return s.Around(s.t, s.dir)
}

func comesBack(t *testing.T, s *suite) {
	if s.Lose != nil && !s.Stays {
		s.Lose(t, s.dir)
		in, err := s.fresh().Inspect(t.Context())
		if err != nil || in.Present {
			t.Fatalf("Inspect after the loss: present %v, %v", in.Present, err)
		}
		lost := s.Around(t, s.dir)
		c := s.fresh()
		c.must("restore after loss", c.restore(t.Context()))
		same(t, "restored part differs", s.captured, s.State(t, s.dir))
		checks, err := c.Check(t.Context(), s.record)
		c.must("Check", err)
		if len(checks) == 0 {
			t.Error("Check states nothing")
		}
		for _, check := range checks {
			if !check.OK {
				t.Errorf("check failed: %+v", check)
			}
		}
		c.must("restore twice", c.again().restore(t.Context()))
		same(t, "second restore changed the part", s.captured, s.State(t, s.dir))
		c.must("rollback", c.Rollback(t.Context()))
		same(t, "rollback to nothing", lost, s.Around(t, s.dir))
	}
	before := s.altered()
	c := s.fresh()
	c.must("restore over altered", c.restore(t.Context()))
	c.isRestored(before)
}

func rollsBack(t *testing.T, s *suite) {
	before := s.altered()
	c := s.fresh()
	c.must("rollback without restore", c.Rollback(t.Context()))
	c.must("discard without restore", c.Discard(t.Context()))
	same(t, "nothing was to be done", before, s.Around(t, s.dir))
	c.must("restore", c.restore(t.Context()))
	for range 2 {
		c.must("rollback", c.again().Rollback(t.Context()))
		same(t, "rollback does not bring back what was", before, s.Around(t, s.dir))
	}
	c.must("restore after rollback", c.again().restore(t.Context()))
	c.isRestored(before)
	c.must("rollback", c.again().Rollback(t.Context()))
	same(t, "second rollback does not bring back what was", before, s.Around(t, s.dir))
}

func discards(t *testing.T, s *suite) {
	before := s.altered()
	c := s.fresh()
	c.must("restore", c.restore(t.Context()))
	for range 2 {
		c.must("discard", c.again().Discard(t.Context()))
		c.isRestored(before)
	}
	noResidue(t, s.dir)
}

// stopAt runs f and stops it at its n-th boundary as a kill would. It tells
// whether there was such a boundary and otherwise f's error.
func stopAt(ctx context.Context, n int, f func(ctx context.Context) error) (stopped bool, name string, err error) {
	reached, done := make(chan string), make(chan error, 1)
	count := 0
	go func() {
		done <- f(boundary.Observe(ctx, func(name string) {
			if count++; count == n {
				reached <- name
				select {}
			}
		}))
	}()
	select {
	case name := <-reached:
		return true, name, nil
	case err := <-done:
		return false, "", err
	}
}

// eachStop calls try for every boundary that f of a fresh run has.
func (s *suite) eachStop(prepare func() *instance, f func(c *instance, ctx context.Context) error, try func(t *testing.T, c *instance)) {
	s.t.Helper()
	for n := 1; ; n += max(1, s.Every) {
		c := prepare()
		stopped, name, err := stopAt(s.t.Context(), n, func(ctx context.Context) error { return f(c, ctx) })
		if err != nil {
			s.t.Fatalf("not stopped before boundary %d, and failed: %v", n, err)
		}
		if !stopped {
			s.t.Logf("%d boundaries", n-1)
			return
		}
		try(s.t, c.again())
		if s.t.Failed() {
			s.t.Fatalf("after a kill at boundary %d, %q", n, name)
		}
	}
}

func killedRestore(t *testing.T, s *suite) {
	var before string
	prepare := func() *instance {
		before = s.altered()
		return s.fresh()
	}
	s.eachStop(prepare, (*instance).restore, func(t *testing.T, c *instance) {
		defer func() {
			if t.Failed() {
				t.Log("resuming")
			}
		}()
		c.must("resume", c.restore(t.Context()))
		c.isRestored(before)
		c.must("rollback of the resumed", c.again().Rollback(t.Context()))
		same(t, "rollback of the resumed", before, s.Around(t, s.dir))
	})
	s.eachStop(prepare, (*instance).restore, func(t *testing.T, c *instance) {
		for range 2 {
			c.must("rollback", c.again().Rollback(t.Context()))
			same(t, "rollback of a killed restore", before, s.Around(t, s.dir))
		}
	})
}

func killedRollback(t *testing.T, s *suite) {
	var before string
	s.eachStop(func() *instance {
		before = s.altered()
		c := s.fresh()
		c.must("restore", c.restore(t.Context()))
		return c
	}, func(c *instance, ctx context.Context) error { return c.Rollback(ctx) }, func(t *testing.T, c *instance) {
		c.must("rollback", c.Rollback(t.Context()))
		same(t, "rollback of a killed rollback", before, s.Around(t, s.dir))
		c.must("restore", c.again().restore(t.Context()))
		c.isRestored(before)
	})
}

func killedDiscard(t *testing.T, s *suite) {
	var before string
	s.eachStop(func() *instance {
		before = s.altered()
		c := s.fresh()
		c.must("restore", c.restore(t.Context()))
		return c
	}, func(c *instance, ctx context.Context) error { return c.Discard(ctx) }, func(t *testing.T, c *instance) {
		c.must("discard", c.Discard(t.Context()))
		c.isRestored(before)
		noResidue(t, s.dir)
	})
}

func cancelled(t *testing.T, s *suite) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	before := s.altered()
	for name, f := range map[string]func(c *instance) error{
		"Inspect": func(c *instance) error { _, err := c.Inspect(gone); return err },
		"Capture": func(c *instance) error { _, err := c.Capture(gone, refusing{context.Canceled}); return err },
		"Restore": func(c *instance) error { return c.restore(gone) },
		"Check":   func(c *instance) error { _, err := c.Check(gone, s.record); return err },
	} {
		if err := f(s.fresh()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", name, err)
		}
	}
	same(t, "an ended context changed something", before, s.Around(t, s.dir))
	for n := 1; ; n += 3 * max(1, s.Every) {
		before := s.altered()
		c := s.fresh()
		ctx, cancel := context.WithCancel(t.Context())
		count := 0
		err := c.restore(boundary.Observe(ctx, func(string) {
			if count++; count == n {
				cancel()
			}
		}))
		cancel()
		if count < n {
			break
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled at boundary %d: %v", n, err)
		}
		c.must("rollback of a cancelled restore", c.again().Rollback(t.Context()))
		same(t, "rollback of a cancelled restore", before, s.Around(t, s.dir))
	}
}

func fullSink(t *testing.T, s *suite) {
	s.Populate(t, s.dir)
	if _, err := s.fresh().Capture(t.Context(), refusing{unix.ENOSPC}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("capture into a full repository: %v", err)
	}
}

func brokenSource(t *testing.T, s *suite) {
	if s.Passive {
		t.Skip("a passive kind restores nothing")
	}
	broken := errors.New("pack is damaged")
	for calls := range 50 {
		before := s.altered()
		c := s.fresh()
		source := &breaking{Source: s.source, left: calls, err: broken}
		err := c.Restore(t.Context(), source, s.options())
		if err == nil {
			if !source.broke {
				return
			}
			t.Fatal("a damaged repository is no error")
		}
		if !errors.Is(err, broken) {
			t.Fatalf("error of the repository is lost: %v", err)
		}
		c.must("rollback", c.again().Rollback(t.Context()))
		same(t, "a failed restore cannot be rolled back", before, s.Around(t, s.dir))
	}
}

func absent(t *testing.T, s *suite) {
	if s.Stays || s.Lose == nil {
		t.Skip("this part cannot be absent")
	}
	s.Lose(t, s.dir)
	c := s.fresh()
	in, err := c.Inspect(t.Context())
	if err != nil || in.Present {
		t.Errorf("Inspect: present %v, %v", in.Present, err)
	}
	_, err = c.Capture(t.Context(), refusing{errors.New("nothing is to be stored")})
	switch {
	case s.MissingOK && err != nil:
		t.Errorf("capture of nothing: %v", err)
	case !s.MissingOK && !errors.Is(err, fs.ErrNotExist):
		t.Errorf("capture of nothing: %v, want an fs.ErrNotExist", err)
	}
	checks, err := c.Check(t.Context(), s.record)
	c.must("Check", err)
	failed := false
	for _, check := range checks {
		failed = failed || !check.OK
	}
	if !failed {
		t.Errorf("checks of nothing pass: %+v", checks)
	}
}

// same fails with the first differing lines.
func same(t testing.TB, what, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	have := map[string]bool{}
	for _, line := range g {
		have[line] = true
	}
	wanted := map[string]bool{}
	var out []string
	for _, line := range w {
		wanted[line] = true
		if !have[line] {
			out = append(out, "- "+line)
		}
	}
	for _, line := range g {
		if !wanted[line] {
			out = append(out, "+ "+line)
		}
	}
	t.Fatalf("%s (- wanted, + found):\n%s", what, strings.Join(out[:min(len(out), 20)], "\n"))
}
