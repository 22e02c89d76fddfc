// Package keys keeps what the fleet server must never lose and never show: the
// authority that hosts and server are certified by, the key that signs recovery
// configurations, and the age identity that their secret parts are sealed for. All
// stand in one directory, of which several servers may have copies. What is signed
// or sealed, and for whom, is decided elsewhere.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/google/renameio/v2"

	"lifeboat/internal/fleet/secret"
)

// The files of a directory of keys.
const (
	authorityKeyFile = "authority.key"
	authorityFile    = "authority.pem" // may be shown to everybody
	signingFile      = "signing.key"
	ageFile          = "age.key"
	settingsFile     = "server.json"
	// AdministratorFile holds the token of the first administrator. Nothing needs
	// it after a token of a person's own was made.
	AdministratorFile = "admin.token"
	// DatabaseFile holds the address of the fleet's records in PostgreSQL, perhaps
	// with its password. Without it they are where the server is told, or in SQLite.
	DatabaseFile = "database.url"
)

// Keys are a fleet's keys, opened. They are safe for concurrent use.
type Keys struct {
	Settings
	// Authority is the certificate of the authority; hosts know the server by it.
	Authority *x509.Certificate
	// Signing signs recovery configurations.
	Signing ed25519.PrivateKey
	// Age opens the secret parts of recovery configurations.
	Age *age.X25519Identity

	authority crypto.Signer
}

// ErrExist says that there are keys in the directory already.
var ErrExist = errors.New("the directory holds keys of a fleet already")

// Create makes the keys of a new fleet in a directory, which is made too, and the
// token of its first administrator. Keys that are there are never replaced.
func Create(dir string, s Settings, now time.Time) (*Keys, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of the fleet's keys: %w", err)
	}
	if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
		return nil, errors.Join(fmt.Errorf("%s is not empty: %w", dir, ErrExist), err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of the fleet's keys: %w", err)
	}
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	certificate, err := selfSigned(authority, s.Names[0], now)
	if err != nil {
		return nil, err
	}
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key that signs: %w", err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make the key that unseals: %w", err)
	}
	k := &Keys{Settings: s, Authority: certificate, Signing: signing, Age: identity, authority: authority}
	return k, k.write(dir)
}

// write puts the files in place, the settings last: without them there are no keys.
func (k *Keys) write(dir string) error {
	authority, err := x509.MarshalPKCS8PrivateKey(k.authority)
	if err != nil {
		return fmt.Errorf("write the authority's key: %w", err)
	}
	signing, err := x509.MarshalPKCS8PrivateKey(k.Signing)
	if err != nil {
		return fmt.Errorf("write the key that signs: %w", err)
	}
	settings, err := k.Settings.encode()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		mode fs.FileMode
		data []byte
	}{
		{authorityKeyFile, 0o600, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: authority})},
		{authorityFile, 0o644, k.AuthorityPEM()},
		{signingFile, 0o600, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: signing})},
		{ageFile, 0o600, []byte(k.Age.String() + "\n")},
		{AdministratorFile, 0o600, []byte(secret.NewToken("lfa") + "\n")},
		{settingsFile, 0o600, settings},
	} {
		if err := renameio.WriteFile(filepath.Join(dir, f.name), f.data, f.mode, renameio.IgnoreUmask()); err != nil {
			return fmt.Errorf("write the fleet's keys: %w", err)
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write the fleet's keys: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open reads the keys of a directory. What others than its owner may read is
// refused. A directory without keys is fs.ErrNotExist.
func Open(dir string) (*Keys, error) {
	k := &Keys{}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.Mode()&0o022 != 0 {
		return nil, fmt.Errorf("others can exchange the keys in %s, as its mode is %04o: chmod 700 %s, and look whether they are still yours", dir, info.Mode().Perm(), dir)
	}
	if k.Settings, k.Authority, err = OpenPublic(dir); err != nil {
		return nil, err
	}
	authority, err := readKey(dir, authorityKeyFile)
	if err != nil {
		return nil, err
	}
	ec, ok := authority.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(k.Authority.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s; restore both from the same copy", authorityKeyFile, authorityFile)
	}
	k.authority = ec
	signing, err := readKey(dir, signingFile)
	if err != nil {
		return nil, err
	}
	if k.Signing, ok = signing.(ed25519.PrivateKey); !ok {
		return nil, fmt.Errorf("%s is no ed25519 key", filepath.Join(dir, signingFile))
	}
	text, err := read(dir, ageFile, true)
	if err != nil {
		return nil, err
	}
	if k.Age, err = age.ParseX25519Identity(string(trimSpace(text))); err != nil {
		return nil, fmt.Errorf("%s is no age identity", filepath.Join(dir, ageFile)) // the error might quote it
	}
	return k, nil
}

// OpenPublic reads what is no secret: where the server is, and its authority. A
// directory without keys is fs.ErrNotExist.
func OpenPublic(dir string) (Settings, *x509.Certificate, error) {
	text, err := read(dir, settingsFile, true)
	if err != nil {
		return Settings{}, nil, err
	}
	settings, err := parseSettings(text)
	if err != nil {
		return Settings{}, nil, fmt.Errorf("%s: %w", filepath.Join(dir, settingsFile), err)
	}
	if text, err = read(dir, authorityFile, false); err != nil {
		return Settings{}, nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != certificateBlock {
		return Settings{}, nil, fmt.Errorf("%s holds no certificate in PEM form", filepath.Join(dir, authorityFile))
	}
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Settings{}, nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	return settings, authority, nil
}

// SigningKey is the public half of the key that signs, as media have it pinned.
func (k *Keys) SigningKey() string {
	public, _ := k.Signing.Public().(ed25519.PublicKey)
	return SigningMark + base64.StdEncoding.EncodeToString(public)
}

// SigningMark begins every public key for media.
const SigningMark = "ed25519:"

// Recipient is whom hosts seal the secret parts of their configurations for.
func (k *Keys) Recipient() string { return k.Age.Recipient().String() }
