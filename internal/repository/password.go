package repository

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
)

// generatedMark begins passwords that NewPassword has made, so that one that was
// mislaid is known for what it is.
const generatedMark = "lifeboat_"

// generatedBytes is how much randomness is in them.
const generatedBytes = 32

// NewPassword returns a password of 256 random bits, in characters that every
// shell and file takes as they are.
func NewPassword() []byte {
	var secret [generatedBytes]byte
	rand.Read(secret[:])
	return base64.RawURLEncoding.AppendEncode([]byte(generatedMark), secret[:])
}

// generated tells a password of NewPassword from one that a person has thought of.
func generated(password []byte) bool {
	text, ok := bytes.CutPrefix(password, []byte(generatedMark))
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(generatedBytes) { // line ends are passed over below
		return false
	}
	secret, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	return err == nil && len(secret) == generatedBytes
}

// costOf is what a key for the password costs to derive. Half a second and 32 MiB
// is what a guess at a person's password has to cost, and every use of the
// repository pays it. 256 random bits are not guessed at any price, so a tenth of
// that, the least that restic takes, is enough for them.
func costOf(password []byte) (ScryptParams, error) {
	if generated(password) {
		return leastCost, nil
	}
	return calibrate()
}
