// Package retry makes a store behind a network as dependable as one may be: what
// failed for the moment is tried again, with pauses that grow and are drawn by
// lot, and a read goes on where it broke off. Which failures pass is told from
// the error alone; no protocol is known here.
package retry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"time"

	"lifeboat/internal/storage"
)

// Policy says how often and how patiently. Fields that are zero have the value
// of Default.
type Policy struct {
	Attempts int           // in all, the first one included; 1 for no repetition, 0 for any number
	For      time.Duration // how long an operation is repeated, from its first failure on
	First    time.Duration // pause after the first attempt; then it doubles
	Most     time.Duration // longest pause
	// Notify is told of every failure that is followed by another attempt. It
	// may be called from several goroutines at once.
	Notify func(Failure)
	// Interrupt ends when nobody wants to wait any longer. From then on nothing
	// is repeated, and what still hangs after Grace is given up: those who tidy
	// up afterwards, without a context that ends, are not held by a dead network.
	// Nil for never.
	Interrupt context.Context
	// Grace is how long operations may take once Interrupt has ended.
	Grace time.Duration
}

// Failure is an attempt that failed for the moment.
type Failure struct {
	Store   string // its location
	Err     error
	Pause   time.Duration // until the next attempt
	Attempt int           // the number of the next one, from 2
	Until   time.Time     // when it is given up
}

// Default bears with an outage of five minutes: services may be standing still
// meanwhile.
var Default = Policy{For: 5 * time.Minute, First: 250 * time.Millisecond, Most: 30 * time.Second, Grace: 15 * time.Second}

// New returns a store that repeats what s fails to do for the moment. A file
// that is found in place counts as saved if it is ours: its name is the hash of its
// content, and the content is the same; or an attempt before, whose answer was
// lost, left it. What lies below may repeat a request on its own, so that even a
// first answer can be the second one.
func New(s storage.Store, p Policy) storage.Store {
	if p.For <= 0 {
		p.For = Default.For
	}
	if p.First <= 0 {
		p.First = Default.First
	}
	if p.Most <= 0 {
		p.Most = Default.Most
	}
	if p.Grace <= 0 {
		p.Grace = Default.Grace
	}
	r := &store{Store: s, policy: p}
	if p.Interrupt != nil {
		over, end := context.WithCancel(context.WithoutCancel(p.Interrupt))
		r.over = over
		r.forget = context.AfterFunc(p.Interrupt, func() { time.AfterFunc(p.Grace, end) })
	}
	if inner, ok := storage.AsRetainer(s); ok {
		return &retainer{store: r, inner: inner}
	}
	return r
}

// Strict returns the same store for one who asks whether a name was taken: there a
// Save that finds its file in place at the first attempt is storage.ErrExists,
// whatever the content. Other stores than New's are strict as they are.
func Strict(s storage.Store) storage.Store {
	switch r := s.(type) {
	case *store:
		same := *r
		same.strict = true
		return &same
	case *retainer:
		same := *r.store
		same.strict = true
		return &retainer{store: &same, inner: r.inner}
	}
	return s
}

type store struct {
	storage.Store
	policy Policy
	strict bool
	over   context.Context // ends with the grace after an interruption; nil if there is none
	forget func() bool
}

// bounded is ctx that also ends when the grace after an interruption does.
func (s *store) bounded(ctx context.Context) (context.Context, func()) {
	if s.over == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.over, cancel)
	return ctx, func() { stop(); cancel() }
}

// Close closes the store itself.
func (s *store) Close() error {
	if s.forget != nil {
		s.forget()
	}
	return s.Store.Close()
}

// Unwrap returns the store itself, for those who ask what it can do.
func (s *store) Unwrap() storage.Store { return s.Store }

// Transient tells whether the same operation may succeed later.
func Transient(err error) bool {
	if err == nil {
		return false
	}
	// An answer about the file, or the end of the caller's patience.
	for _, final := range []error{
		storage.ErrNotFound, storage.ErrExists, storage.ErrNoSpace, storage.ErrReadOnly, storage.ErrShort,
		fs.ErrPermission, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	var permanent interface{ Permanent() bool }
	if errors.As(err, &permanent) {
		return !permanent.Permanent()
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return false
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		return !name.IsNotFound
	}
	return true
}

// Permanent marks an error that no repetition mends, where the error itself
// does not tell.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

type permanent struct{ error }

func (permanent) Permanent() bool { return true }
func (p permanent) Unwrap() error { return p.error }

// tries counts the attempts of one operation.
type tries struct {
	policy Policy
	store  string
	made   int
	since  time.Time // the first failure
}

// again tells whether there is another attempt after err, and waits for it.
func (t *tries) again(ctx context.Context, err error) bool {
	if t.made++; t.made == 1 {
		t.since = time.Now()
	}
	if !Transient(err) || t.made == t.policy.Attempts || ctx.Err() != nil || t.interrupted() {
		return false
	}
	pause := t.policy.Most
	if doublings := t.made - 1; doublings < 30 {
		pause = min(pause, t.policy.First<<doublings)
	}
	// By lot, so that clients a server has lost do not return all at once.
	pause = pause/2 + rand.N(pause/2+1)
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		pause = max(pause, min(asked.RetryAfter(), t.policy.Most))
	}
	if time.Since(t.since)+pause > t.policy.For {
		return false
	}
	if t.policy.Notify != nil {
		t.policy.Notify(Failure{Store: t.store, Err: err, Pause: pause, Attempt: t.made + 1, Until: t.since.Add(t.policy.For)})
	}
	var interrupted <-chan struct{}
	if t.policy.Interrupt != nil {
		interrupted = t.policy.Interrupt.Done()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-interrupted:
	}
	return false
}

func (t *tries) interrupted() bool {
	return t.policy.Interrupt != nil && t.policy.Interrupt.Err() != nil
}

func (s *store) tries() tries { return tries{policy: s.policy, store: s.Location()} }

// run calls fn until it succeeds. The argument tells whether it was called before.
func (s *store) run(ctx context.Context, fn func(ctx context.Context, again bool) error) error {
	ctx, done := s.bounded(ctx)
	defer done()
	t := s.tries()
	for {
		err := fn(ctx, t.made > 0)
		if err == nil {
			return nil
		}
		if !t.again(ctx, err) {
			return t.final(ctx, err)
		}
	}
}

// GivenUpError says that a store could not be reached, or did not work, for as
// long as the policy bears with that.
type GivenUpError struct {
	Store    string
	Attempts int
	After    time.Duration
	Err      error // of the last attempt
}

func (e *GivenUpError) Error() string {
	return fmt.Sprintf("%v (given up after %d attempts in %v)", e.Err, e.Attempts, e.After.Round(time.Second))
}

// Unwrap returns the failure of the last attempt.
func (e *GivenUpError) Unwrap() error { return e.Err }

// final is what an operation fails with in the end.
func (t *tries) final(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w while %w", ctx.Err(), err)
	}
	if t.made > 1 && Transient(err) && !t.interrupted() {
		return &GivenUpError{Store: t.store, Attempts: t.made, After: time.Since(t.since), Err: err}
	}
	return err
}

// Save writes a file.
func (s *store) Save(ctx context.Context, h storage.Handle, data []byte) error {
	if err := h.Validate(); err != nil {
		return err
	}
	return s.run(ctx, func(ctx context.Context, again bool) error {
		err := s.Store.Save(ctx, h, data)
		named := h.Type != storage.Config && !s.strict // by the hash of its content
		if (again || named) && errors.Is(err, storage.ErrExists) {
			return s.ours(ctx, h, data, err)
		}
		return err
	})
}

// ours tells whether the file that is in the way has our content.
func (s *store) ours(ctx context.Context, h storage.Handle, data []byte, exists error) error {
	info, err := s.Store.Stat(ctx, h)
	if err == nil && info.Size == int64(len(data)) {
		found := make([]byte, len(data))
		if err = storage.ReadRange(ctx, s.Store, h, found, 0); err == nil && bytes.Equal(found, data) {
			return nil
		}
	}
	if Transient(err) {
		return err
	}
	return exists
}

// Stat returns the size of a file.
func (s *store) Stat(ctx context.Context, h storage.Handle) (info storage.Info, err error) {
	if err := h.Validate(); err != nil {
		return info, err
	}
	err = s.run(ctx, func(ctx context.Context, _ bool) error {
		info, err = s.Store.Stat(ctx, h)
		return err
	})
	return info, err
}

// Remove deletes a file. That it is gone after an attempt before is success.
func (s *store) Remove(ctx context.Context, h storage.Handle) error {
	if err := h.Validate(); err != nil {
		return err
	}
	return s.run(ctx, func(ctx context.Context, again bool) error {
		err := s.Store.Remove(ctx, h)
		if again && errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		return err
	})
}

// List visits every file once, however often the list must be begun again.
func (s *store) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	if err := storage.ValidList(t); err != nil {
		return err
	}
	seen := make(map[string]struct{})
	var stop error
	err := s.run(ctx, func(ctx context.Context, _ bool) error {
		err := s.Store.List(ctx, t, func(info storage.Info) error {
			if _, twice := seen[info.Name]; twice {
				return nil
			}
			seen[info.Name] = struct{}{}
			stop = visit(info)
			return stop
		})
		if stop != nil {
			return Permanent(stop)
		}
		return err
	})
	if stop != nil {
		return stop
	}
	return err
}
