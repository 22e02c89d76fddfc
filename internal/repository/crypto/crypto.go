// Package crypto seals bytes the way restic's repository format asks for:
// AES-256 in counter mode, authenticated by Poly1305-AES over the ciphertext,
// laid out as IV || ciphertext || MAC. It knows keys and bytes; key files,
// passwords and packs stay outside.
package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	//lint:ignore SA1019 The format prescribes Poly1305-AES, for which no other package exists.
	"golang.org/x/crypto/poly1305"
	"golang.org/x/crypto/scrypt"
)

// Overhead is how many bytes longer a sealed message is: a 16-byte IV before
// and a 16-byte MAC behind it.
const Overhead = IVSize + macSize

// IVSize is the length of the IV before a sealed message.
const IVSize = aes.BlockSize

const macSize = poly1305.TagSize

// ErrUnauthenticated says that bytes are not what was sealed with this key.
var ErrUnauthenticated = errors.New("the message authentication code does not match")

// Key encrypts and authenticates. It is safe for concurrent use.
type Key struct {
	encrypt [32]byte
	macK    [16]byte
	macR    [16]byte

	block cipher.Block // for the content
	nonce cipher.Block // for Poly1305-AES's one-time pad
}

// Random returns a new key.
func Random() *Key {
	k := new(Key)
	rand.Read(k.encrypt[:])
	rand.Read(k.macK[:])
	rand.Read(k.macR[:])
	k.init()
	return k
}

// Params are the cost of scrypt.
type Params struct {
	N, R, P int
}

// Limits on the cost that a key file may ask for, so that a hostile one can
// exhaust neither memory (1 GiB) nor patience (some minutes).
const (
	maxMemory = 1 << 30
	maxWork   = 1 << 28
)

// Validate refuses parameters that scrypt does not take or that cost too much.
func (p Params) Validate() error {
	if p.N < 2 || p.N&(p.N-1) != 0 || p.R < 1 || p.P < 1 {
		return fmt.Errorf("scrypt parameters N=%d r=%d p=%d are not valid", p.N, p.R, p.P)
	}
	if p.N > maxMemory/128 || p.R > maxMemory/128/p.N || p.P > maxWork/(p.N*p.R) {
		return fmt.Errorf("scrypt parameters N=%d r=%d p=%d cost too much", p.N, p.R, p.P)
	}
	return nil
}

// Derive makes the key that a password opens.
func Derive(password, salt []byte, params Params) (*Key, error) {
	if err := params.Validate(); err != nil {
		return nil, err
	}
	b, err := scrypt.Key(password, salt, params.N, params.R, params.P, 64)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	k := new(Key)
	copy(k.encrypt[:], b[:32])
	copy(k.macK[:], b[32:48])
	copy(k.macR[:], b[48:])
	clear(b)
	k.init()
	return k, nil
}

// Equal tells whether two keys are the same, in constant time.
func (k *Key) Equal(other *Key) bool {
	return subtle.ConstantTimeCompare(k.encrypt[:], other.encrypt[:])&
		subtle.ConstantTimeCompare(k.macK[:], other.macK[:])&
		subtle.ConstantTimeCompare(k.macR[:], other.macR[:]) == 1
}

func (k *Key) init() {
	// Poly1305 clears these bits of r; the format stores it that way.
	for _, i := range []int{3, 7, 11, 15} {
		k.macR[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		k.macR[i] &= 252
	}
	// AES takes every key of 32 and 16 bytes.
	k.block, _ = aes.NewCipher(k.encrypt[:])
	k.nonce, _ = aes.NewCipher(k.macK[:])
}

// Seal appends the sealed plaintext to dst. The two must not overlap.
func (k *Key) Seal(dst, plaintext []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, len(plaintext)+Overhead)
	dst = append(dst[:start+IVSize], plaintext...)
	return dst[:start+len(k.SealInPlace(dst[start:]))]
}

// SealInPlace seals the plaintext that stands in buf behind room for the IV,
// and returns the sealed message, which begins where buf does.
func (k *Key) SealInPlace(buf []byte) []byte {
	iv, body := buf[:IVSize], buf[IVSize:]
	rand.Read(iv)
	cipher.NewCTR(k.block, iv).XORKeyStream(body, body)
	var mac [macSize]byte
	pad := k.pad(iv)
	poly1305.Sum(&mac, body, &pad)
	return append(buf, mac[:]...)
}

// Open checks sealed bytes and decrypts them in place; the result is a part of
// sealed. ErrUnauthenticated if they are not genuine, and then nothing is
// changed.
func (k *Key) Open(sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, fmt.Errorf("%w: %d bytes are too short", ErrUnauthenticated, len(sealed))
	}
	iv := sealed[:IVSize]
	body := sealed[IVSize : len(sealed)-macSize]
	var mac [macSize]byte
	copy(mac[:], sealed[len(sealed)-macSize:])
	pad := k.pad(iv)
	if !poly1305.Verify(&mac, body, &pad) {
		return nil, ErrUnauthenticated
	}
	cipher.NewCTR(k.block, iv).XORKeyStream(body, body)
	return body, nil
}

// Subkey derives a key of 32 bytes for a purpose outside the repository.
func (k *Key) Subkey(purpose string) ([]byte, error) {
	secret := slices.Concat(k.encrypt[:], k.macK[:], k.macR[:])
	defer clear(secret)
	return hkdf.Key(sha256.New, secret, nil, purpose, 32)
}

// pad is Poly1305's one-time key: r, then the nonce encrypted.
func (k *Key) pad(iv []byte) (pad [32]byte) {
	copy(pad[:16], k.macR[:])
	k.nonce.Encrypt(pad[16:], iv)
	return pad
}

// keyJSON is the master key inside a key file.
type keyJSON struct {
	MAC struct {
		K []byte `json:"k"`
		R []byte `json:"r"`
	} `json:"mac"`
	Encrypt []byte `json:"encrypt"`
}

// MarshalJSON gives the form that key files hold, sealed.
func (k *Key) MarshalJSON() ([]byte, error) {
	var j keyJSON
	j.MAC.K, j.MAC.R, j.Encrypt = k.macK[:], k.macR[:], k.encrypt[:]
	return json.Marshal(j)
}

// UnmarshalJSON is the reverse of MarshalJSON.
func (k *Key) UnmarshalJSON(data []byte) error {
	var j keyJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	if len(j.MAC.K) != len(k.macK) || len(j.MAC.R) != len(k.macR) || len(j.Encrypt) != len(k.encrypt) {
		return errors.New("master key has parts of a wrong length")
	}
	copy(k.macK[:], j.MAC.K)
	copy(k.macR[:], j.MAC.R)
	copy(k.encrypt[:], j.Encrypt)
	k.init()
	return nil
}
