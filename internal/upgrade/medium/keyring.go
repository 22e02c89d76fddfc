package medium

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"

	"lifeboat/internal/host"
)

// KeyDir is where SUSE's packages put the keys that the vendor signs with.
const KeyDir = "/usr/lib/rpm/gnupg/keys"

// Keyring is whom to trust.
type Keyring struct {
	Keys []Key
	// From says where they come from, for reports; Skipped what was there and could
	// not be read.
	From, Skipped []string
}

// Key is one key and where it comes from.
type Key struct {
	entity *openpgp.Entity
	from   string
}

const (
	maxKey  = 1 << 20
	maxKeys = 500
)

// ReadKeys reads the keys of files, armored or not.
func ReadKeys(names ...string) (Keyring, error) {
	var k Keyring
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return k, fmt.Errorf("key: %w", err)
		}
		text, err := bounded(f, maxKey)
		if err = errors.Join(err, f.Close()); err == nil {
			err = k.add(text, name)
		}
		if err != nil {
			return k, fmt.Errorf("key: %s: %w", name, err)
		}
		k.From = append(k.From, name)
	}
	return k, nil
}

// SystemKeys are those that the machine trusts with packages: the vendor's, and those
// that rpm was given.
func SystemKeys(ctx context.Context, h *host.Host) (Keyring, error) {
	var k Keyring
	dir, err := h.Path(KeyDir)
	if err != nil {
		return k, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("read the vendor's keys: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || len(k.Keys) > maxKeys {
			continue
		}
		more, err := ReadKeys(filepath.Join(dir, e.Name()))
		if err != nil {
			k.Skipped = append(k.Skipped, err.Error())
			continue
		}
		k.Keys = append(k.Keys, more.Keys...)
	}
	if len(k.Keys) > 0 {
		k.From = append(k.From, KeyDir)
	}
	// rpm keeps each key as a package of which it is the description.
	text, err := h.Output(ctx, "rpm", "-q", "gpg-pubkey", "--queryformat", "%{DESCRIPTION}\n")
	var exit *host.ExitError
	switch {
	case errors.Is(err, host.ErrNoProgram), errors.As(err, &exit):
		return k, nil // there is none
	case err != nil:
		return k, fmt.Errorf("read the keys that rpm knows: %w", err)
	}
	if bytes.Contains(text, []byte(armorBegin)) {
		if err := k.add(text, "rpm"); err != nil {
			k.Skipped = append(k.Skipped, "rpm: "+err.Error())
		}
		k.From = append(k.From, "rpm's keyring")
	}
	return k, nil
}

const (
	armorBegin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	armorEnd   = "-----END PGP PUBLIC KEY BLOCK-----"
)

// add takes the keys of a text, in which armored blocks may follow each other.
func (k *Keyring) add(text []byte, from string) (err error) {
	defer func() {
		if p := recover(); p != nil { // keys of others, in a parser of others
			err = fmt.Errorf("it is no OpenPGP key: %v", p)
		}
	}()
	var all openpgp.EntityList
	if !bytes.Contains(text, []byte(armorBegin)) {
		if all, err = openpgp.ReadKeyRing(bytes.NewReader(text)); err != nil {
			return fmt.Errorf("it is no OpenPGP key: %w", err)
		}
	}
	rest := string(text)
	for {
		begin := strings.Index(rest, armorBegin)
		if begin < 0 {
			break
		}
		rest = rest[begin:]
		end := strings.Index(rest, armorEnd)
		if end < 0 {
			return errors.New("it is no OpenPGP key: it ends in the middle")
		}
		some, err := openpgp.ReadArmoredKeyRing(strings.NewReader(rest[:end+len(armorEnd)] + "\n"))
		if err != nil {
			return fmt.Errorf("it is no OpenPGP key: %w", err)
		}
		all, rest = append(all, some...), rest[end:]
	}
	if len(all) == 0 {
		return errors.New("it holds no OpenPGP key")
	}
	for _, e := range all {
		if e.PrivateKey != nil {
			return errors.New("it holds a private key; give the public one")
		}
		k.Keys = append(k.Keys, Key{e, from})
	}
	return nil
}

func (k Keyring) list() openpgp.EntityList {
	var all openpgp.EntityList
	for _, key := range k.Keys {
		all = append(all, key.entity)
	}
	return all
}

// origin is where a key comes from.
func (k Keyring) origin(e *openpgp.Entity) string {
	for _, key := range k.Keys {
		if key.entity == e {
			return key.from
		}
	}
	return ""
}
