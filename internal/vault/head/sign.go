package head

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// signing begins what is signed with this machine's key beside its records, so that
// no signature of one thing is one of another.
const signing = "lifeboat signed "

// Sign signs a message with this machine's key, which is made if there is none. What
// names the sort of message, say report, on one line.
func (k *Keeper) Sign(what string, message []byte) (signature, public []byte, err error) {
	err = k.locked(func() error {
		own, err := k.identity()
		if errors.Is(err, fs.ErrNotExist) {
			own, err = k.makeIdentity()
		}
		if err != nil {
			return err
		}
		signature = ed25519.Sign(own.key, signedText(what, message))
		public = own.key.Public().(ed25519.PublicKey)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("sign the %s: %w", what, err)
	}
	return signature, public, nil
}

// Verify tells whether the signature of a message is that of the key.
func Verify(what string, message, signature, public []byte) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, signedText(what, message), signature)
}

// Public is this machine's public key. fs.ErrNotExist if there is none yet.
func (k *Keeper) Public() ([]byte, error) {
	own, err := k.identity()
	if err != nil {
		return nil, err
	}
	return own.key.Public().(ed25519.PublicKey), nil
}

func signedText(what string, message []byte) []byte {
	return append([]byte(signing+strings.ReplaceAll(what, "\n", " ")+"\n"), message...)
}
