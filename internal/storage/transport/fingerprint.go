package transport

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// fingerprintMark begins every fingerprint, so that another hash may be used one
// day.
const fingerprintMark = "sha256:"

// Fingerprint is what a certificate is known by: the SHA-256 of its DER form.
func Fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return fingerprintMark + hex.EncodeToString(sum[:])
}

// ParseFingerprint reads a fingerprint as Fingerprint writes it. Upper case and
// colons between the digits, as openssl prints them, are taken too.
func ParseFingerprint(text string) ([sha256.Size]byte, error) {
	digits, ok := strings.CutPrefix(strings.ToLower(text), fingerprintMark)
	sum, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if !ok || err != nil || len(sum) != sha256.Size {
		return [sha256.Size]byte{}, fmt.Errorf("%q is no fingerprint of a certificate; it is %s and 64 hexadecimal digits", text, fingerprintMark)
	}
	return [sha256.Size]byte(sum), nil
}

// FingerprintError says that a server showed another certificate than the one
// that is trusted. It is fs.ErrPermission, and no repetition helps.
type FingerprintError struct{ Shown string }

func (e *FingerprintError) Error() string {
	return fmt.Sprintf("the server shows another certificate than the one that is trusted, with the fingerprint %s; if it was renewed, compare that with what the server prints and correct the configuration, otherwise somebody stands between you and it", e.Shown)
}

// Unwrap returns fs.ErrPermission.
func (e *FingerprintError) Unwrap() error { return fs.ErrPermission }

// pin makes a client trust one certificate and no other.
func pin(config *tls.Config, fingerprint string) error {
	want, err := ParseFingerprint(fingerprint)
	if err != nil {
		return err
	}
	// The usual verification would refuse a self-signed certificate; what takes
	// its place is stricter, and runs for resumed sessions too.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server shows no certificate")
		}
		return compare(state.PeerCertificates[0], want)
	}
	return nil
}

func compare(shown *x509.Certificate, want [sha256.Size]byte) error {
	got := sha256.Sum256(shown.Raw)
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return &FingerprintError{Shown: Fingerprint(shown.Raw)}
	}
	return nil
}
