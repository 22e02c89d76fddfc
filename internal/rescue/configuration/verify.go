package configuration

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
)

// Why an answer is refused, beside ErrContent and ErrFormat. A machine that meets one
// of them has not been given what its fleet made for it now.
var (
	ErrSignature = errors.New("no pinned key of the fleet has signed it")
	ErrNonce     = errors.New("it is the answer to another request")
	ErrStatic    = errors.New("it was made for no request in particular, which is not allowed here")
	ErrExpired   = errors.New("it is not valid now")
	ErrOlder     = errors.New("it is older than one that was seen before")
	ErrOtherHost = errors.New("it belongs to another host")
)

// Seen is the newest that a medium has seen of a host.
type Seen struct {
	Version int64     `json:"version"`
	Issued  time.Time `json:"issued"`
}

// Expected is what an answer has to be.
type Expected struct {
	Keys []ed25519.PublicKey // pinned ones; any of them counts
	// Nonce is that of the request; "" for a source that nobody can ask, which
	// leaves static answers alone.
	Nonce string
	// Static allows static answers to a request with a nonce too.
	Static bool
	Now    time.Time
	// Host says why the answer is for another host than is to be recovered; nil
	// takes every host.
	Host func(*Statement, *Open) error
	// Seen gives the newest that was seen of a host; nil for nothing.
	Seen func(record.HostID) Seen
}

// Configuration is a host's, as its fleet signed it.
type Configuration struct {
	Statement
	Config *Open
}

// skew is how far the clocks of a server and a rescue system may differ.
const skew = 10 * time.Minute

// Verify opens a signed answer. Its error is one of the reasons above, wrapped; no
// part of an answer that is refused is returned, and none is looked at before its
// signature has been verified.
func Verify(envelope []byte, e Expected) (*Configuration, error) {
	payload, err := Payload(envelope, MaxEnvelope, PayloadType, e.Keys)
	if err != nil {
		return nil, fmt.Errorf("recovery configuration: %w", err)
	}
	c := &Configuration{}
	if err := parse(payload, MaxEnvelope, &c.Statement); err != nil {
		return nil, err
	}
	if err := e.fresh(&c.Statement); err != nil {
		return nil, fmt.Errorf("recovery configuration of %s: %w", c.HostName, err)
	}
	if c.Config, err = ParseOpen(c.Open); err != nil {
		return nil, err
	}
	if e.Host != nil {
		if err := e.Host(&c.Statement, c.Config); err != nil {
			return nil, fmt.Errorf("recovery configuration of %s: %w", c.HostName, err)
		}
	}
	return c, nil
}

func (e Expected) fresh(s *Statement) error {
	switch {
	case s.Static && e.Nonce != "" && !e.Static:
		return fmt.Errorf("%w (allow_static in the medium's rescue.yaml)", ErrStatic)
	case !s.Static && (e.Nonce == "" || subtle.ConstantTimeCompare([]byte(s.Nonce), []byte(e.Nonce)) != 1):
		return ErrNonce
	case e.Now.After(s.Expires.Add(skew)):
		return fmt.Errorf("%w: it expired at %s, and this machine's clock says %s", ErrExpired, stamp(s.Expires), stamp(e.Now))
	case s.Issued.After(e.Now.Add(skew)):
		return fmt.Errorf("%w: it was signed at %s, and this machine's clock says %s; if the clock is wrong: date -u -s '%s'", ErrExpired, stamp(s.Issued), stamp(e.Now), stamp(s.Issued))
	}
	if e.Seen == nil {
		return nil
	}
	seen := e.Seen(s.Host)
	switch {
	case s.Version < seen.Version:
		return fmt.Errorf("%w: it is version %d, and version %d was seen", ErrOlder, s.Version, seen.Version)
	// Two servers of a fleet need not have the same time, and a file is as good as its
	// version is.
	case !s.Static && s.Issued.Before(seen.Issued.Add(-skew)):
		return fmt.Errorf("%w: it was signed at %s, and one of %s was seen", ErrOlder, stamp(s.Issued), stamp(seen.Issued))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// Secret opens the secret half with a code; nil, nil if there is none.
func (c *Configuration) Secret(code typed.Code) (*Secret, error) {
	if len(c.Sealed) == 0 {
		return nil, nil
	}
	return OpenWithCode(c.Sealed, code, c.Host, c.Version)
}

// maxSignatures bounds how many signatures of an envelope are tried.
const maxSignatures = 8

// Payload gives what an envelope of a type holds if one of the keys has signed it.
func Payload(envelope []byte, most int, payloadType string, keys []ed25519.PublicKey) ([]byte, error) {
	if len(envelope) > most {
		return nil, fmt.Errorf("%w: the answer has more than %d bytes", ErrContent, most)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return nil, fmt.Errorf("%w: it is no signed envelope: %w", ErrContent, err)
	}
	switch {
	case len(keys) == 0:
		return nil, fmt.Errorf("%w: no key is pinned", ErrSignature)
	case len(e.Signatures) > maxSignatures:
		return nil, fmt.Errorf("%w: it has more than %d signatures", ErrContent, maxSignatures)
	case e.PayloadType != payloadType:
		return nil, fmt.Errorf("%w: it is %q and not %s", ErrFormat, excerpt.Line(e.PayloadType, 60), payloadType)
	}
	var verifiers []dsse.Verifier
	for i, k := range keys {
		if !contains(keys[:i], k) {
			verifiers = append(verifiers, verifier(k))
		}
	}
	all, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return nil, err
	}
	_, payload, err := all.VerifyAndDecode(context.Background(), &e)
	if err != nil {
		return nil, ErrSignature
	}
	return payload, nil
}

func contains(keys []ed25519.PublicKey, key ed25519.PublicKey) bool {
	for _, k := range keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// verifier is a pinned key.
type verifier ed25519.PublicKey

func (v verifier) Public() crypto.PublicKey { return ed25519.PublicKey(v) }
func (v verifier) KeyID() (string, error)   { return KeyID(ed25519.PublicKey(v)), nil }

func (v verifier) Verify(_ context.Context, message, signature []byte) error {
	if len(v) != ed25519.PublicKeySize || !ed25519.Verify(ed25519.PublicKey(v), message, signature) {
		return ErrSignature
	}
	return nil
}
