// Package secret reads and makes the secrets of a fleet that stand in files of their
// own, tokens among them, as servers, hosts and people's desks do alike. It is apart
// from the fleet's keys so that it builds wherever somebody speaks to a fleet server.
// What a secret opens is not known here.
package secret

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// maxFile bounds a file that holds a secret, in bytes.
const maxFile = 64 << 10

// Read reads a small file of the fleet's. A private one must be its owner's alone;
// what of that is checked differs by system, see Keep.
func Read(path string, private bool) ([]byte, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if private {
		if err := alone(path, info); err != nil {
			return nil, err
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return text, err
}

// NewToken makes a token of 256 random bits. The mark before it tells people, and
// programs that look for secrets, what it is.
func NewToken(mark string) string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it never fails, crypto/rand says
	return mark + "_" + base64.RawURLEncoding.EncodeToString(random)
}

// HashToken is what is remembered of a token. A token is random, so that no slow
// hash is needed.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// ReadToken reads a token that stands in a file of its own, which only its owner
// may read.
func ReadToken(file string) (string, error) {
	text, err := Read(filepath.Clean(file), true)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	defer clear(text)
	token := string(bytes.TrimSpace(text))
	if len(token) < 16 || len(token) > 256 || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "", fmt.Errorf("%s holds no token", file)
	}
	return token, nil
}
