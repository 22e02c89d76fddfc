package rescue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/source"
)

// codeTries is how often a person may type a code.
const codeTries = 5

// secret asks for the code and fetches the secret half with it.
func (f *fetch) secret(ctx context.Context, got *Fetched) error {
	if f.Code == nil || got.Static && len(got.Sealed) == 0 {
		return nil
	}
	var wrong error
	for range codeTries {
		code, err := f.Code(ctx, wrong)
		if errors.Is(err, typed.ErrNoCode) {
			return nil
		}
		if err != nil {
			return err
		}
		with, err := f.withCode(ctx, got, code)
		switch {
		case err == nil:
			*got = *with
			return nil
		case errors.Is(err, source.ErrSpent):
			wrong = source.ErrSpent
		case errors.Is(err, source.ErrOther):
			wrong = source.ErrOther
		case errors.Is(err, source.ErrCode), errors.Is(err, configuration.ErrCode):
			wrong = source.ErrCode
		default:
			return err
		}
	}
	return wrong
}

// withCode asks again, for this host and with the code. A lost connection does not
// cost the code: the same nonce gets the same answer.
func (f *fetch) withCode(ctx context.Context, got *Fetched, code typed.Code) (*Fetched, error) {
	c := *f
	c.chosen = got.Host
	with := got
	if len(got.Sealed) == 0 {
		var random [configuration.NonceSize]byte
		_, _ = rand.Read(random[:]) // never fails
		r := source.Request{Nonce: hex.EncodeToString(random[:]), Lookup: configuration.Lookup(code)}
		var err error
		if with, err = c.rounds(ctx, r); err != nil {
			return nil, err
		}
		if with.Host != got.Host {
			return nil, fmt.Errorf("%w: with the code came %s instead of %s", configuration.ErrOtherHost, with.HostName, got.HostName)
		}
	}
	secret, err := with.Configuration.Secret(code)
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, fmt.Errorf("%w: it holds no secrets although a code was given", source.ErrCode)
	}
	full := *with
	full.Secret = secret
	full.Shared = slices.Clone(got.Shared)
	return &full, nil
}
