package head

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// recordFormat is the version of the record's JSON.
const recordFormat = 1

// maxRecord bounds a record on disk, in bytes.
const maxRecord = 64 << 20

// envelope is the file of a record. The signature is over the bytes of the
// record as they stand there, behind purpose.
type envelope struct {
	Record    json.RawMessage `json:"record"`
	Signature []byte          `json:"signature"`
}

// purpose keeps a signature of a record from being one of anything else.
const purpose = "lifeboat head record\n"

const (
	keyName   = "host.key"
	keyBlock  = "PRIVATE KEY" // PKCS #8, RFC 5958
	recordEnd = ".json"
	idLength  = 64
)

// recordOf is the repository whose record a file is.
func recordOf(name string) (string, bool) {
	id, ok := strings.CutSuffix(name, recordEnd)
	return id, ok && validID(id)
}

func validID(id string) bool {
	return len(id) == idLength && strings.Trim(id, "0123456789abcdef") == ""
}

func (k *Keeper) path(id string) (string, error) {
	if !validID(id) {
		return "", fmt.Errorf("%q is not the id of a repository", id)
	}
	return filepath.Join(k.dir, id+recordEnd), nil
}

// load reads the record of a repository and checks that this machine signed it.
// fs.ErrNotExist if there is none, ErrTampered if it is not genuine.
func (k *Keeper) load(id string) (*record, error) {
	path, err := k.path(id)
	if err != nil {
		return nil, err
	}
	data, err := readBounded(path, maxRecord)
	if err != nil {
		return nil, err
	}
	key, err := k.key()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no key that it could be signed with (%s is gone)", ErrTampered, path, keyName)
	}
	if err != nil {
		return nil, err
	}
	return decode(data, key.Public().(ed25519.PublicKey), id)
}

// decode reads foreign bytes: whoever can write the file may have done so.
func decode(data []byte, key ed25519.PublicKey, id string) (*record, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	if !ed25519.Verify(key, append([]byte(purpose), e.Record...), e.Signature) {
		return nil, fmt.Errorf("%w: its signature is not ours", ErrTampered)
	}
	r := new(record)
	if err := json.Unmarshal(e.Record, r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	switch {
	case r.Repository != id:
		return nil, fmt.Errorf("%w: it is the record of repository %s", ErrTampered, short(r.Repository))
	case r.Format > recordFormat:
		return nil, fmt.Errorf("the head record has format %d and this lifeboat reads up to %d: update lifeboat", r.Format, recordFormat)
	}
	return r, nil
}

// save signs a record and puts it in place.
func (k *Keeper) save(r *record) error {
	path, err := k.path(r.Repository)
	if err != nil {
		return err
	}
	key, err := k.key()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = k.makeKey()
	}
	if err != nil {
		return err
	}
	r.Format, r.Changed = recordFormat, time.Now()
	slices.SortStableFunc(r.Points, func(a, b Point) int { return a.Time.Compare(b.Time) })
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	data, err := json.Marshal(envelope{Record: body, Signature: ed25519.Sign(key, append([]byte(purpose), body...))})
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(data, '\n'), 0o600)
}

// key reads this machine's key. fs.ErrNotExist if there is none yet.
func (k *Keeper) key() (ed25519.PrivateKey, error) {
	path := filepath.Join(k.dir, keyName)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others, who could sign head records with it: remove it, and begin again with lifeboat verify --accept", path)
	}
	data, err := readBounded(path, 4<<10)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != keyBlock {
		return nil, fmt.Errorf("%s is no private key: remove it, and begin again with lifeboat verify --accept", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is no Ed25519 key", path)
	}
	return key, nil
}

// makeKey makes this machine's key. The lock is held.
func (k *Keeper) makeKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	return key, renameio.WriteFile(filepath.Join(k.dir, keyName), text, 0o600)
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b.Bytes(), nil
}
