package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/transport"
)

var (
	errKilled = retry.Permanent(errors.New("the client was killed"))
	errLost   = errors.New("the connection broke before the answer")
	errOutage = errors.New("the network is down")
)

// place is one store and what happened in it beyond its files.
type place struct {
	*faulty.Memory
	name string
	// tears is set where the store breaks its promise: a client killed while it
	// saves leaves a part of the file under its final name.
	tears bool

	mu      sync.Mutex
	torn    map[storage.Handle]bool
	born    map[storage.Handle]birth // of locks, for lists that lag behind
	removed []removal                // locks, whose removal need not survive a power cut
}

type birth struct {
	by *client
	at time.Time
}

type removal struct {
	h    storage.Handle
	data []byte
}

func newPlace(name string) *place {
	return &place{Memory: faulty.NewMemory(), name: name, torn: make(map[storage.Handle]bool), born: make(map[storage.Handle]birth)}
}

// tornLeft tells whether a torn file is still there.
func (p *place) tornLeft() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for h := range p.torn {
		if _, there := p.Get(h); there {
			return true
		}
	}
	return false
}

// powerCut brings some locks back that were removed lately: the store need not
// have made their removal durable.
func (p *place) powerCut(keep func() bool) (back int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.removed {
		if _, there := p.Get(r.h); !there && keep() {
			p.Put(r.h, r.data)
			back++
		}
	}
	p.removed = nil
	return back
}

// lag is how long a lock that another client made may be missing from lists;
// those who lock must wait longer before they look again.
const lag = 150 * time.Millisecond

// fault is what goes wrong on a link. Counts are of operations that change the
// store, from the moment it is armed; kill counts all operations.
type fault struct {
	kill      int  // the client dies at its n-th operation
	late      bool // … after it took effect
	lose      int  // the n-th answer is lost
	double    int  // the n-th operation reaches the store twice
	transient int  // as many operations from the n-th are answered with 503
	from      int
	full      int // as many files from the n-th find no space
	fullFrom  int
}

func (f fault) String() string {
	switch {
	case f.kill > 0 && f.late:
		return fmt.Sprintf("killed after operation %d", f.kill)
	case f.kill > 0:
		return fmt.Sprintf("killed at operation %d", f.kill)
	case f.lose > 0:
		return fmt.Sprintf("answer %d lost", f.lose)
	case f.double > 0:
		return fmt.Sprintf("request %d doubled", f.double)
	case f.transient > 0:
		return fmt.Sprintf("%d answers 503 from %d", f.transient, f.from)
	case f.full > 0:
		return fmt.Sprintf("no space for %d files from %d", f.full, f.fullFrom)
	}
	return "none"
}

// link is one client's connection to one place.
type link struct {
	*place
	client *client
	turn   *turn

	mu     sync.Mutex
	fault  fault
	ops    int // since the fault was armed
	writes int
	dead   bool
	outage bool
	struck int // faults that happened and that no repetition mends
	soft   int // faults that a patient client does not notice
}

// arm sets what goes wrong next.
func (l *link) arm(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.ops, l.writes = f, 0, 0
}

// cut ends the client: nothing it does reaches the store any more.
func (l *link) cut(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
}

func (l *link) sever(outage bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outage = outage
}

// verdict is what becomes of one operation.
type verdict struct {
	before error // it does not happen
	after  error // it happens, and this is the answer
	twice  bool
	tear   bool
}

func (l *link) judge(op string, h storage.Handle) (v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	write := op == "save" || op == "remove"
	l.ops++
	if write {
		l.writes++
	}
	f := l.fault
	switch {
	case l.dead:
		return verdict{before: errKilled}
	case l.outage:
		l.struck++
		return verdict{before: errOutage}
	case f.kill > 0 && l.ops >= f.kill:
		l.dead = true
		l.struck++
		if f.late {
			return verdict{after: errKilled}
		}
		return verdict{before: errKilled, tear: l.tears && op == "save" && h.Type != storage.Config}
	case f.transient > 0 && l.ops >= f.from && l.ops < f.from+f.transient:
		l.soft++
		return verdict{before: transport.NewStatus(http.StatusServiceUnavailable, "", nil)}
	case write && f.lose == l.writes:
		l.soft++
		return verdict{after: errLost}
	case write && f.double == l.writes:
		l.struck++
		return verdict{twice: true}
	case op == "save" && f.full > 0 && l.writes >= f.fullFrom && l.writes < f.fullFrom+f.full:
		l.struck++
		return verdict{before: fmt.Errorf("save %s: %w", h, storage.ErrNoSpace)}
	}
	return v
}

func (l *link) run(ctx context.Context, op string, h storage.Handle, data []byte, do func() error) error {
	if waits(ctx, op, h.Type) {
		l.turn.wait(l.client)
		defer l.turn.pass(l.client)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	v := l.judge(op, h)
	if v.tear && len(data) > 0 {
		if _, taken := l.Get(h); !taken {
			l.place.mu.Lock()
			l.torn[h] = true
			l.place.mu.Unlock()
			l.Put(h, data[:len(data)/2])
		}
	}
	if v.before != nil {
		return v.before
	}
	err := do()
	if v.twice {
		err = do()
	}
	if v.after != nil {
		return v.after
	}
	return err
}

// waits tells the operations at which clients take turns. Those that the process
// may do while others of its goroutines wait for a mutex are not among them: to
// save packs, to read an index, and to renew a lock, which has a deadline. Time
// would stand still for a goroutine that sleeps meanwhile.
func waits(ctx context.Context, op string, t storage.Type) bool {
	if _, limited := ctx.Deadline(); limited && t == storage.Lock {
		return false
	}
	switch op {
	case "save":
		return t != storage.Data
	case "remove":
		return true
	case "list":
		return t == storage.Lock || t == storage.Snapshot
	}
	return false
}

func (l *link) Save(ctx context.Context, h storage.Handle, data []byte) error {
	return l.run(ctx, "save", h, data, func() error {
		err := l.Memory.Save(ctx, h, data)
		if err == nil && h.Type == storage.Lock {
			l.place.mu.Lock()
			l.born[h] = birth{l.client, time.Now()}
			l.place.mu.Unlock()
		}
		return err
	})
}

func (l *link) Load(ctx context.Context, h storage.Handle, offset, length int64) (r io.ReadCloser, err error) {
	err = l.run(ctx, "load", h, nil, func() error {
		r, err = l.Memory.Load(ctx, h, offset, length)
		return err
	})
	return r, err
}

func (l *link) Stat(ctx context.Context, h storage.Handle) (info storage.Info, err error) {
	err = l.run(ctx, "stat", h, nil, func() error {
		info, err = l.Memory.Stat(ctx, h)
		return err
	})
	return info, err
}

func (l *link) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	return l.run(ctx, "list", storage.Handle{Type: t}, nil, func() error {
		return l.Memory.List(ctx, t, func(info storage.Info) error {
			l.place.mu.Lock()
			b, known := l.born[storage.Handle{Type: t, Name: info.Name}]
			l.place.mu.Unlock()
			if known && b.by != l.client && time.Since(b.at) < lag {
				return nil
			}
			return visit(info)
		})
	})
}

func (l *link) Remove(ctx context.Context, h storage.Handle) error {
	return l.run(ctx, "remove", h, nil, func() error {
		data, _ := l.Get(h)
		err := l.Memory.Remove(ctx, h)
		if err == nil && h.Type == storage.Lock {
			l.place.mu.Lock()
			l.removed = append(l.removed, removal{h, data})
			l.place.mu.Unlock()
		}
		return err
	})
}

// turn lets one of the clients at work change the store at a time, and decides
// by the seed when it is another's. A client that sleeps, as those do who wait
// for a lock to settle, loses its turn.
type turn struct {
	mu     sync.Mutex
	toss   func() bool
	active []*client
	holder *client
	last   time.Time // when the holder last did something
}

// nap is how long a client sleeps before it looks again whether it is its turn.
// No two naps end at the same moment, nor with the sleep of a locking client:
// who wakes first would be left to chance.
const nap = 10 * time.Millisecond

func (t *turn) enter(c *client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active = append(t.active, c)
	if t.holder == nil {
		t.holder = c
	}
	t.last = time.Now()
}

func (t *turn) leave(c *client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, a := range t.active {
		if a == c {
			t.active = append(t.active[:i], t.active[i+1:]...)
			break
		}
	}
	t.holder = nil
	if len(t.active) > 0 {
		t.holder = t.active[0]
	}
	t.last = time.Now()
}

// wait returns when it is the client's turn. Time in the test passes only while
// everybody sleeps, so a nap ends when nobody else can go on.
func (t *turn) wait(c *client) {
	for {
		t.mu.Lock()
		if len(t.active) < 2 || t.holder == c {
			t.last = time.Now()
			t.mu.Unlock()
			return
		}
		if time.Since(t.last) >= nap {
			t.holder, t.last = c, time.Now()
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		time.Sleep(nap + c.phase)
	}
}

func (t *turn) pass(c *client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	if len(t.active) < 2 || t.holder != c || !t.toss() {
		return
	}
	for _, a := range t.active {
		if a != c {
			t.holder = a
			return
		}
	}
}
