package keys

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"

	"github.com/google/renameio/v2"

	"lifeboat/internal/fleet/secret"
)

const (
	keyBlock         = "PRIVATE KEY"
	certificateBlock = "CERTIFICATE"
)

// read reads a file of the directory. A secret one must be its owner's alone.
func read(dir, name string, private bool) ([]byte, error) {
	text, err := secret.Read(filepath.Join(dir, name), private)
	if err != nil {
		return nil, fmt.Errorf("the fleet's keys: %w", err)
	}
	return text, nil
}

func readKey(dir, name string) (any, error) {
	text, err := read(dir, name, true)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyBlock {
		return nil, fmt.Errorf("%s holds no private key in PEM form", filepath.Join(dir, name))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
	}
	return key, nil
}

func trimSpace(text []byte) []byte { return bytes.TrimSpace(text) }

// ReadDatabase reads the address of the database, which only its owner may read. One
// that is not there is fs.ErrNotExist.
func ReadDatabase(dir string) (string, error) {
	text, err := read(dir, DatabaseFile, true)
	return string(trimSpace(text)), err
}

// WriteDatabase keeps the address of the database.
func WriteDatabase(dir, address string) error {
	return renameio.WriteFile(filepath.Join(dir, DatabaseFile), []byte(address+"\n"), 0o600)
}
