package configuration

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
)

// PayloadType is that of the envelope (DSSE, github.com/secure-systems-lab/dsse).
const PayloadType = "application/vnd.lifeboat.recovery-configuration+json"

// NonceSize is how many random bytes a request carries, in hexadecimal.
const NonceSize = 16

// Statement is what is signed: a host's configuration, for one request or, Static,
// for whoever reads the file.
type Statement struct {
	Format   int           `json:"format"`
	Host     record.HostID `json:"host"`
	HostName string        `json:"host_name"`
	Version  int64         `json:"version"` // of the configuration, from 1
	Created  time.Time     `json:"created"` // when the host sent that version
	Issued   time.Time     `json:"issued"`  // when this was signed
	Expires  time.Time     `json:"expires"`
	Nonce    string        `json:"nonce,omitempty"`
	Static   bool          `json:"static,omitempty"`
	// Matched is what of the request this host has now and no other; empty where a
	// person named the host. Static answers have none.
	Matched *record.Identity `json:"matched,omitempty"`
	Open    json.RawMessage  `json:"open"`             // as Open.Encode wrote it
	Sealed  []byte           `json:"sealed,omitempty"` // as Secret.SealToCode made it
}

func (s *Statement) format() int { return s.Format }

func (s *Statement) check() error {
	bad := func(why string) error { return fmt.Errorf("recovery configuration: %w: %s", ErrContent, why) }
	switch {
	case s.Format != Format:
		return fmt.Errorf("recovery configuration: %w: it is %d", ErrFormat, s.Format)
	case !HostID(s.Host):
		return bad("it names no host")
	case s.HostName == "" || !excerpt.Plain(s.HostName, MaxName):
		return bad("the host's name is empty, too long or holds control characters")
	case s.Version < 1:
		return bad("its version is less than 1")
	case s.Created.IsZero() || s.Issued.IsZero() || !s.Expires.After(s.Issued):
		return bad("it has no times, or expires before it was issued")
	case s.Static != (s.Nonce == ""):
		return bad("it must carry either a nonce or the mark of a static answer")
	case !s.Static && !Nonce(s.Nonce):
		return bad("its nonce is malformed")
	case len(s.Open) == 0 || len(s.Open) > MaxOpen:
		return bad("its open half is missing or too large")
	}
	return nil
}

// HostID tells whether a text is a host's: 32 hexadecimal digits in lower case.
func HostID(id record.HostID) bool { return Nonce(string(id)) }

// Nonce tells whether a text is 16 bytes in lower-case hexadecimal.
func Nonce(text string) bool {
	return len(text) == 2*NonceSize && strings.Trim(text, "0123456789abcdef") == ""
}

// Signer is one of the fleet's signing keys. It may be used concurrently.
type Signer struct {
	key ed25519.PrivateKey
	id  string
}

// NewSigner takes a private key.
func NewSigner(key ed25519.PrivateKey) *Signer {
	return &Signer{key: key, id: KeyID(key.Public().(ed25519.PublicKey))}
}

// Public is the key's public half.
func (s *Signer) Public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// KeyID implements dsse.Signer.
func (s *Signer) KeyID() (string, error) { return s.id, nil }

// Sign implements dsse.Signer.
func (s *Signer) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(s.key, message), nil
}

// Envelope signs bytes of a type.
func (s *Signer) Envelope(payloadType string, payload []byte) ([]byte, error) {
	signer, err := dsse.NewEnvelopeSigner(s)
	if err != nil {
		return nil, err
	}
	e, err := signer.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	// The payload is base64, which needs no escaping; it is most of the envelope.
	payloadText := e.Payload
	e.Payload = ""
	head, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	before, after, found := bytes.Cut(head, []byte(`"payload":"`))
	if !found {
		return nil, errors.New("sign: the envelope has no payload")
	}
	return slices.Concat(before, []byte(`"payload":"`), []byte(payloadText), after), nil
}

// Sign makes the answer to a request: the envelope that is sent. Format is filled in
// and times lose what is below a second. The open half is trusted to be what
// ParseOpen takes, so that one answer costs one signature.
func (s *Statement) Sign(with *Signer) ([]byte, error) {
	full := *s
	full.Format = Format
	for _, t := range []*time.Time{&full.Created, &full.Issued, &full.Expires} {
		*t = t.UTC().Truncate(time.Second)
	}
	if err := full.check(); err != nil {
		return nil, err
	}
	// The halves are large and in their final form: they are put in as they are.
	open, sealed := full.Open, full.Sealed
	full.Open, full.Sealed = json.RawMessage("0"), nil
	head, err := json.Marshal(&full)
	if err != nil {
		return nil, fmt.Errorf("sign a recovery configuration: %w", err)
	}
	payload := make([]byte, 0, len(head)+len(open)+base64.StdEncoding.EncodedLen(len(sealed))+16)
	payload = append(payload, head[:len(head)-len("0}")]...)
	payload = append(payload, open...)
	if len(sealed) > 0 {
		payload = append(payload, `,"sealed":"`...)
		payload = base64.StdEncoding.AppendEncode(payload, sealed)
		payload = append(payload, '"')
	}
	return with.Envelope(PayloadType, append(payload, '}'))
}

// KeyID names a public key: the SHA-256 of its 32 bytes in hexadecimal.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

const keyPrefix = "ed25519:"

// FormatKey writes a public key as it is pinned on media: ed25519: and base64.
func FormatKey(key ed25519.PublicKey) string {
	return keyPrefix + base64.StdEncoding.EncodeToString(key)
}

// ErrKey says that a text is no public key.
var ErrKey = errors.New("no signing key of a fleet; one looks like " + keyPrefix + "AbCd…= and is printed by `lifeboat serve`")

// ParseKey reads what FormatKey wrote.
func ParseKey(text string) (ed25519.PublicKey, error) {
	coded, ok := strings.CutPrefix(strings.TrimSpace(text), keyPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(coded)
	if !ok || err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%q: %w", excerpt.Line(text, 60), ErrKey)
	}
	return key, nil
}
