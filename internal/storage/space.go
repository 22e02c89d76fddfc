package storage

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrSpaceUnknown says that the store does not tell how full it is.
var ErrSpaceUnknown = errors.New("the store does not tell how much room it has")

// Space is the room of the file system that a store stands in, in bytes, as its
// user may fill it: what is reserved for others counts as neither.
type Space struct {
	Free  int64 `json:"free"`
	Total int64 `json:"total"`
}

// Share is the free part, from 0 to 1.
func (s Space) Share() float64 { return float64(s.Free) / float64(max(s.Total, 1)) }

// Spacious is a Store that can tell how full it is. It may be called from several
// goroutines at once. ErrSpaceUnknown where this one cannot.
type Spacious interface {
	Space(ctx context.Context) (Space, error)
}

// SpaceOf asks a store, or the one behind those that wrap it, how full it is.
func SpaceOf(ctx context.Context, s Store) (Space, error) {
	for {
		if spacious, ok := s.(Spacious); ok {
			return spacious.Space(ctx)
		}
		wrapper, ok := s.(interface{ Unwrap() Store })
		if !ok {
			return Space{}, ErrSpaceUnknown
		}
		s = wrapper.Unwrap()
	}
}

// NewSpace counts as statvfs(3) does: blocks of so many bytes, of which some are
// free, and fewer available to those without privileges.
func NewSpace(size, blocks, free, available uint64) (Space, error) {
	const most = 1 << 62
	// A file system without blocks, as some networks have, tells nothing.
	if size == 0 || blocks == 0 || free > blocks || available > free || blocks > most/size {
		return Space{}, ErrSpaceUnknown
	}
	return Space{Free: int64(available * size), Total: int64((blocks - free + available) * size)}, nil
}

// Space asks the file system of the directory.
func (l *Local) Space(ctx context.Context) (Space, error) {
	if err := ctx.Err(); err != nil {
		return Space{}, err
	}
	var found unix.Statfs_t
	if err := unix.Statfs(l.root, &found); err != nil {
		return Space{}, fmt.Errorf("room of the file system of %s: %w", l.root, err)
	}
	size := found.Frsize
	if size <= 0 {
		size = found.Bsize
	}
	return NewSpace(uint64(max(size, 0)), found.Blocks, found.Bfree, found.Bavail)
}
