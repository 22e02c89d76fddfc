package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
)

// plan draws what a client does next.
func (c *client) plan() operation {
	rng := c.s.child()
	op := c.choose(rng)
	if rng.IntN(5) < 2 {
		op.fault = drawFault(rng)
	}
	return op
}

func drawFault(rng *rand.Rand) (f fault) {
	n := 1 + rng.IntN(8)
	switch rng.IntN(8) {
	case 0, 1, 2:
		f.kill, f.late = 1+rng.IntN(25), rng.IntN(2) == 0
	case 3:
		f.lose = n
	case 4:
		f.double = n
	case 5, 6:
		f.from, f.transient = 1+rng.IntN(20), 1+rng.IntN(4)
	case 7:
		f.fullFrom, f.full = n, 1+rng.IntN(4)
	}
	return f
}

// choose draws an operation by weight.
func (c *client) choose(rng *rand.Rand) operation {
	if c.session != nil && rng.IntN(3) == 0 {
		if rng.IntN(4) == 0 {
			return operation{text: "aborts its session", run: c.abort}
		}
		return operation{text: "commits its session", run: c.commit}
	}
	table := []struct {
		weight int
		make   func(*rand.Rand) operation
	}{
		{30, c.planBackup},
		{8, c.planSession},
		{3, c.planAbort},
		{10, c.planRestore},
		{5, c.planWalk},
		{9, c.planForget},
		{5, c.planRepair},
		{4, c.planCheck},
		{4, c.planReopen},
		{7, c.planKey},
		{4, c.planUnlock},
		{9, c.planPrune},
		{8, c.planCopy},
	}
	total := 0
	for _, row := range table {
		total += row.weight
	}
	n := rng.IntN(total)
	for _, row := range table {
		if n -= row.weight; n < 0 {
			return row.make(rng)
		}
	}
	panic("unreachable")
}

func (c *client) change(rng *rand.Rand) error {
	for range rng.IntN(5) {
		if err := c.src.mutate(); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) parent(rng *rand.Rand) *point {
	switch rng.IntN(4) {
	case 0:
		return nil
	case 1:
		return c.s.state.any(rng)
	}
	if c.last != nil && c.s.state.has(c.last) == present {
		return c.last
	}
	return nil
}

// prepared is a backup up to its end.
func (c *client) prepared(rng *rand.Rand) (tag string, begin func(context.Context) error) {
	tag = c.s.tag()
	parent := c.parent(rng)
	return tag, func(ctx context.Context) error {
		if c.session != nil { // one at a time: it is ended first
			if err := c.abort(ctx); err != nil {
				return err
			}
		}
		if err := c.change(rng); err != nil {
			return lost("%v", err)
		}
		err := c.begin(ctx, rng, tag, parent)
		if err != nil && c.session != nil {
			err = errors.Join(err, c.abort(ctx))
		}
		return err
	}
}

func (c *client) planBackup(rng *rand.Rand) operation {
	tag, begin := c.prepared(rng)
	return operation{text: "backs up " + tag, run: func(ctx context.Context) error {
		if err := begin(ctx); err != nil {
			return err
		}
		return c.commit(ctx)
	}}
}

func (c *client) planSession(rng *rand.Rand) operation {
	tag, begin := c.prepared(rng)
	return operation{text: "begins " + tag, run: begin}
}

func (c *client) planAbort(rng *rand.Rand) operation {
	tag, begin := c.prepared(rng)
	return operation{text: "backs up and aborts " + tag, run: func(ctx context.Context) error {
		if err := begin(ctx); err != nil {
			return err
		}
		return c.abort(ctx)
	}}
}

// planRestore has whatever comes back compared, faults or not: what is restored
// without an error is right.
func (c *client) planRestore(rng *rand.Rand) operation {
	p := c.s.state.any(rng)
	if p == nil {
		return c.planBackup(rng)
	}
	return operation{text: "restores " + p.tag, run: func(ctx context.Context) error {
		snap, err := c.repo.LoadSnapshot(ctx, p.id)
		if err != nil {
			return err
		}
		return p.restore(ctx, c.repo, snap, c.s.dir)
	}}
}

func (c *client) planWalk(rng *rand.Rand) operation {
	p := c.s.state.any(rng)
	if p == nil {
		return c.planBackup(rng)
	}
	return operation{text: "walks " + p.tag, run: func(ctx context.Context) error {
		// A walk takes no lock by itself.
		lock, err := c.repo.ReadLock(ctx)
		if err != nil {
			return err
		}
		snap, err := c.repo.LoadSnapshot(ctx, p.id)
		if err == nil {
			err = p.walk(ctx, c.repo, snap)
		}
		return errors.Join(err, lock.Release())
	}}
}

func (c *client) planForget(rng *rand.Rand) operation {
	p := c.s.state.any(rng)
	if p == nil {
		return c.planBackup(rng)
	}
	return operation{text: "forgets " + p.tag, run: func(ctx context.Context) error {
		err := c.repo.Forget(ctx, p.id)
		switch {
		case err == nil, errors.Is(err, repository.ErrNoSnapshot):
			c.s.state.set(p, absent, repository.ID{})
		case !errors.Is(err, repository.ErrLocked) && c.s.state.has(p) == present:
			c.s.state.set(p, unsure, repository.ID{})
		}
		return err
	}}
}

func (c *client) planRepair(*rand.Rand) operation {
	return operation{text: "repairs the index", run: func(ctx context.Context) error {
		_, err := c.repo.RepairIndex(ctx)
		return err
	}}
}

func (c *client) planCheck(rng *rand.Rand) operation {
	all := rng.IntN(2) == 0
	return operation{text: "checks", run: func(ctx context.Context) error {
		report, err := c.repo.Check(ctx, repository.CheckOptions{ReadData: all})
		if err != nil {
			return err
		}
		return c.s.main.sound(report)
	}}
}

func (c *client) planReopen(rng *rand.Rand) operation {
	valid := c.s.state.valid()
	password := valid[rng.IntN(len(valid))]
	return operation{text: "opens again with " + password, run: func(ctx context.Context) error {
		if c.session != nil {
			if err := c.abort(ctx); err != nil {
				return err
			}
		}
		if err := c.repo.Close(); err != nil {
			return err
		}
		before := c.link
		err := c.open(ctx, password)
		if err != nil && c.s.state.is(password) != present {
			return nil // removed meanwhile
		}
		if err == nil {
			c.link.arm(before.rest())
		}
		return err
	}}
}

func (c *client) planUnlock(*rand.Rand) operation {
	return operation{text: "removes stale locks", run: func(ctx context.Context) error {
		_, err := c.repo.Unlock(ctx, false)
		return err
	}}
}

// planPrune removes what no snapshot needs.
func (c *client) planPrune(rng *rand.Rand) operation {
	opts := repository.PruneOptions{
		DryRun:    rng.IntN(8) == 0,
		MaxUnused: []float64{0, 0, 0.05, 0.5}[rng.IntN(4)],
		KeepPacks: rng.IntN(6) == 0,
	}
	if rng.IntN(6) == 0 {
		opts.MaxRepack = 10_000
	}
	return operation{text: "prunes", run: func(ctx context.Context) error {
		_, err := c.repo.Prune(ctx, opts)
		return err
	}}
}

// planCopy copies one snapshot to the second repository, or all there are.
func (c *client) planCopy(rng *rand.Rand) operation {
	points := []*point{c.s.state.any(rng)}
	if points[0] == nil {
		return c.planBackup(rng)
	}
	if other := c.s.state.any(rng); other != points[0] && rng.IntN(2) == 0 {
		points = append(points, other)
	}
	var f fault
	if rng.IntN(4) == 0 {
		f = drawFault(rng)
	}
	prune := rng.IntN(4) == 0
	return operation{text: fmt.Sprintf("copies %s (%s there)", points[0].tag, f), run: func(ctx context.Context) (err error) {
		link, store := c.store(c.s.copy)
		c.second = link
		dst, err := repository.Open(ctx, store, []byte(secondPassword), c.opts)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dst.Close()) }()
		link.arm(f)
		var snaps []*repository.Snapshot
		for _, p := range points {
			snap, err := c.repo.LoadSnapshot(ctx, p.id)
			if err != nil {
				return err
			}
			snaps = append(snaps, snap)
		}
		known := c.s.copied.expect(points)
		report, err := c.repo.Copy(ctx, dst, snaps, repository.CopyOptions{})
		for _, done := range report.Snapshots {
			for i, snap := range snaps {
				if snap.ID == done.ID {
					c.s.copied.set(known[i], present, done.Copy)
				}
			}
		}
		for _, d := range report.Damaged {
			err = errors.Join(err, d.Err)
		}
		if err == nil && len(report.Snapshots) != len(snaps) {
			return lost("%d snapshots of %d were copied, without an error", len(report.Snapshots), len(snaps))
		}
		if err == nil && prune {
			_, err = dst.Prune(ctx, repository.PruneOptions{})
		}
		return err
	}}
}

// rest is the part of a fault that has not happened yet.
func (l *link) rest() fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fault
	if f.kill > 0 {
		f.kill = max(1, f.kill-l.ops)
	}
	return f
}

// interlude is what happens to all: time passes, a network fails, the power is cut.
func (s *sequence) interlude() error {
	rng := s.child()
	switch n := rng.IntN(10); {
	case n < 5:
		minutes := 1 + rng.IntN(70)
		s.logf("%d minutes pass", minutes)
		time.Sleep(time.Duration(minutes) * time.Minute)
	case n < 7:
		back := s.main.powerCut(func() bool { return rng.IntN(2) == 0 })
		for _, c := range s.clients {
			c.die()
		}
		s.logf("the power is cut; %d locks are back", back)
	case n < 9:
		return s.outage(context.Background(), rng, s.clients[rng.IntN(len(s.clients))])
	default:
		for _, c := range s.clients {
			if c.session != nil {
				return nil
			}
		}
		for _, h := range s.main.Handles(storage.Lock) {
			s.main.Memory.Remove(context.Background(), h)
		}
		s.logf("all locks are removed by hand")
	}
	return nil
}

// outage cuts a client off, often in the middle of a backup, and for so long that
// the other may take its lock for stale.
func (s *sequence) outage(ctx context.Context, rng *rand.Rand, c *client) error {
	other := s.other(c)
	if err := errors.Join(c.ensure(ctx), other.ensure(ctx)); err != nil {
		return err
	}
	alone := func(c *client, op operation) error {
		s.turn.enter(c)
		return errors.Join(c.do(ctx, op, true), s.resolve(ctx))
	}
	if c.session == nil && rng.IntN(4) > 0 {
		if err := errors.Join(alone(c, c.planSession(rng)), c.ensure(ctx)); err != nil {
			return err
		}
	}
	s.state.broken = true
	c.link.sever(true)
	minutes := 20 + rng.IntN(50)
	s.logf("%s has no network for %d minutes", c.name, minutes)
	time.Sleep(time.Duration(minutes)*time.Minute + time.Duration(rng.IntN(60))*time.Second)
	for range rng.IntN(3) {
		plan := other.plan()
		if rng.IntN(2) == 0 {
			plan = other.planPrune(rng)
		}
		if err := errors.Join(alone(other, plan), other.ensure(ctx)); err != nil {
			return err
		}
	}
	c.link.sever(false)
	s.logf("%s has a network again", c.name)
	if c.session == nil {
		return nil
	}
	commit := operation{text: "commits its session", run: c.commit}
	if rng.IntN(2) == 0 {
		return alone(c, commit)
	}
	return s.atOnce(ctx, c, commit, other.planPrune(rng))
}

// atOnce has both clients do something, the first beginning.
func (s *sequence) atOnce(ctx context.Context, first *client, one, two operation) error {
	s.logf("at once:")
	second := s.other(first)
	s.turn.enter(first)
	s.turn.enter(second)
	var errs [2]error
	var g sync.WaitGroup
	g.Go(func() { errs[0] = first.do(ctx, one, false) })
	g.Go(func() { errs[1] = second.do(ctx, two, false) })
	g.Wait()
	return errors.Join(errs[:]...)
}

func (s *sequence) tag() string {
	s.tags++
	return fmt.Sprint("#", s.tags)
}
