package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

const (
	keyBlock         = "PRIVATE KEY"
	certificateBlock = "CERTIFICATE"
)

// read reads a file of the directory. A secret one must be its owner's alone.
func read(dir, name string, secret bool) ([]byte, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("the fleet's keys: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the fleet's keys: %w", err)
	}
	if secret && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others than its owner may use %s, which holds a secret (chmod 600 %s; and if others are on this machine, the secret counts as known)", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return text, err
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

// NewToken makes a token of 256 random bits. The mark before it tells people, and
// programs that look for secrets, what it is.
func NewToken(mark string) string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails, crypto/rand says
	return mark + "_" + base64.RawURLEncoding.EncodeToString(secret)
}

// HashToken is what is remembered of a token. A token is random, so that no slow
// hash is needed.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

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

// ReadToken reads a token that stands in a file of its own, which only its owner
// may read.
func ReadToken(file string) (string, error) {
	text, err := read(filepath.Dir(file), filepath.Base(file), true)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	defer clear(text)
	token := string(bytes.TrimSpace(text))
	if len(token) < 16 || len(token) > 256 || bytes.ContainsAny([]byte(token), " \t\r\n") {
		return "", fmt.Errorf("%s holds no token", file)
	}
	return token, nil
}
