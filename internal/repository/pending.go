package repository

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"lifeboat/internal/storage"
)

var errPending = errors.New("not built yet")

type Options struct {
	ScryptN, ScryptR, ScryptP int
	Hostname, Username        string
	NoLock                    bool
}
type (
	Repository struct{}
	Config     struct {
		Version           uint   `json:"version"`
		ID                string `json:"id"`
		ChunkerPolynomial string `json:"chunker_polynomial"`
	}
)
type Key struct {
	ID                 ID
	Created            time.Time
	Username, Hostname string
	Current            bool
}
type Lock struct {
	Time      time.Time
	Exclusive bool
	Hostname  string
	Username  string
	PID       int
	UID, GID  uint32
}

func (l Lock) Owner() string { return "" }

func Create(ctx context.Context, store storage.Store, password []byte, opts Options) (*Repository, error) {
	return nil, errPending
}

func Open(ctx context.Context, store storage.Store, password []byte, opts Options) (*Repository, error) {
	return nil, errPending
}
func (r *Repository) ID() string     { return "" }
func (r *Repository) Config() Config { return Config{} }
func (r *Repository) Close() error   { return nil }
func (r *Repository) AddKey(ctx context.Context, password []byte) (ID, error) {
	return ID{}, errPending
}
func (r *Repository) RemoveKey(ctx context.Context, id ID) error { return errPending }
func (r *Repository) Keys(ctx context.Context) ([]Key, error)    { return nil, errPending }

type HeldLock struct{}

func (l *HeldLock) Release() error { return errPending }

func (r *Repository) Lock(ctx context.Context, exclusive bool) (*HeldLock, error) {
	return nil, errPending
}

func (r *Repository) Locks(ctx context.Context) ([]Lock, error) { return nil, errPending }

func (r *Repository) Begin(ctx context.Context, opts SessionOptions) (*Session, error) {
	return nil, errPending
}

type Session struct{}

func (s *Session) AddPath(ctx context.Context, path string, opts PathOptions) (Stats, error) {
	return Stats{}, errPending
}

func (s *Session) AddStream(ctx context.Context, path string, meta Stream, r io.Reader) (Stats, error) {
	return Stats{}, errPending
}

func (s *Session) AddBytes(ctx context.Context, path string, meta Stream, data []byte) (Stats, error) {
	return Stats{}, errPending
}

func (s *Session) Commit(ctx context.Context, info SnapshotInfo) (ID, error) { return ID{}, errPending }
func (s *Session) Abort(ctx context.Context) error                           { return errPending }

type Snapshot struct {
	Time           time.Time `json:"time"`
	Parent         *ID       `json:"parent,omitempty"`
	Tree           *ID       `json:"tree"`
	Paths          []string  `json:"paths"`
	Hostname       string    `json:"hostname,omitempty"`
	Username       string    `json:"username,omitempty"`
	UID            uint32    `json:"uid,omitempty"`
	GID            uint32    `json:"gid,omitempty"`
	Excludes       []string  `json:"excludes,omitempty"`
	Tags           []string  `json:"tags,omitempty"`
	Original       *ID       `json:"original,omitempty"`
	ProgramVersion string    `json:"program_version,omitempty"`
	ID             ID        `json:"-"`
}
type Tree struct {
	Nodes []*Node `json:"nodes"`
}

// Snapshots returns all snapshots, oldest first.
func (r *Repository) Snapshots(ctx context.Context) ([]*Snapshot, error) { return nil, errPending }

// LoadSnapshot returns one snapshot.
func (r *Repository) LoadSnapshot(ctx context.Context, id ID) (*Snapshot, error) {
	return nil, errPending
}
func (r *Repository) LoadTree(ctx context.Context, id ID) (*Tree, error) { return nil, errPending }

// Find returns the node at an absolute path, or fs.ErrNotExist.
func (r *Repository) Find(ctx context.Context, snapshot *Snapshot, path string) (*Node, error) {
	return nil, errPending
}

// Walk visits path and everything below in lexical order; visit may return fs.SkipDir.
func (r *Repository) Walk(ctx context.Context, snapshot *Snapshot, path string, visit func(path string, node *Node) error) error {
	return errPending
}

func (r *Repository) OpenFile(ctx context.Context, node *Node) (io.ReadCloser, error) {
	return nil, errPending
}

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
func (r *Repository) Forget(ctx context.Context, snapshot ID) error           { return errPending }
func (r *Repository) RepairIndex(ctx context.Context) (*Report, error)        { return nil, errPending }
func ACLIDs(value []byte) (uids, gids []uint32)                               { return nil, nil }
func TranslateACL(value []byte, uid, gid func(uint32) uint32) ([]byte, error) { return value, nil }

var _ os.FileMode
