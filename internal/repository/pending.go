package repository

import (
	"context"
	"errors"
	"os"

)

var errPending = errors.New("not built yet")

func (r *Repository) Restore(ctx context.Context, snapshot *Snapshot, path, target string, opts RestoreOptions) (Stats, error) {
	return Stats{}, errPending
}

// RestoreOptions says how a stored tree is written to disk.
type RestoreOptions struct {
	// Include decides by absolute path in the snapshot, for every entry; nil
	// takes everything. Directories are descended into whatever it says of them,
	// and are made when something below them is taken.
	Include func(path string) bool
	// UID and GID translate stored owners and ACL entries; nil keeps them.
	UID, GID func(old uint32) uint32
	// InPlace replaces an existing tree file by file: unchanged files (size and
	// mtime, or content when Verify) are left alone, changed ones are written
	// beside and renamed over. Otherwise target must not exist, or be an empty directory.
	InPlace  bool
	Verify   bool // with InPlace: compare content, not size and mtime
	Delete   bool // with InPlace: remove what the snapshot does not have
	Progress func(bytes int64)
	Warn     func(message string)
}

type CheckOptions struct {
	ReadData bool
	Subset   string // "n/t" or "x%"
	Progress func(done, total int64)
}
type Report struct {
	Findings         []Finding
	Snapshots, Packs int
	Blobs, Bytes     int64
}
type Finding struct {
	Kind      string
	File      string // the file of the repository
	Snapshots []ID   // that are affected
	Paths     []string
	Err       error
}

func (r *Repository) Check(ctx context.Context, opts CheckOptions) (*Report, error) {
	return nil, errPending
}

func (r *Repository) RepairIndex(ctx context.Context) (*Report, error) { return nil, errPending }

var _ os.FileMode
