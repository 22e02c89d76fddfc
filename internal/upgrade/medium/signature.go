package medium

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	proton "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"lifeboat/internal/excerpt"
)

// Signed says what a signature is worth.
type Signed string

// What signatures are worth.
const (
	Good    Signed = "good"        // by a key that is trusted
	Alone   Signed = "own-key"     // by a key that only the source itself brings: it proves nothing
	Unknown Signed = "unknown-key" // by a key that nobody has
	Bad     Signed = "bad"         // it is not one of this file, or by a key that was revoked
	None    Signed = "missing"
)

// Signature is who vouches for an index.
type Signature struct {
	State Signed    `json:"state"`
	Key   string    `json:"key,omitempty"`  // fingerprint, or what the signature says of the key
	Name  string    `json:"name,omitempty"` // of the key's owner
	From  string    `json:"from,omitempty"` // where the key comes from
	Made  time.Time `json:"made,omitzero"`
	// Weak says why the signature is less than it seems; "" for a sound one.
	Weak string `json:"weak,omitempty"`
	why  string
}

// judge says in the report what a signature means.
func (s Signature) judge(r *Report, name string) {
	switch s.State {
	case Good:
		if s.Weak != "" {
			r.Notes = append(r.Notes, fmt.Sprintf("the signature of %s is weak: %s", name, s.Weak))
		}
	case Alone:
		r.doubt("%s is signed by %s (%s), a key that only the source itself brings: that proves nothing. Compare the fingerprint with what the vendor publishes, and give the key with --key", name, s.Key, s.Name)
	case Unknown:
		r.doubt("%s is signed by the key %s, which is not trusted here; give the vendor's key with --key", name, s.Key)
	case None:
		r.doubt("%s is not signed", name)
	default:
		r.refute("the signature of %s is wrong: %s", name, s.why)
	}
}

// signature looks who has signed an index.
func (s *Source) signature(ctx context.Context, name string, text []byte, keys []string) (Signature, error) {
	signature, err := s.small(ctx, name+".asc")
	if errors.Is(err, fs.ErrNotExist) {
		return Signature{State: None}, nil
	}
	if err != nil {
		return Signature{}, err
	}
	result := verify(text, signature, s.options.Keys)
	if result.State != Unknown {
		return result, nil
	}
	for _, key := range keys {
		own, err := s.small(ctx, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Signature{}, err
		}
		var ring Keyring
		if ring.add(own, key) != nil {
			continue
		}
		switch alone := verify(text, signature, ring); alone.State {
		case Good:
			alone.State = Alone
			return alone, nil
		case Bad:
			return alone, nil
		default: // it is about another key
		}
	}
	return result, nil
}

// permissive takes what SLES 11 was signed with: SHA-1 and keys of 1024 bits. What that
// is worth, the report says. A key counts at the time of the signature: the vendor's
// keys expire while media stay.
func permissive(made time.Time) *packet.Config {
	return &packet.Config{
		Time: func() time.Time { return made }, MinRSABits: 1,
		RejectPublicKeyAlgorithms: map[packet.PublicKeyAlgorithm]bool{}, RejectHashAlgorithms: map[crypto.Hash]bool{crypto.MD5: true},
		RejectMessageHashAlgorithms: map[crypto.Hash]bool{crypto.MD5: true}, RejectCurves: map[packet.Curve]bool{},
	}
}

// verify checks a detached signature against a keyring.
func verify(text, signature []byte, keys Keyring) (s Signature) {
	defer func() {
		if p := recover(); p != nil { // bytes of others, in a parser of others
			s = Signature{State: Bad, why: excerpt.Line(fmt.Sprint("it cannot be read: ", p), 200)}
		}
	}()
	bad := func(format string, args ...any) Signature {
		s.State, s.why = Bad, excerpt.Line(fmt.Sprintf(format, args...), 200)
		return s
	}
	if block, err := armor.Decode(bytes.NewReader(signature)); err == nil {
		if signature, err = bounded(block.Body, maxSmall); err != nil {
			return bad("it cannot be read: %v", err)
		}
	}
	packets := packet.NewReader(bytes.NewReader(signature))
	first, err := packets.Next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return bad("it cannot be read: %v", err)
	}
	p, ok := first.(*packet.Signature)
	if !ok || p.IssuerKeyId == nil {
		return bad("it is no signature of a file")
	}
	s.Made, s.Key = p.CreationTime.UTC(), fmt.Sprintf("%016X", *p.IssuerKeyId)
	if len(p.IssuerFingerprint) > 0 {
		s.Key = fmt.Sprintf("%X", p.IssuerFingerprint)
	}
	list := keys.list()
	if len(list.KeysById(*p.IssuerKeyId)) == 0 {
		s.State = Unknown
		return s
	}
	_, signer, err := openpgp.VerifyDetachedSignature(list, bytes.NewReader(text), bytes.NewReader(signature), permissive(p.CreationTime))
	switch {
	case errors.Is(err, proton.ErrUnknownIssuer):
		s.State = Unknown
		return s
	case err != nil:
		return bad("%v", err)
	}
	s.State = Good
	s.Key, s.From = fmt.Sprintf("%X", signer.PrimaryKey.Fingerprint), keys.origin(signer)
	for name := range signer.Identities {
		if s.Name == "" || name < s.Name {
			s.Name = name
		}
	}
	s.Name = shown(s.Name)
	s.Weak = weakness(p, signer, list)
	return s
}

func weakness(p *packet.Signature, signer *openpgp.Entity, list openpgp.EntityList) string {
	var why []string
	if p.Hash == crypto.SHA1 {
		why = append(why, "it is over a SHA-1 checksum")
	}
	for _, k := range list.KeysById(*p.IssuerKeyId) {
		if k.Entity != signer {
			continue
		}
		var bits int
		switch k.PublicKey.PubKeyAlgo {
		case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoDSA:
			n, err := k.PublicKey.BitLength()
			if err != nil {
				continue
			}
			bits = int(n)
		default: // curves are long enough
		}
		if bits > 0 && bits < 2048 {
			why = append(why, fmt.Sprintf("the key has %d bits", bits))
		}
		break
	}
	return strings.Join(why, ", ")
}
