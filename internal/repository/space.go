package repository

import (
	"context"

	"lifeboat/internal/storage"
)

// Space is the room of the file system that the repository stands in;
// storage.ErrSpaceUnknown where its store does not tell.
func (r *Repository) Space(ctx context.Context) (storage.Space, error) {
	return storage.SpaceOf(ctx, r.store)
}
