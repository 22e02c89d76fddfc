package repository

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ID names a blob or file of the repository: the SHA-256 of its content.
type ID [sha256.Size]byte

// Hash returns the ID of data.
func Hash(data []byte) ID { return sha256.Sum256(data) }

// ParseID reads 64 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("%q is not an ID: 64 hexadecimal digits are needed", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("%q is not an ID: %w", s, err)
	}
	return id, nil
}

// String returns 64 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first eight digits, as people are shown.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero tells whether the ID is not set.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText makes IDs hexadecimal strings in JSON.
func (id ID) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, id[:]), nil
}

// UnmarshalText is the reverse of MarshalText.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return errors.New("an ID has 64 hexadecimal digits")
	}
	_, err := hex.Decode(id[:], text)
	return err
}

func randomID() ID {
	var id ID
	rand.Read(id[:])
	return id
}
