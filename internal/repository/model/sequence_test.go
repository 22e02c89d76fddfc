package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"lifeboat/internal/repository"
)

const secondPassword = "password of the copy"

// sequence is one history of a repository, drawn from a seed.
type sequence struct {
	rng     *rand.Rand
	dir     string // of sources and restored trees
	turn    *turn
	main    *place
	state   *state
	copy    *place // the second repository, which main is copied to
	copied  *state
	clients []*client
	tags    int

	mu  sync.Mutex
	log []string
}

// cheap makes keys that cost nothing.
var cheap = repository.ScryptParams{N: 2, R: 1, P: 1}

func (s *sequence) child() *rand.Rand { return rand.New(rand.NewPCG(s.rng.Uint64(), s.rng.Uint64())) }

func (s *sequence) logf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (s *sequence) prepare(seed uint64, dir string) error {
	s.rng, s.dir = rand.New(rand.NewPCG(seed, 1)), dir
	s.main, s.state = newPlace("main"), newState()
	s.copy, s.copied = newPlace("copy"), newState()
	toss := s.child()
	s.turn = &turn{toss: func() bool { return toss.IntN(3) == 0 }}
	s.main.tears = s.rng.IntN(5) == 0
	s.copy.tears = s.main.tears
	pool := newPool(s.child())
	for i, name := range []string{"alpha", "beta"} {
		root := dir + "/" + name
		c := &client{name: name, s: s, phase: time.Duration(7_001+i*1_013) * time.Nanosecond, patient: s.rng.IntN(3) > 0}
		c.opts = repository.Options{
			Scrypt: cheap, Hostname: name, Username: "model",
			PackSize: []int{3_000, 20_000, 100_000}[s.rng.IntN(3)],
		}
		var err error
		if c.src, err = newSource(root, name, s.child(), pool); err != nil {
			return err
		}
		s.clients = append(s.clients, c)
	}
	return nil
}

// create makes the repository, as often as it takes.
func (s *sequence) create(ctx context.Context) error {
	const password = "password #0"
	c := s.clients[0]
	for try := range 20 {
		link, store := c.store(s.main)
		c.link = link
		var f fault
		if s.rng.IntN(3) == 0 && try < 3 {
			f = drawFault(s.child())
			f.kill = min(f.kill, 1+f.kill%8)
		}
		link.arm(f)
		r, err := repository.Create(ctx, store, []byte(password), c.opts)
		s.logf("%s creates the repository (%s): %v", c.name, f, err)
		struck := link.struck+link.soft > 0
		link.arm(fault{})
		if errors.Is(err, repository.ErrRepositoryExists) {
			r, err = repository.Open(ctx, store, []byte(password), c.opts)
			s.logf("%s opens it: %v", c.name, err)
		}
		if err == nil && link.dead { // when all but the cleaning up was done
			r.Close()
			continue
		}
		if err == nil {
			c.repo, c.password = r, password
			keys, err := r.Keys(ctx)
			if err != nil && !s.main.tornLeft() {
				return lost("list keys: %v", err)
			}
			for _, k := range keys {
				if k.Current {
					s.state.password(password, present, k.ID)
				}
			}
			return nil
		}
		if r != nil {
			r.Close()
		}
		if !struck && !link.dead {
			return fmt.Errorf("create: %w", err)
		}
	}
	return lost("the repository cannot be created")
}

// run plays the sequence's first steps and then judges what is left.
func (s *sequence) run(steps int) error {
	ctx := context.Background()
	defer func() {
		for _, c := range s.clients {
			c.die()
		}
	}()
	if err := s.create(ctx); err != nil {
		return err
	}
	if _, err := repository.Create(ctx, s.copy.Memory, []byte(secondPassword), s.clients[0].opts); err != nil {
		return err
	}
	s.copied.password(secondPassword, present, repository.ID{})
	for range steps {
		if err := s.step(ctx); err != nil {
			return err
		}
		if err := s.resolve(ctx); err != nil {
			return err
		}
	}
	return s.judge(ctx)
}

func (s *sequence) other(c *client) *client {
	if c == s.clients[0] {
		return s.clients[1]
	}
	return s.clients[0]
}

func (s *sequence) step(ctx context.Context) error {
	first := s.clients[s.rng.IntN(2)]
	switch n := s.rng.IntN(20); {
	case n == 0:
		return s.interlude()
	case n == 19:
		if err := first.ensure(ctx); err != nil {
			return err
		}
		return s.loss(ctx, first)
	case n < 5: // both at once
		second := s.other(first)
		if err := errors.Join(first.ensure(ctx), second.ensure(ctx)); err != nil {
			return err
		}
		return s.atOnce(ctx, first, first.plan(), second.plan())
	default:
		if err := first.ensure(ctx); err != nil {
			return err
		}
		plan := first.plan()
		s.turn.enter(first)
		return first.do(ctx, plan, true)
	}
}

// judge ends all clients and looks at what is left with the eyes of a new one.
func (s *sequence) judge(ctx context.Context) error {
	for _, c := range s.clients {
		c.die()
	}
	time.Sleep(time.Hour)
	s.logf("all clients have ended; an hour passes")
	prune := s.rng.IntN(2) == 0
	for _, side := range []struct {
		*place
		*state
	}{{s.main, s.state}, {s.copy, s.copied}} {
		j := &judge{s: s, place: side.place, state: side.state}
		if err := j.run(ctx, prune); err != nil {
			return fmt.Errorf("%s: %w", side.name, err)
		}
	}
	return nil
}

// play runs the sequence of a seed.
func play(t *testing.T, seed uint64, steps int) (s *sequence, err error) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	dir, err := scratch()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	slow := time.AfterFunc(time.Minute, func() { fmt.Fprintf(os.Stderr, "seed %d takes long\n", seed) })
	defer slow.Stop()
	s = new(sequence)
	synctest.Test(t, func(*testing.T) {
		err = safely(func() error {
			if err := s.prepare(seed, dir); err != nil {
				return err
			}
			return s.run(steps)
		})
	})
	return s, err
}
