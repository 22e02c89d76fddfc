// Package componenttest is the conformance suite that every kind of component
// passes: what is captured comes back after a loss; a restore that is killed at
// any boundary is completed or reversed exactly; errors of the disk and of the
// repository change nothing; a comparison finds what differs and touches nothing.
// It is imported by tests only.
package componenttest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
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
	// Reads says that a library reads the part, and sets access times.
	Reads bool
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
		{"compares", compares},
		{"compares nothing that is broken", comparesNoRuin},
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
	s.record.Started = time.Now()
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
