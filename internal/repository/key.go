package repository

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// Key describes one key file: one password that opens the repository.
type Key struct {
	ID       ID
	Created  time.Time
	Username string
	Hostname string
	Current  bool // the repository was opened with it
}

// keyFile is the JSON of a key file; Data is the sealed master key.
type keyFile struct {
	Created  time.Time `json:"created"`
	Username string    `json:"username"`
	Hostname string    `json:"hostname"`
	KDF      string    `json:"kdf"`
	N        int       `json:"N"`
	R        int       `json:"r"`
	P        int       `json:"p"`
	Salt     []byte    `json:"salt"`
	Data     []byte    `json:"data"`
}

const saltSize = 64

// maxKeys bounds how many keys a repository has, and how many key files one
// password is tried on: each costs about half a second.
const maxKeys = 32

func parseKeyFile(data []byte) (keyFile, error) {
	var k keyFile
	if err := json.Unmarshal(data, &k); err != nil {
		return k, err
	}
	if k.KDF != "scrypt" {
		return k, fmt.Errorf("key derivation %q is not supported", k.KDF)
	}
	if len(k.Salt) == 0 || len(k.Data) < crypto.Overhead {
		return k, errors.New("salt or data are missing")
	}
	return k, crypto.Params{N: k.N, R: k.R, P: k.P}.Validate()
}

// open derives the user's key and unseals the master key with it.
func (k keyFile) open(password []byte) (*crypto.Key, error) {
	user, err := crypto.Derive(password, k.Salt, crypto.Params{N: k.N, R: k.R, P: k.P})
	if err != nil {
		return nil, err
	}
	plain, err := user.Open(slices.Clone(k.Data))
	if err != nil {
		return nil, err
	}
	master := new(crypto.Key)
	if err := json.Unmarshal(plain, master); err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return master, nil
}

// unlock opens the repository with the key that the password fits.
func (r *Repository) unlock(ctx context.Context, password []byte) error {
	master, id, err := r.openKey(ctx, password)
	if err == nil {
		r.key, r.keyID = master, id
	}
	return err
}

// openKey tries the password on every key file. ErrWrongPassword if it fits none.
func (r *Repository) openKey(ctx context.Context, password []byte) (*crypto.Key, ID, error) {
	ids, err := r.listIDs(ctx, storage.Key)
	if err != nil {
		return nil, ID{}, err
	}
	if len(ids) == 0 {
		return nil, ID{}, hint(&DamageError{What: "directory keys", Err: storage.ErrNotFound}, "restore the files in keys from a copy of the repository")
	}
	var damaged error
	trials := 0
	for _, id := range ids {
		if err := ctx.Err(); err != nil { // deriving a key takes its time
			return nil, ID{}, err
		}
		k, err := r.loadKeyFile(ctx, id)
		if err != nil {
			damaged = errors.Join(damaged, err)
			continue
		}
		if trials++; trials > maxKeys {
			break
		}
		master, err := k.open(password)
		if errors.Is(err, crypto.ErrUnauthenticated) {
			continue
		}
		if err != nil {
			damaged = errors.Join(damaged, &DamageError{What: "key", ID: id, Err: err})
			continue
		}
		return master, id, nil
	}
	if trials == 0 && damaged != nil {
		return nil, ID{}, hint(damaged, "restore the files in keys from a copy of the repository")
	}
	return nil, ID{}, errors.Join(hint(fmt.Errorf("%w (%d keys were tried)", ErrWrongPassword, trials), "give the password that the repository was created with, or one added later"), damaged)
}

func (r *Repository) loadKeyFile(ctx context.Context, id ID) (keyFile, error) {
	data, err := r.loadFile(ctx, storage.Key, id, maxKeyFile, nil)
	if err != nil {
		return keyFile{}, err
	}
	k, err := parseKeyFile(data)
	if err != nil {
		return k, &DamageError{What: "key", ID: id, Err: err}
	}
	return k, nil
}

// addKey writes a key file for the password.
func (r *Repository) addKey(ctx context.Context, username string, password []byte) (ID, error) {
	if len(password) == 0 {
		return ID{}, errors.New("an empty repository password is refused")
	}
	params := r.opts.Scrypt
	if params == (ScryptParams{}) {
		var err error
		if params, err = costOf(password); err != nil {
			return ID{}, err
		}
	}
	k := keyFile{
		Created:  time.Now(),
		Username: username,
		Hostname: r.opts.Hostname,
		KDF:      "scrypt",
		N:        params.N,
		R:        params.R,
		P:        params.P,
		Salt:     make([]byte, saltSize),
	}
	rand.Read(k.Salt)
	user, err := crypto.Derive(password, k.Salt, params)
	if err != nil {
		return ID{}, err
	}
	master, err := json.Marshal(r.key)
	if err != nil {
		return ID{}, err
	}
	k.Data = user.Seal(nil, master)
	clear(master)
	data, err := json.Marshal(k)
	if err != nil {
		return ID{}, err
	}
	id := Hash(data)
	if err := r.store.Save(ctx, handle(storage.Key, id), data); err != nil {
		return ID{}, fmt.Errorf("add key: %w", err)
	}
	return id, nil
}

// Keys lists the keys, oldest first. Damaged key files are reported in the
// error, beside the keys that could be read.
func (r *Repository) Keys(ctx context.Context) ([]Key, error) {
	ids, err := r.listIDs(ctx, storage.Key)
	if err != nil {
		return nil, err
	}
	var keys []Key
	var errs error
	for _, id := range ids {
		k, err := r.loadKeyFile(ctx, id)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		keys = append(keys, Key{ID: id, Created: k.Created, Username: k.Username, Hostname: k.Hostname, Current: id == r.keyID})
	}
	slices.SortFunc(keys, func(a, b Key) int { return a.Created.Compare(b.Created) })
	return keys, errs
}

// leastCost is the least that restic's own calibration comes to.
var leastCost = ScryptParams{N: 1 << 15, R: 8, P: 1}

// calibrate finds scrypt parameters that cost this machine about half a second
// and 32 MiB, the cost that restic aims at.
func calibrate() (ScryptParams, error) {
	const target = 500 * time.Millisecond
	params := leastCost
	start := time.Now()
	if _, err := crypto.Derive([]byte("calibrate"), make([]byte, saltSize), params); err != nil {
		return params, err
	}
	params.P = min(max(int(target/max(time.Since(start), time.Millisecond)), 1), 64)
	return params, nil
}
