package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"time"

	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
)

// client is one machine that uses the repository.
type client struct {
	name    string
	s       *sequence
	phase   time.Duration
	patient bool // its store repeats what failed for the moment, as those behind a network do
	src     *source
	opts    repository.Options

	link     *link
	second   *link                  // to the second repository, of the latest copy
	repo     *repository.Repository // nil: not open
	password string
	session  *session
	last     *point // its latest snapshot
}

// session is a backup that is under way.
type session struct {
	*repository.Session
	point  *point
	struck int // what had gone wrong before it began
}

func (c *client) store(p *place) (*link, storage.Store) {
	l := &link{place: p, client: c, turn: c.s.turn}
	if c.patient {
		return l, retry.New(l, retry.Policy{Attempts: 6, First: 1, Most: 1})
	}
	return l, l
}

// open opens the repository anew.
func (c *client) open(ctx context.Context, password string) error {
	link, store := c.store(c.s.main)
	r, err := repository.Open(ctx, store, []byte(password), c.opts)
	if err != nil {
		return err
	}
	c.link, c.repo, c.password = link, r, password
	return nil
}

// die ends the client as kill -9 does. What it held stays in the store.
func (c *client) die() {
	if c.repo == nil {
		return
	}
	c.link.cut(true)
	if c.session != nil {
		c.session.Abort(context.Background())
		c.session = nil
	}
	c.repo.Close()
	c.repo = nil
}

// ensure opens the repository if it is not open.
func (c *client) ensure(ctx context.Context) error {
	if c.repo != nil {
		return nil
	}
	valid := c.s.state.valid()
	if len(valid) == 0 {
		return lost("no password opens the repository any more")
	}
	return c.open(ctx, valid[len(valid)-1])
}

// operation is something a client does, with everything that is left to chance
// drawn before it begins.
type operation struct {
	text  string
	fault fault
	run   func(ctx context.Context) error
}

// do carries an operation out and judges its result: an error needs a reason.
// The client has its place among those that take turns, and gives it up.
func (c *client) do(ctx context.Context, op operation, alone bool) (err error) {
	s := c.s
	l := c.link
	l.arm(op.fault)
	c.second = nil
	struck, locked := c.strikes(), len(s.main.Handles(storage.Lock))+len(s.copy.Handles(storage.Lock)) > 0
	if c.session != nil {
		struck = c.session.struck // what fails in the background shows at its end
	}
	err = safely(func() error { return op.run(ctx) })
	s.turn.leave(c)
	l.arm(fault{})
	text := fmt.Sprintf("%s %s", c.name, op.text)
	if op.fault != (fault{}) {
		text += fmt.Sprintf(" (%s)", op.fault)
	}
	s.logf("%s: %v", text, err)
	died := l.dead || c.second != nil && c.second.dead
	if died {
		c.die()
	}
	switch {
	case err == nil:
		return nil
	case isLost(err):
	case died, c.strikes() > struck, l.dead:
		return nil
	case errors.Is(err, repository.ErrLocked) && (!alone || locked || s.state.broken):
		return nil
	case errors.Is(err, repository.ErrDamaged) && (s.main.tornLeft() || s.copy.tornLeft()):
		return nil
	case errors.Is(err, repository.ErrNoSnapshot) && !alone:
		return nil
	}
	return fmt.Errorf("%s: %w", text, err)
}

// strikes counts the faults that this client cannot help noticing.
func (c *client) strikes() int {
	n := 0
	for _, l := range []*link{c.link, c.second} {
		if l == nil {
			continue
		}
		l.mu.Lock()
		n += l.struck
		if !c.patient {
			n += l.soft
		}
		l.mu.Unlock()
	}
	return n
}

// safely turns a panic into an error, so that the seed is printed.
func safely(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = lost("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run()
}

// begin starts a backup and stores the tree and a stream.
func (c *client) begin(ctx context.Context, rng *rand.Rand, tag string, parent *point) error {
	var opts repository.SessionOptions
	opts.Workers = 1
	if parent != nil {
		snap, err := c.repo.LoadSnapshot(ctx, parent.id)
		if err != nil {
			return err
		}
		opts.Parent = snap
	}
	if rng.IntN(8) == 0 {
		opts.Compression = repository.CompressionOff
	}
	sess, err := c.repo.Begin(ctx, opts)
	if err != nil {
		return err
	}
	c.session = &session{Session: sess, struck: c.strikes(), point: &point{tag: tag, base: c.src.base, streams: make(map[string][]byte), moment: rng.IntN(1000)}}
	p := c.session.point
	if p.tree, err = describe(c.src.at("")); err != nil {
		return err
	}
	stats, err := sess.AddPath(ctx, c.src.base, repository.PathOptions{Root: c.src.root})
	if err != nil {
		return err
	}
	if len(stats.Warnings) > 0 {
		return lost("warnings: %q", stats.Warnings)
	}
	for range rng.IntN(3) {
		data := c.src.pool[rng.IntN(len(c.src.pool))]
		name := fmt.Sprintf("/.lifeboat/databases/%d.sql", rng.IntN(3))
		if _, taken := p.streams[name]; taken {
			continue
		}
		if _, err := sess.AddBytes(ctx, name, c.stream(p), data); err != nil {
			return err
		}
		p.streams[name] = data
	}
	return nil
}

// commit seals what begin stored. When that fails nobody knows whether the
// snapshot is there.
func (c *client) commit(ctx context.Context) error {
	sess := c.session
	c.session = nil
	sess.point.state = unsure
	c.s.state.add(sess.point)
	id, err := sess.Commit(ctx, repository.SnapshotInfo{Tags: []string{sess.point.tag}, Hostname: c.name, ProgramVersion: "model"})
	if id.IsZero() {
		if err == nil {
			return lost("a commit without an error and without a snapshot")
		}
		return err
	}
	c.s.state.set(sess.point, present, id)
	c.last = sess.point
	return err
}

// abort gives up what begin stored.
func (c *client) abort(ctx context.Context) error {
	sess := c.session
	c.session = nil
	return sess.Abort(ctx)
}

func (c *client) stream(p *point) repository.Stream {
	return repository.Stream{Mode: 0o600, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), ModTime: moment(p.moment)}
}
