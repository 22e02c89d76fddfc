package restserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"lifeboat/internal/storage"
)

// quota counts what lies in each space. A space is measured when it is first
// written to, and again when it seems full: whoever administers the server may
// have removed something behind its back.
type quota struct {
	limit int64 // bytes; 0 for none
	usage func(ctx context.Context, space string) (int64, error)

	mu     sync.Mutex
	spaces map[string]*space
}

type space struct {
	mu       sync.Mutex // held while it is measured
	measured time.Time  // zero for never
	used     int64
	reserved int64 // of used, by uploads under way
	locks    int64 // those written since the server runs
}

// lockRoom is what locks may take, in bytes, however full the space is: without
// a lock nobody could remove anything to make room.
const lockRoom = 1 << 20

// remeasure is the least time between two measurements of a space, which may
// hold a million files.
const remeasure = time.Minute

func (s *Server) spaceOf(r request) string {
	if s.opts.Private {
		return r.space()
	}
	return ""
}

func (q *quota) space(name string) *space {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spaces == nil {
		q.spaces = make(map[string]*space)
	}
	if q.spaces[name] == nil {
		q.spaces[name] = &space{}
	}
	return q.spaces[name]
}

// reserve sets n bytes of a space aside, or fails with storage.ErrNoSpace. The
// function it returns must be called with whether they were used. Locks have
// an allowance of their own.
func (q *quota) reserve(ctx context.Context, name string, n int64, lock bool) (done func(kept bool), err error) {
	if q.limit <= 0 {
		return func(bool) {}, nil
	}
	s := q.space(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if lock {
		if n > lockRoom-s.locks {
			return nil, fmt.Errorf("%w: there are too many locks", storage.ErrNoSpace)
		}
		s.locks += n
		return func(kept bool) {
			if !kept {
				q.free(name, n, true)
			}
		}, nil
	}
	if s.measured.IsZero() || n > q.limit-s.used && time.Since(s.measured) >= remeasure {
		used, err := q.usage(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("measure what is stored: %w", err)
		}
		// An upload that ends just now may be counted twice, never not at all.
		s.used = used + s.reserved
		s.measured = time.Now()
	}
	if n > q.limit-s.used {
		return nil, &quotaError{user: name, limit: q.limit, used: s.used, wanted: n}
	}
	s.used += n
	s.reserved += n
	return func(kept bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reserved -= n
		if !kept {
			s.used = max(0, s.used-n)
		}
	}, nil
}

// quotaError says whose quota is used up.
type quotaError struct {
	user                string // "" where all share it
	limit, used, wanted int64  // bytes
}

func (e *quotaError) Error() string {
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	of := "this server"
	if e.user != "" {
		of = "user " + e.user
	}
	return fmt.Sprintf("the quota of %s (%s) is used up: %s of %s are stored, and this file has %s more", of, size(e.limit), size(e.used), size(e.limit), size(e.wanted))
}

// Unwrap makes it storage.ErrQuota.
func (e *quotaError) Unwrap() error { return storage.ErrQuota }

// free gives n bytes of a space back.
func (q *quota) free(name string, n int64, lock bool) {
	if q.limit <= 0 {
		return
	}
	s := q.space(name)
	s.mu.Lock()
	if lock {
		s.locks = max(0, s.locks-n)
	} else {
		s.used = max(0, s.used-n)
	}
	s.mu.Unlock()
}
