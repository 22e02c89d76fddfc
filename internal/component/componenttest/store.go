package componenttest

import (
	"context"
	"io"
	"path"
	"path/filepath"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
)

// Store is a real repository in a directory of the test.
type Store struct {
	repo *repository.Repository
}

// NewStore creates an empty repository; its key is cheap to derive.
func NewStore(t *testing.T) *Store {
	t.Helper()
	local, err := storage.OpenLocal(filepath.Join(quickDir(t), "repository"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository.Create(t.Context(), local, []byte("secret"), repository.Options{
		Scrypt: repository.ScryptParams{N: 2, R: 1, P: 1}, Hostname: "test", Username: "test", NoLock: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Store{repo: repo}
}

// Save lets capture write one snapshot and returns it as a source.
func (s *Store) Save(t testing.TB, capture func(ctx context.Context, sink component.Sink) error) component.Source {
	t.Helper()
	session, err := s.repo.Begin(t.Context(), repository.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := capture(t.Context(), sink{session}); err != nil {
		t.Fatal(err)
	}
	id, err := session.Commit(t.Context(), repository.SnapshotInfo{Hostname: "test", Paths: []string{"/"}})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.repo.LoadSnapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return source{s.repo, snapshot}
}

// streams is the directory of a point that is Lifeboat's own.
const streams = "/.lifeboat"

type sink struct{ *repository.Session }

func (s sink) AddStream(ctx context.Context, name string, r io.Reader) (repository.Stats, error) {
	return s.Session.AddStream(ctx, path.Join(streams, name), repository.Stream{}, r)
}

type source struct {
	repo     *repository.Repository
	snapshot *repository.Snapshot
}

func (s source) OpenStream(ctx context.Context, name string) (io.ReadCloser, error) {
	node, err := s.repo.Find(ctx, s.snapshot, path.Join(streams, name))
	if err != nil {
		return nil, err
	}
	return s.repo.OpenFile(ctx, node)
}

func (s source) Walk(ctx context.Context, at string, visit func(string, *repository.Node) error) error {
	return s.repo.Walk(ctx, s.snapshot, at, visit)
}

func (s source) OpenFile(ctx context.Context, node *repository.Node) (io.ReadCloser, error) {
	return s.repo.OpenFile(ctx, node)
}

func (s source) RestorePath(ctx context.Context, at, target string, opts repository.RestoreOptions) (repository.Stats, error) {
	return s.repo.Restore(ctx, s.snapshot, at, target, opts)
}

func (s source) ComparePath(ctx context.Context, at, place string, opts repository.CompareOptions, report func(component.Difference)) (repository.CompareStats, error) {
	return s.repo.Compare(ctx, s.snapshot, at, place, opts, report)
}
