package componenttest

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
)

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
