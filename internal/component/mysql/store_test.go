package mysql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// store is a repository in memory: what a sink took, a source gives back.
type store struct {
	component.Source
	mu      sync.Mutex
	streams map[string][]byte
	full    int // bytes after which it is full; 0 is never
}

func (s *store) AddPath(context.Context, string, repository.PathOptions) (repository.Stats, error) {
	return repository.Stats{}, errors.New("a database has no paths")
}

func (s *store) AddStream(_ context.Context, name string, r io.Reader) (repository.Stats, error) {
	var b bytes.Buffer
	for {
		n, err := io.CopyN(&b, r, 64<<10)
		if s.full > 0 && b.Len() > s.full {
			return repository.Stats{}, errors.New("no space left on device")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return repository.Stats{}, err
		}
		_ = n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = map[string][]byte{}
	}
	s.streams[name] = b.Bytes()
	return repository.Stats{Bytes: int64(b.Len())}, nil
}

func (s *store) OpenStream(_ context.Context, name string) (io.ReadCloser, error) {
	data, ok := s.streams[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// recordOf makes the manifest's entry, through JSON as in a point.
func recordOf(t *testing.T, c component.Captured) component.Record {
	t.Helper()
	detail, err := json.Marshal(c.Detail)
	if err != nil {
		t.Fatal(err)
	}
	return component.Record{Name: "database", Kind: "mysql", Streams: c.Streams, Bytes: c.Bytes, Items: c.Items, Warnings: c.Warnings, Detail: detail}
}
