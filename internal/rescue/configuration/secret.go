package configuration

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
)

// Secret is what a host's recovery needs and nobody else may know.
type Secret struct {
	Format int `json:"format"`
	// Host is whose secrets these are: those of another host, put in their place in
	// the fleet's database, are not given out.
	Host record.HostID `json:"host"`
	// Passwords are those of repositories, by the repository's name.
	Passwords map[string]string `json:"passwords,omitempty"`
	// Environment is what stores read of it: variables that begin with AWS_ or
	// RESTIC_, and no others.
	Environment map[string]string `json:"environment,omitempty"`
	Files       []File            `json:"files,omitempty"` // mode 0600 or less
}

func (s *Secret) format() int { return s.Format }

func (s *Secret) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("secret half of the recovery configuration: %w: %s", ErrContent, fmt.Sprintf(format, args...))
	}
	if s.Format != Format {
		return fmt.Errorf("secret half of the recovery configuration: %w: it is %d", ErrFormat, s.Format)
	}
	if !HostID(s.Host) {
		return bad("it names no host")
	}
	if len(s.Passwords) > MaxSystems || len(s.Environment) > MaxSystems {
		return bad("it has more than %d passwords or variables", MaxSystems)
	}
	for name, password := range s.Passwords {
		if !Name(name) || password == "" || strings.ContainsRune(password, 0) {
			return bad("the password of repository %q is empty or no text", excerpt.Line(name, 60))
		}
	}
	for name, value := range s.Environment {
		if err := Variable(name, value); err != nil {
			return err
		}
	}
	return checkFiles(s.Files, true)
}

// Variable tells why a variable of the environment must not be in a secret; nil if it
// may. Those that name commands are refused.
func Variable(name, value string) error {
	known := strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "RESTIC_")
	if !known || len(name) > MaxName || strings.HasSuffix(name, "_COMMAND") || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return fmt.Errorf("secret half of the recovery configuration: %w: the variable %q is none that a store reads", ErrContent, excerpt.Line(name, 60))
	}
	if strings.ContainsRune(value, 0) {
		return fmt.Errorf("secret half of the recovery configuration: %w: the variable %s is no text", ErrContent, name)
	}
	return nil
}

func (s *Secret) encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("secret half of the recovery configuration: %w", err)
	}
	if len(text) > MaxSecret {
		return nil, fmt.Errorf("secret half of the recovery configuration: %w: it has %d bytes, more than %d", ErrContent, len(text), MaxSecret)
	}
	return text, nil
}

// Seal encrypts for the fleet's keys (age-encryption.org/v1). It gives other bytes
// each time.
func (s *Secret) Seal(to ...age.Recipient) ([]byte, error) {
	text, err := s.encode()
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to...)
	if err == nil {
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("seal the recovery configuration: %w", err)
	}
	return sealed.Bytes(), nil
}

// Unseal opens what Seal made. The secrets must be those of the host.
func Unseal(sealed []byte, host record.HostID, with ...age.Identity) (*Secret, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), with...)
	if err != nil {
		return nil, fmt.Errorf("unseal the recovery configuration: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, MaxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("unseal the recovery configuration: %w", err)
	}
	return parseSecret(text, host)
}

func parseSecret(text []byte, host record.HostID) (*Secret, error) {
	s := new(Secret)
	if err := parse(text, MaxSecret, s); err != nil {
		return nil, err
	}
	if s.Host != host {
		return nil, fmt.Errorf("secret half of the recovery configuration: %w: it is that of host %s, and not of %s", ErrOtherHost, s.Host, host)
	}
	return s, nil
}

// ErrCode says that a code does not open what was sealed.
var ErrCode = errors.New("the recovery code does not open it")

// derive makes what a code is used for of the code: HKDF with SHA-256 (RFC 5869).
// Codes are random, so nothing slow is needed.
func derive(code typed.Code, purpose string, size int) []byte {
	key, err := hkdf.Key(sha256.New, code[:], nil, "lifeboat recovery code v1: "+purpose, size)
	if err != nil {
		panic(err) // only for sizes beyond what SHA-256 gives
	}
	return key
}

// Lookup is by which the fleet server finds what was sealed to a code: 128 bits in
// hexadecimal, which do not lead back to the code.
func Lookup(code typed.Code) string { return hex.EncodeToString(derive(code, "lookup", 16)) }

func codeCipher(code typed.Code) cipher.AEAD {
	aead, err := chacha20poly1305.NewX(derive(code, "seal", chacha20poly1305.KeySize))
	if err != nil {
		panic(err) // only for a key of another size
	}
	return aead
}

// bound is what a sealed secret belongs to; it opens for nothing else.
func bound(host record.HostID, version int64) []byte {
	return fmt.Appendf(nil, "lifeboat secret v1 %s %d", host, version)
}

// SealToCode encrypts for one code, host and version of its configuration:
// XChaCha20-Poly1305 below a random nonce of 24 bytes.
func (s *Secret) SealToCode(code typed.Code, version int64) ([]byte, error) {
	text, err := s.encode()
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(text)+chacha20poly1305.Overhead)
	_, _ = rand.Read(sealed) // never fails
	return codeCipher(code).Seal(sealed, sealed, text, bound(s.Host, version)), nil
}

// OpenWithCode opens what SealToCode made for this host and version; ErrCode if it
// was made with another code or for something else.
func OpenWithCode(sealed []byte, code typed.Code, host record.HostID, version int64) (*Secret, error) {
	const n = chacha20poly1305.NonceSizeX
	if len(sealed) < n || len(sealed) > n+MaxSecret+chacha20poly1305.Overhead {
		return nil, fmt.Errorf("secret half of the recovery configuration: %w", ErrCode)
	}
	text, err := codeCipher(code).Open(nil, sealed[:n], sealed[n:], bound(host, version))
	if err != nil {
		return nil, fmt.Errorf("secret half of the recovery configuration: %w", ErrCode)
	}
	return parseSecret(text, host)
}
