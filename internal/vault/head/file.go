package head

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
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
// fs.ErrNotExist if there never was one, ErrLost if it is gone, ErrTampered if it
// is not genuine.
func (k *Keeper) load(id string) (*record, error) {
	path, err := k.path(id)
	if err != nil {
		return nil, err
	}
	own, keyErr := k.identity()
	data, err := readBounded(path, maxRecord)
	switch {
	case errors.Is(err, fs.ErrNotExist) && keyErr == nil && slices.Contains(own.records, id):
		return nil, fmt.Errorf("%w (%s)", ErrLost, path)
	case err != nil:
		return nil, err
	case errors.Is(keyErr, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s has no key that it could be signed with (%s is gone)", ErrTampered, path, keyName)
	case keyErr != nil:
		return nil, keyErr
	}
	return decode(data, own.key.Public().(ed25519.PublicKey), id)
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
	own, err := k.identity()
	if errors.Is(err, fs.ErrNotExist) {
		own, err = k.makeIdentity()
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
	data, err := json.Marshal(envelope{Record: body, Signature: ed25519.Sign(own.key, append([]byte(purpose), body...))})
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return err
	}
	if slices.Contains(own.records, r.Repository) {
		return nil
	}
	own.records = append(own.records, r.Repository)
	return k.write(own)
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
