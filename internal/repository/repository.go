// Package repository is restic's repository format, version 2, from its
// published description: keys, packs, index, trees, snapshots, locks. Stock
// restic reads, checks and restores what is written here, and the reverse. No
// profile, component or recovery point may enter: this room stores trees.
package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/repository/cache"
	"lifeboat/internal/repository/chunker"
	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// Options says how a repository is created or opened. The zero value is right
// for everything but tests.
type Options struct {
	// Scrypt is the cost of keys that are made; zero measures this machine, as
	// restic does: half a second and not more than 60 MB.
	Scrypt ScryptParams
	// Hostname and Username stand in keys and locks; empty asks the system.
	Hostname, Username string
	// NoLock takes no locks. It is for stores that nobody writes to, and for
	// reading where a lock of others is known to mean nothing.
	NoLock bool
	// RetryLock is how long a lock of another process is waited for that keeps ours
	// out; 0 for not at all. Locks that cannot be read are not waited for.
	RetryLock time.Duration
	// Waiting is told that a lock is waited for, and until when at most; nil for
	// nobody.
	Waiting func(l *LockedError, until time.Time)
	// Sightings is a directory of this machine in which is remembered since when
	// lock files are seen whose age nothing else tells. Empty for this process only.
	Sightings string
	// Warn is told, in a sentence, what was passed over; nil for nobody. It may be
	// called from several goroutines at once.
	Warn func(text string)
	// Flag is what stands behind a command of this program so that it acts on this
	// repository, such as " -r second"; the advice in errors has it.
	Flag string
	// PackSize is the size in bytes at which a pack is closed; 0 is 16 MiB, the
	// most is 128 MiB. Some five packs are in memory at once.
	PackSize int
	// Uploads is a directory of this machine in which is recorded what was sent
	// to the store and is in no index yet, so that the next session uses it if
	// this one is killed. Empty for no record.
	Uploads string
	// Like is for Create: chunks are cut as they are in that repository, so that
	// what is backed up into one and copied from the other is stored once.
	Like *Repository
	// Cache says where what was read is kept on this machine. The zero value
	// keeps nothing; results never depend on it.
	Cache cache.Options
}

// ScryptParams are the cost of deriving a key from a password.
type ScryptParams = crypto.Params

const (
	defaultPackSize = 16 << 20
	maxPackSize     = 128 << 20
)

// Repository is an open repository. It is safe for concurrent use.
type Repository struct {
	store  storage.Store
	opts   Options
	config Config
	key    *crypto.Key
	keyID  ID
	table  *chunker.Table
	index  *index
	locks  lockKeeper

	sightings *sightings

	pending pendingIndex  // packs that no index file lists yet
	uploads *uploadRecord // the same, for the process after this one

	sessions sessions

	refresh sync.Mutex // held while index files are read
	trees   treeCache
	cache   *cache.Cache
	fetcher *packFetcher
}

// Create makes a new repository in an empty store, with one key.
// ErrRepositoryExists if there is one already.
func Create(ctx context.Context, store storage.Store, password []byte, opts Options) (*Repository, error) {
	if len(password) == 0 {
		return nil, errors.New("an empty repository password is refused")
	}
	_, err := store.Stat(ctx, storage.Handle{Type: storage.Config})
	if err == nil {
		return nil, exists(store)
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("create repository at %s: %w", store.Location(), err)
	}
	// Packs without a config mean that the config was lost; a second master key
	// would make them unreadable.
	for _, kind := range []storage.Type{storage.Data, storage.Index, storage.Snapshot} {
		err = store.List(ctx, kind, func(storage.Info) error {
			return hint(fmt.Errorf("create repository at %s: %w", store.Location(), &DamageError{What: "config file", Err: storage.ErrNotFound}),
				"the location holds packs, an index or snapshots, but no config file: restore that file from a copy, or choose an empty location")
		})
		if err != nil {
			return nil, err
		}
	}
	r := newRepository(store, opts)
	if err := r.refuseOldKeys(ctx); err != nil {
		return nil, fmt.Errorf("create repository at %s: %w", store.Location(), err)
	}
	r.config = newConfig(opts.Like)
	left, err := r.takeKey(ctx, password)
	if err != nil {
		return nil, fmt.Errorf("create repository at %s: %w", store.Location(), err)
	}
	if err := r.saveConfig(ctx); err != nil {
		if errors.Is(err, storage.ErrExists) {
			return r.created(ctx)
		}
		return nil, fmt.Errorf("create repository at %s: %w", store.Location(), err)
	}
	for _, id := range left {
		// They hold other master keys, and would only be tried in vain.
		_ = r.removeFile(ctx, storage.Key, id)
	}
	return r, r.setUp()
}

// interruption is how long a Create that was interrupted may be repeated.
const interruption = time.Hour

// refuseOldKeys refuses keys of which no interrupted Create of this machine has just
// been left: their repository was lost, whoever had one of its passwords has its master
// key, and a copy of its config file may still be found.
func (r *Repository) refuseOldKeys(ctx context.Context) error {
	keys, err := r.Keys(ctx)
	if err != nil && len(keys) == 0 && !errors.Is(err, ErrDamaged) {
		return err
	}
	for _, k := range keys {
		if k.Hostname == r.opts.Hostname && time.Since(k.Created).Abs() < interruption {
			continue
		}
		return hint(&DamageError{What: "config file", Err: storage.ErrNotFound},
			"only keys lie there, key %s of %s: they are what is left of another repository, and a new one does not take them over; bring its config file back from a copy, or remove the directory keys there, or choose an empty location", k.ID.Short(), k.Created.Local().Format(time.DateTime))
	}
	return nil
}

// takeKey makes the first key. A Create that was interrupted may have left one
// for the same password: that is used, since of two keys that one password opens
// nobody could tell which is the repository's. Other keys are returned.
func (r *Repository) takeKey(ctx context.Context, password []byte) (left []ID, err error) {
	ids, err := r.listIDs(ctx, storage.Key)
	if err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		r.key, r.keyID, err = r.openKey(ctx, password)
		if err == nil {
			return slices.DeleteFunc(ids, func(id ID) bool { return id == r.keyID }), nil
		}
		if !errors.Is(err, ErrWrongPassword) && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
	}
	r.key = crypto.Random()
	r.keyID, err = r.addKey(ctx, r.opts.Username, password)
	return ids, err
}

// created ends a Create that found a config when it came to save its own.
// Where that is its own after all, saved by a request that arrived twice, the
// repository is there.
func (r *Repository) created(ctx context.Context) (*Repository, error) {
	id := r.config.ID
	switch err := r.loadConfig(ctx); {
	case err == nil && r.config.ID == id:
		return r, r.setUp()
	case err == nil: // made by another at the same time, with the same key
		return nil, exists(r.store)
	case errors.Is(err, ErrDamaged): // sealed with another key: ours is of no use
		return nil, errors.Join(exists(r.store), r.removeFile(ctx, storage.Key, r.keyID))
	default:
		return nil, errors.Join(exists(r.store), err)
	}
}

func exists(store storage.Store) error {
	return hint(fmt.Errorf("create repository at %s: %w", store.Location(), ErrRepositoryExists),
		"choose another location, or use the repository that is there")
}

// Open opens a repository that exists, of version 1 or 2. ErrNoRepository if
// there is none, ErrWrongPassword if no key fits, ErrDamaged if the config or
// a key file is not what was written.
func Open(ctx context.Context, store storage.Store, password []byte, opts Options) (*Repository, error) {
	r := newRepository(store, opts)
	_, err := store.Stat(ctx, storage.Handle{Type: storage.Config})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, hint(fmt.Errorf("open repository at %s: %w", store.Location(), ErrNoRepository),
			"check the location; if it is new or was lost, lifeboat repository create makes one there that the configuration names")
	}
	if err != nil {
		return nil, fmt.Errorf("open repository at %s: %w", store.Location(), err)
	}
	if err := r.unlock(ctx, password); err != nil {
		return nil, fmt.Errorf("open repository at %s: %w", store.Location(), err)
	}
	if err := r.loadConfig(ctx); err != nil {
		return nil, fmt.Errorf("open repository at %s: %w", store.Location(), err)
	}
	return r, r.setUp()
}

func newRepository(store storage.Store, opts Options) *Repository {
	if opts.Hostname == "" {
		opts.Hostname, _ = os.Hostname()
	}
	if opts.Username == "" {
		if u, err := user.Current(); err == nil {
			opts.Username = u.Username
		}
	}
	if opts.PackSize <= 0 {
		opts.PackSize = defaultPackSize
	}
	if opts.Warn == nil {
		opts.Warn = func(string) {}
	}
	opts.PackSize = min(opts.PackSize, maxPackSize)
	r := &Repository{store: store, opts: opts, index: newIndex(), fetcher: newPackFetcher()}
	r.locks.repo = r
	return r
}

func (r *Repository) setUp() error {
	r.uploads = newUploads(r.opts.Uploads, r.config.ID)
	r.sightings = newSightings(r.opts.Sightings, r.config.ID)
	r.table = chunker.NewTable([]byte(r.config.chunkerSeed() + " " + r.config.ChunkerPolynomial))
	key, err := r.key.Subkey("lifeboat cache")
	if err != nil {
		return fmt.Errorf("derive the key of the cache: %w", err)
	}
	r.cache = cache.Open(r.opts.Cache, r.config.ID, key)
	r.index.cache = r.cache
	return nil
}

// ID is the repository's own identity, 64 hexadecimal digits, the same
// wherever it is copied to.
func (r *Repository) ID() string { return r.config.ID }

// Config returns what the config file says.
func (r *Repository) Config() Config { return r.config }

// Location is where the repository lies, without any secret.
func (r *Repository) Location() string { return r.store.Location() }

// Close gives up all locks and closes the store.
func (r *Repository) Close() error {
	defer r.cache.Close()
	r.uploads.close()
	return errors.Join(r.locks.close(), r.store.Close())
}
