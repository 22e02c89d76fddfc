package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// AddKey makes a further password open the repository, and sees that it does.
// A password that opens it already is refused, and so is a key beyond those
// that are tried when the repository is opened.
func (r *Repository) AddKey(ctx context.Context, password []byte) (ID, error) {
	return r.AddKeyFor(ctx, r.opts.Username, password)
}

// AddKeyFor is AddKey for a password that is not this user's: what it is for stands
// where the user's name would, in lists of our keys and restic's.
func (r *Repository) AddKeyFor(ctx context.Context, username string, password []byte) (id ID, err error) {
	if len(password) == 0 {
		return ID{}, errors.New("an empty repository password is refused")
	}
	ids, err := r.listIDs(ctx, storage.Key)
	if err != nil {
		return ID{}, fmt.Errorf("add key: %w", err)
	}
	if len(ids) >= maxKeys {
		return ID{}, hint(fmt.Errorf("add key: the repository has %d keys, and no more are tried when it is opened", len(ids)), "remove one first")
	}
	switch _, id, err := r.openKey(ctx, password); {
	case err == nil:
		return id, fmt.Errorf("add key: %w: key %s", ErrKeyExists, id.Short())
	case !errors.Is(err, ErrWrongPassword):
		return ID{}, fmt.Errorf("add key: %w", err)
	}
	return r.addVerified(ctx, username, password)
}

func (r *Repository) addVerified(ctx context.Context, username string, password []byte) (ID, error) {
	id, err := r.addKey(ctx, username, password)
	if err != nil {
		return ID{}, err
	}
	if err := r.proveKey(ctx, id, password); err != nil {
		return ID{}, errors.Join(err, r.removeFile(ctx, storage.Key, id))
	}
	return id, nil
}

// proveKey reads a key file back and sees that the password opens it.
func (r *Repository) proveKey(ctx context.Context, id ID, password []byte) error {
	k, err := r.loadKeyFile(ctx, id)
	var master *crypto.Key
	if err == nil {
		master, err = k.open(password)
	}
	if err == nil && !master.Equal(r.key) {
		err = errors.New("it holds another master key")
	}
	if err != nil {
		return fmt.Errorf("the new key %s does not open the repository: %w", id.Short(), err)
	}
	return nil
}

// ChangePassword replaces the key that the repository was opened with by one
// for the new password: the new one is added and proved before the old one is
// removed, so that one of the two opens the repository at every moment. After an
// interruption both may; the same call with the old password completes it.
//
// When only the removal fails, the id of the new key is returned with the error
// and both passwords work. It must not run beside other calls about keys.
func (r *Repository) ChangePassword(ctx context.Context, password []byte) (id ID, err error) {
	if len(password) == 0 {
		return ID{}, errors.New("an empty repository password is refused")
	}
	lock, err := r.Lock(ctx, true)
	if err != nil {
		return ID{}, fmt.Errorf("change the password: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	old := r.keyID
	master, id, err := r.openKey(ctx, password)
	switch {
	case err == nil && id == old:
		return ID{}, hint(fmt.Errorf("change the password: the new one is the present one: %w", ErrKeyExists), "if a change was interrupted, remove the old key")
	case err == nil && !master.Equal(r.key):
		return ID{}, fmt.Errorf("change the password: key %s holds another master key: %w", id.Short(), ErrDamaged)
	case errors.Is(err, ErrWrongPassword):
		id, err = r.addVerified(ctx, r.opts.Username, password)
	}
	if err != nil {
		return ID{}, fmt.Errorf("change the password: %w", err)
	}
	r.keyID = id
	if err := r.removeFile(ctx, storage.Key, old); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return id, elsewhere(fmt.Errorf("the new password works (key %s), but the old one still does: remove key %s: %w", id.Short(), old.Short(), err))
	}
	return id, nil
}

// RemoveKey makes a password useless. ErrLastKey for the only key; the key that
// the repository was opened with is refused too. It takes the exclusive lock:
// two that remove each other's key at once would leave none.
func (r *Repository) RemoveKey(ctx context.Context, id ID) (err error) {
	lock, err := r.Lock(ctx, true)
	if err != nil {
		return fmt.Errorf("remove key %s: %w", id.Short(), err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	ids, err := r.listIDs(ctx, storage.Key)
	switch {
	case err != nil:
		return err
	case !slices.Contains(ids, id):
		return fmt.Errorf("remove key %s: %w", id.Short(), storage.ErrNotFound)
	case len(ids) == 1:
		return hint(fmt.Errorf("remove key %s: %w", id.Short(), ErrLastKey), "add another key first")
	case id == r.keyID:
		return hint(fmt.Errorf("remove key %s: the repository is open with it", id.Short()), "open the repository with another password; if there is none, add one first")
	case !slices.Contains(ids, r.keyID):
		return hint(fmt.Errorf("remove key %s: the key %s, which the repository was opened with, was removed meanwhile", id.Short(), r.keyID.Short()), "open the repository again")
	}
	if err := r.removeFile(ctx, storage.Key, id); err != nil {
		return elsewhere(fmt.Errorf("remove key %s: %w", id.Short(), err))
	}
	return nil
}

// FindKey returns the key whose id begins with these hexadecimal digits, damaged
// ones included. storage.ErrNotFound if there is none.
func (r *Repository) FindKey(ctx context.Context, prefix string) (ID, error) {
	ids, err := r.listIDs(ctx, storage.Key)
	if err != nil {
		return ID{}, err
	}
	var found []ID
	for _, id := range ids {
		if prefix != "" && strings.HasPrefix(id.String(), strings.ToLower(prefix)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return ID{}, fmt.Errorf("%w: no id begins with %q", ErrNoKey, prefix)
	case 1:
		return found[0], nil
	}
	return ID{}, fmt.Errorf("key %s: %d keys begin so; give more of the id", prefix, len(found))
}
