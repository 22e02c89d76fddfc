package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
)

// ReadKey reads the private key of a PEM file of the machine. ErrEncrypted for one that
// is whole as far as can be told without its password, fs.ErrNotExist where there is no
// file, and another error for a file that holds no usable key.
func ReadKey(h *host.Host, path string) (crypto.Signer, error) {
	data, err := readFile(h, path)
	if err != nil {
		return nil, err
	}
	return ParseKey(data)
}

// ParseKey reads the first private key of PEM text, as ReadKey does.
func ParseKey(data []byte) (crypto.Signer, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the file is empty")
	}
	return parseKey(data)
}

// Fits tells whether a key belongs to a certificate.
func Fits(key crypto.Signer, c *x509.Certificate) bool { return matches(key, c) }

// encrypted judges a key under a password by its form, the only thing that can be seen
// of it: ErrEncrypted when it is whole. The forms are those of RFC 5958, section 3, and
// RFC 1421, section 4.6.1.
func encrypted(block *pem.Block) error {
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		var info struct {
			Algorithm pkix.AlgorithmIdentifier
			Data      []byte
		}
		if rest, err := asn1.Unmarshal(block.Bytes, &info); err != nil || len(rest) > 0 || len(info.Data) == 0 {
			return errors.New("it says that it is an encrypted key, and what it holds is none")
		}
		return ErrEncrypted
	}
	_, text, _ := strings.Cut(block.Headers["DEK-Info"], ",")
	vector, err := hex.DecodeString(strings.TrimSpace(text))
	// The vector is as long as a block of the cipher, and the key is whole blocks.
	if size := len(vector); err != nil || size != 8 && size != 16 || len(block.Bytes) == 0 || len(block.Bytes)%size != 0 {
		return errors.New("it says that it is an encrypted key, and its headers or its size are those of none")
	}
	return ErrEncrypted
}

// ownKeys are the authority's own keys as the options name them.
func (c *Component) ownKeys() []string {
	var named []string
	for _, path := range c.options.AuthorityKey {
		if path != "" {
			named = append(named, path)
		}
	}
	return named
}

// own looks at an authority's own key. A recovery goes on without one; that the authority
// can issue nothing then is a matter of the backup and of a drill.
func (c *Component) own(ctx context.Context, s *sight, path string) {
	if ctx.Err() != nil {
		return
	}
	lacking := func(found, hint string) {
		s.add(component.Check{Name: path, Warning: true, Lacking: true, Expected: "the authority's key", Found: found, Hint: hint})
	}
	key, err := ReadKey(c.env.Host, path)
	switch {
	case errors.Is(err, ErrEncrypted):
		s.keys[path] = nil
	case errors.Is(err, fs.ErrNotExist) && c.options.AuthorityKeyMissingOK:
		s.note(path, "the authority's key is not there, so it can issue nothing here", "nothing is wrong when the authority is kept elsewhere")
	case errors.Is(err, fs.ErrNotExist):
		lacking("the authority's key is not there: it can issue nothing", "bring it back from an older recovery point")
	case err != nil:
		lacking(fmt.Sprintf("the authority's key cannot be used: %v", err), "bring it back from an older recovery point, or look at it with openssl pkey")
	case len(s.authorities) == 0: // that its certificate cannot be read was said
		s.keys[path] = key
	default:
		for _, a := range s.authorities {
			if matches(key, a.Certificate) {
				s.keys[path] = key
				return
			}
		}
		lacking("the key is not that of the authority's certificate", "bring certificate and key back from one recovery point")
	}
}
