package certificates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"lifeboat/internal/profile"
)

// PredicateOptions are the keys of the predicate certificate.
type PredicateOptions struct {
	File     string `yaml:"file" short:"true" jsonschema:"required"` // the certificate
	IssuedBy string `yaml:"issued_by,omitempty" path:"true"`         // certificate of the authority
	Key      string `yaml:"key,omitempty" path:"true"`               // its private key
	Expired  bool   `yaml:"expired,omitempty"`                       // holds when it is expired, instead of when it is not
}

// ByHand is a command that shows a person whether it holds, but for the key; nil
// when no simple one does.
func (o *PredicateOptions) ByHand() []string {
	if o.IssuedBy == "" || o.Expired {
		return nil
	}
	return []string{"openssl", "verify", "-CAfile", o.IssuedBy, o.File}
}

// Predicate decides whether a certificate is there, in its time, by that
// authority and with that key. Files that are missing or are no certificates
// make it not hold; they are no error.
func Predicate() profile.Predicate {
	return profile.Predicate{
		Definition: profile.Definition{
			Summary: "a certificate is valid, perhaps by an authority and with a key",
			Options: func() any { return new(PredicateOptions) },
		},
		Holds: func(ctx context.Context, scope profile.Scope, options any) (bool, string, error) {
			o, ok := options.(*PredicateOptions)
			if !ok {
				return false, "", fmt.Errorf("options are %T", options)
			}
			if err := ctx.Err(); err != nil {
				return false, "", err
			}
			return holds(scope, o, time.Now())
		},
	}
}

func holds(scope profile.Scope, o *PredicateOptions, now time.Time) (bool, string, error) {
	data, err := readFile(scope.Host, o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return false, o.File + " is not there", nil
	}
	if err != nil {
		return false, "", err
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return false, o.File + ": " + err.Error(), nil
	}
	valid, warning, text := validity(certs[0], now)
	if o.Expired {
		return now.After(certs[0].NotAfter), o.File + ": " + text, nil
	}
	if !valid && !warning {
		return false, o.File + ": " + text, nil
	}
	why := o.File + " is " + text
	if o.IssuedBy != "" {
		data, err := readFile(scope.Host, o.IssuedBy)
		if errors.Is(err, fs.ErrNotExist) {
			return false, o.IssuedBy + " is not there", nil
		}
		if err != nil {
			return false, "", err
		}
		authority, err := parseCertificates(data)
		if err != nil {
			return false, o.IssuedBy + ": " + err.Error(), nil
		}
		between := append(certs[1:len(certs):len(certs)], authority...)
		if _, err := leads(certs[0], []foundCertificate{{path: o.IssuedBy, Certificate: authority[0]}}, between); err != nil {
			return false, o.File + ": " + err.Error(), nil
		}
		why += ", issued by " + authority[0].Subject.String()
	}
	if o.Key != "" {
		data, err := readFile(scope.Host, o.Key)
		if errors.Is(err, fs.ErrNotExist) {
			return false, o.Key + " is not there", nil
		}
		if err != nil {
			return false, "", err
		}
		switch key, err := parseKey(data); {
		case errors.Is(err, ErrEncrypted):
			return false, o.Key + " is encrypted, so a server cannot use it", nil
		case err != nil:
			return false, o.Key + ": " + err.Error(), nil
		case !matches(key, certs[0]):
			return false, o.Key + " does not belong to " + o.File, nil
		}
		why += ", with its key"
	}
	return true, why, nil
}
