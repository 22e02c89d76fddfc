package certificates

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// Compare compares the files, and tells which certificate or key stands in one
// that differs: its fingerprint, whom it is for, how long it holds.
func (c *Component) Compare(ctx context.Context, source component.Source, opts component.CompareOptions) (component.Comparison, error) {
	result, err := c.CompareFiles(ctx, source, opts, func(_ string, was, now []byte) []repository.Field {
		var fields []repository.Field
		for _, sort := range []struct {
			name string
			tell func([]byte) string
		}{{"certificate", fingerprint}, {"private key", keyFingerprint}, {"revocation list", listNumber}} {
			before, after := sort.tell(was), sort.tell(now)
			switch {
			case before == "" && after == "":
			case before == after:
				fields = append(fields, repository.Field{Name: sort.name, Now: "the same, " + after})
			default:
				fields = append(fields, repository.Field{Name: sort.name, Was: none(before), Now: none(after)})
			}
		}
		return fields
	})
	result.What = append(result.What, "fingerprints of certificates and keys in files that differ")
	return result, err
}

func none(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// fingerprint tells the certificates of a file, the first in full.
func fingerprint(data []byte) string {
	all, err := parseCertificates(data)
	if err != nil {
		return ""
	}
	first := all[0]
	text := "SHA256 " + sum(first.Raw) + ", " + first.Subject.String() + ", until " + first.NotAfter.UTC().Format(time.DateOnly)
	for _, next := range all[1:] {
		text += "; SHA256 " + sum(next.Raw)
	}
	return text
}

// keyFingerprint tells a private key by its public one.
func keyFingerprint(data []byte) string {
	key, err := parseKey(data)
	if errors.Is(err, ErrEncrypted) {
		return "encrypted"
	}
	if err != nil {
		return ""
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return ""
	}
	return "public SHA256 " + sum(public)
}

// listNumber tells a revocation list.
func listNumber(data []byte) string {
	list, err := parseRevocations(data)
	if err != nil {
		return ""
	}
	text := "of " + list.ThisUpdate.UTC().Format(time.DateTime)
	if list.Number != nil {
		text = "number " + list.Number.String() + " " + text
	}
	return text
}

// sum is a SHA-256 as openssl shows it, to its first half.
func sum(data []byte) string {
	hash := sha256.Sum256(data)
	return strings.ToUpper(hex.EncodeToString(hash[:16]))
}

var _ component.Comparer = (*Component)(nil)
