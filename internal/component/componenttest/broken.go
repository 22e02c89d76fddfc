package componenttest

import (
	"context"
	"io"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// refusing is a Sink that takes nothing.
type refusing struct{ err error }

func (r refusing) AddPath(context.Context, string, repository.PathOptions) (repository.Stats, error) {
	return repository.Stats{}, r.err
}

// AddStream reads a little first, as a real one does before a disk is full.
func (r refusing) AddStream(_ context.Context, _ string, in io.Reader) (repository.Stats, error) {
	_, _ = io.ReadFull(in, make([]byte, 10))
	return repository.Stats{}, r.err
}

// breaking is a Source that answers some calls and fails then.
type breaking struct {
	component.Source
	left  int
	broke bool
	err   error
}

func (b *breaking) spent() error {
	if b.left--; b.left < 0 {
		b.broke = true
		return b.err
	}
	return nil
}

func (b *breaking) OpenStream(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := b.spent(); err != nil {
		return nil, err
	}
	return b.Source.OpenStream(ctx, name)
}

func (b *breaking) Walk(ctx context.Context, path string, visit func(string, *repository.Node) error) error {
	if err := b.spent(); err != nil {
		return err
	}
	return b.Source.Walk(ctx, path, visit)
}

func (b *breaking) OpenFile(ctx context.Context, node *repository.Node) (io.ReadCloser, error) {
	if err := b.spent(); err != nil {
		return nil, err
	}
	return b.Source.OpenFile(ctx, node)
}

// RestorePath writes a part before it fails, as a damaged pack makes it.
func (b *breaking) RestorePath(ctx context.Context, path, target string, opts repository.RestoreOptions) (repository.Stats, error) {
	stats, err := b.Source.RestorePath(ctx, path, target, opts)
	if broken := b.spent(); broken != nil {
		return stats, broken
	}
	return stats, err
}

func (b *breaking) ComparePath(ctx context.Context, path, place string, opts repository.CompareOptions, report func(component.Difference)) (repository.CompareStats, error) {
	if err := b.spent(); err != nil {
		return repository.CompareStats{}, err
	}
	return b.Source.ComparePath(ctx, path, place, opts, report)
}
