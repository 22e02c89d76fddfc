package kit

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/kit/shamir"
	"lifeboat/internal/kit/typed"
)

// A secret is split together with the beginning of its hash, so that shares that
// do not fit each other give no wrong password. The hash is hidden by the splitting
// like the rest.
const digestSize = typed.DataSize - typed.SecretSize

func digestOf(secret []byte) []byte {
	sum := sha256.Sum256(append([]byte("lifeboat kit\n"), secret...))
	return sum[:digestSize]
}

// divide splits the secret of a kit.
func divide(kit string, secret [typed.SecretSize]byte, total, threshold int) ([]typed.Share, error) {
	if total > typed.MaxShares {
		return nil, fmt.Errorf("%d shares: a kit has at most %d", total, typed.MaxShares)
	}
	parts, err := shamir.Split(slices.Concat(secret[:], digestOf(secret[:])), total, threshold)
	if err != nil {
		return nil, err
	}
	shares := make([]typed.Share, len(parts))
	for i, part := range parts {
		shares[i] = typed.Share{Kit: kit, Number: int(part.X), Threshold: threshold, Data: [typed.DataSize]byte(part.Y)}
	}
	return shares, nil
}

// Errors of Assembly.
var (
	ErrOtherKit = errors.New("it belongs to another kit")
	ErrKnown    = errors.New("that share is here already")
	ErrMissing  = errors.New("there are too few shares")
)

// Assembly gathers what people bring until it is the password of a kit. Not for
// several goroutines.
type Assembly struct {
	password string
	shares   []typed.Share
}

// Add takes a share, or the whole password of a kit that was not split. ErrKnown for
// a share that is there already, ErrOtherKit for one of another kit.
func (a *Assembly) Add(found typed.Found) error {
	if found.Share == nil {
		if len(a.shares) > 0 || a.password != "" && a.password != found.Password {
			return fmt.Errorf("a whole password beside something else: %w", ErrOtherKit)
		}
		a.password = found.Password
		return nil
	}
	s := *found.Share
	if a.password != "" {
		return fmt.Errorf("share %d of kit %s beside a whole password: %w", s.Number, s.Kit, ErrOtherKit)
	}
	for _, other := range a.shares {
		switch {
		case other == s:
			return fmt.Errorf("share %d: %w", s.Number, ErrKnown)
		case other.Kit != s.Kit:
			return fmt.Errorf("share %d is of kit %s, and share %d of kit %s: %w", s.Number, s.Kit, other.Number, other.Kit, ErrOtherKit)
		case other.Threshold != s.Threshold || other.Number == s.Number:
			return fmt.Errorf("shares %d and %d call themselves kit %s and contradict each other: %w", other.Number, s.Number, s.Kit, ErrOtherKit)
		}
	}
	a.shares = append(a.shares, s)
	return nil
}

// Kit is the name of the kit, "" for a password, which has none.
func (a *Assembly) Kit() string {
	if len(a.shares) == 0 {
		return ""
	}
	return a.shares[0].Kit
}

// Missing is how many shares are needed yet; 1 while there is nothing.
func (a *Assembly) Missing() int {
	switch {
	case a.password != "":
		return 0
	case len(a.shares) == 0:
		return 1
	}
	return max(0, a.shares[0].Threshold-len(a.shares))
}

// Password is the password of the kit. ErrMissing with fewer shares than it takes,
// ErrOtherKit when the shares do not give one.
func (a *Assembly) Password() (string, error) {
	if a.password != "" {
		return a.password, nil
	}
	if n := a.Missing(); n > 0 {
		if len(a.shares) == 0 {
			return "", ErrMissing
		}
		return "", fmt.Errorf("%w: kit %s takes %d, and %d are here", ErrMissing, a.Kit(), a.shares[0].Threshold, len(a.shares))
	}
	parts := make([]shamir.Share, len(a.shares))
	for i, s := range a.shares {
		parts[i] = shamir.Share{X: byte(s.Number), Y: s.Data[:]}
	}
	joined, err := shamir.Combine(parts)
	if err != nil {
		return "", err
	}
	defer clear(joined)
	secret := joined[:typed.SecretSize]
	if subtle.ConstantTimeCompare(joined[typed.SecretSize:], digestOf(secret)) != 1 {
		return "", fmt.Errorf("the shares of kit %s give no password: one of them was not printed with the others: %w", a.Kit(), ErrOtherKit)
	}
	return typed.Password([typed.SecretSize]byte(secret)), nil
}
