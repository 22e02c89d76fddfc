package model

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"lifeboat/internal/repository"
)

// certainty says what is known of something whose making or removal may have
// been cut off.
type certainty int

const (
	absent certainty = iota
	unsure
	present
)

func (c certainty) String() string { return [...]string{"absent", "unsure", "present"}[c] }

// point is a snapshot as the model knows it. Its tag tells which it is when the
// answer that would have named it was lost.
type point struct {
	tag     string
	state   certainty
	id      repository.ID // zero while it is not known
	base    string        // the stored path of the tree
	tree    []string      // what describe says of it
	streams map[string][]byte
	moment  int // of the streams
}

// state is what a repository must hold.
type state struct {
	mu        sync.Mutex
	points    []*point
	passwords map[string]certainty
	keys      map[string]repository.ID
	broken    bool // locks were taken from those who held them
}

func newState() *state {
	return &state{passwords: make(map[string]certainty), keys: make(map[string]repository.ID)}
}

func (s *state) add(p *point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.points = append(s.points, p)
}

func (s *state) set(p *point, c certainty, id repository.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.state = c
	if !id.IsZero() {
		p.id = id
	}
}

// expect prepares for copies of snapshots.
func (s *state) expect(points []*point) (copies []*point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range points {
		i := slices.IndexFunc(s.points, func(q *point) bool { return q.tag == p.tag })
		if i < 0 {
			i = len(s.points)
			s.points = append(s.points, &point{tag: p.tag, state: unsure, base: p.base, tree: p.tree, streams: p.streams, moment: p.moment})
		}
		copies = append(copies, s.points[i])
	}
	return copies
}

// any draws one of the snapshots that must be there, or nil.
func (s *state) any(rng *rand.Rand) *point {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sealed []*point
	for _, p := range s.points {
		if p.state == present && !p.id.IsZero() {
			sealed = append(sealed, p)
		}
	}
	if len(sealed) == 0 {
		return nil
	}
	return sealed[rng.IntN(len(sealed))]
}

func (s *state) has(p *point) certainty {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.state
}

func (s *state) password(name string, c certainty, id repository.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[name] = c
	if !id.IsZero() {
		s.keys[name] = id
	}
}

func (s *state) is(password string) certainty {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passwords[password]
}

func (s *state) key(password string) repository.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[password]
}

// valid lists the passwords that must open the repository.
func (s *state) valid() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, c := range s.passwords {
		if c == present {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// restore writes a snapshot to disk and compares it with what went in.
func (p *point) restore(ctx context.Context, r *repository.Repository, snap *repository.Snapshot, dir string) error {
	target, err := os.MkdirTemp(dir, "out-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(target)
	if _, err := r.Restore(ctx, snap, "/", target, repository.RestoreOptions{}); err != nil {
		return err
	}
	return p.compare(target)
}

// compare looks whether a restored "/" is what went in.
func (p *point) compare(target string) error {
	got, err := describe(filepath.Join(target, p.base))
	if err != nil {
		return lost("%s: %v", p.tag, err)
	}
	if diff := different(p.tree, got); diff != "" {
		return lost("%s came back with another tree:%s", p.tag, diff)
	}
	for name, data := range p.streams {
		path := filepath.Join(target, name)
		got, err := describe(path)
		if err != nil {
			return lost("%s: %v", p.tag, err)
		}
		at := moment(p.moment)
		want := fmt.Sprintf("%q mode=100600 owner=%d:%d mtime=%d.%09d size=%d sum=%x",
			".", os.Getuid(), os.Getgid(), at.Unix(), at.Nanosecond(), len(data), sha256.Sum256(data))
		if diff := different([]string{want}, got); diff != "" {
			return lost("%s came back with another stream:%s", p.tag, diff)
		}
	}
	return nil
}

// walk reads a snapshot without a disk: every directory, the content of every
// file.
func (p *point) walk(ctx context.Context, r *repository.Repository, snap *repository.Snapshot) error {
	entries := 0
	err := r.Walk(ctx, snap, p.base, func(_ string, n *repository.Node) error {
		entries++
		if n.Type != repository.File {
			return nil
		}
		_, err := read(ctx, r, n)
		return err
	})
	if err != nil {
		return err
	}
	if entries != len(p.tree) {
		return lost("%s has %d entries instead of %d", p.tag, entries, len(p.tree))
	}
	for name, want := range p.streams {
		n, err := r.Find(ctx, snap, name)
		if err != nil {
			return err
		}
		got, err := read(ctx, r, n)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return lost("%s: %s came back as something else", p.tag, name)
		}
	}
	return nil
}

func read(ctx context.Context, r *repository.Repository, n *repository.Node) ([]byte, error) {
	f, err := r.OpenFile(ctx, n)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// lostError is what no fault of a store excuses.
type lostError struct{ text string }

func (e *lostError) Error() string { return e.text }

func lost(format string, args ...any) error { return &lostError{fmt.Sprintf(format, args...)} }

func isLost(err error) bool {
	var l *lostError
	return errors.As(err, &l)
}
