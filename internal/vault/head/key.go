package head

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

const (
	keyName   = "host.key"
	keyBlock  = "PRIVATE KEY"           // PKCS #8, RFC 5958
	listBlock = "LIFEBOAT HEAD RECORDS" // one id of a repository on each line
)

// identity is what the file of this machine's key holds: the key, and of which
// repositories there is a record. The list stands beside the key because no record
// counts without that: so none of the three can be taken away unnoticed.
type identity struct {
	key     ed25519.PrivateKey
	records []string
}

// identity reads this machine's key. fs.ErrNotExist if there is none yet.
func (k *Keeper) identity() (*identity, error) {
	path := filepath.Join(k.dir, keyName)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others, who could sign head records with it: remove it, and begin again with lifeboat verify --accept", path)
	}
	data, err := readBounded(path, 4<<20)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
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
	own := &identity{key: key}
	if list, _ := pem.Decode(rest); list != nil && list.Type == listBlock {
		own.records = slices.DeleteFunc(strings.Fields(string(list.Bytes)), func(id string) bool { return !validID(id) })
	}
	return own, nil
}

// makeIdentity makes this machine's key. The lock is held.
func (k *Keeper) makeIdentity() (*identity, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	own := &identity{key: key}
	return own, k.write(own)
}

func (k *Keeper) write(own *identity) error {
	der, err := x509.MarshalPKCS8PrivateKey(own.key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	if len(own.records) > 0 {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: listBlock, Bytes: []byte(strings.Join(own.records, "\n"))})...)
	}
	return renameio.WriteFile(filepath.Join(k.dir, keyName), text, 0o600)
}
