package restserver

import (
	"context"
	"fmt"
	"sync"

	"lifeboat/internal/storage"
)

// quota counts what lies in each space. A space is measured when it is first
// written to.
type quota struct {
	limit int64 // bytes; 0 for none
	usage func(ctx context.Context, space string) (int64, error)

	mu     sync.Mutex
	spaces map[string]*space
}

type space struct {
	mu       sync.Mutex // held while it is measured
	measured bool
	used     int64
}

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
// function it returns gives them back.
func (q *quota) reserve(ctx context.Context, name string, n int64) (release func(), err error) {
	if q.limit <= 0 {
		return func() {}, nil
	}
	s := q.space(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.measured {
		if s.used, err = q.usage(ctx, name); err != nil {
			return nil, fmt.Errorf("measure what is stored: %w", err)
		}
		s.measured = true
	}
	if n > q.limit-s.used {
		return nil, fmt.Errorf("%w: the quota is %d bytes, of which %d are used", storage.ErrNoSpace, q.limit, s.used)
	}
	s.used += n
	return func() { q.free(name, n) }, nil
}

// free gives n bytes of a space back.
func (q *quota) free(name string, n int64) {
	if q.limit <= 0 {
		return
	}
	s := q.space(name)
	s.mu.Lock()
	s.used = max(0, s.used-n)
	s.mu.Unlock()
}
