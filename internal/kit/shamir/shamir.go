// Package shamir divides a secret among people so that some of them together
// have it and fewer know nothing of it (A. Shamir, How to share a secret, 1979):
// each byte is the value at 0 of a polynomial over GF(256) with random
// coefficients, and a share is the value elsewhere. How shares are written down,
// and how a wrong one is found, is not known here.
package shamir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// Share is what one person has: the polynomials' values at X, which is not 0.
type Share struct {
	X byte
	Y []byte // as long as the secret
}

// Errors of Combine.
var (
	ErrTwice = errors.New("a share is there twice")
	ErrUnfit = errors.New("the shares do not fit each other")
)

// Split divides a secret into as many shares as total says, numbered from 1;
// threshold of them give it back. It needs 2 ≤ threshold ≤ total ≤ 255.
func Split(secret []byte, total, threshold int) ([]Share, error) {
	return split(rand.Reader, secret, total, threshold)
}

func split(random io.Reader, secret []byte, total, threshold int) ([]Share, error) {
	switch {
	case len(secret) == 0:
		return nil, errors.New("there is no secret to share")
	case threshold < 2:
		return nil, fmt.Errorf("a threshold of %d: one share alone would be the secret", threshold)
	case threshold > total:
		return nil, fmt.Errorf("%d of %d shares: there would never be enough", threshold, total)
	case total > 255:
		return nil, fmt.Errorf("%d shares: at most 255 can be made", total)
	}
	shares := make([]Share, total)
	for i := range shares {
		shares[i] = Share{X: byte(i + 1), Y: make([]byte, len(secret))}
	}
	// Every coefficient is uniform, the highest one too: were it never 0, shares
	// below the threshold would rule secrets out.
	coefficients := make([]byte, threshold)
	defer clear(coefficients)
	for i, value := range secret {
		if _, err := io.ReadFull(random, coefficients[1:]); err != nil {
			return nil, fmt.Errorf("share a secret: %w", err)
		}
		coefficients[0] = value
		for _, s := range shares {
			s.Y[i] = evaluate(coefficients, s.X)
		}
	}
	return shares, nil
}

// evaluate is the value of a polynomial at x, by Horner's rule.
func evaluate(coefficients []byte, x byte) byte {
	var y byte
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = add(mul(y, x), coefficients[i])
	}
	return y
}

// Combine gives the secret back. That there are enough shares and that they are of
// one secret cannot be seen here: if not, the result is another secret.
func Combine(shares []Share) ([]byte, error) { return interpolate(shares, 0) }

// interpolate gives the values at a place of the polynomials of least degree
// through the shares (Lagrange).
func interpolate(shares []Share, at byte) ([]byte, error) {
	if len(shares) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrUnfit)
	}
	values := make([]byte, len(shares[0].Y))
	for i, s := range shares {
		if s.X == 0 || len(s.Y) != len(values) {
			return nil, ErrUnfit
		}
		weight := byte(1)
		for j, other := range shares {
			if j == i {
				continue
			}
			if other.X == s.X {
				return nil, fmt.Errorf("%w: number %d", ErrTwice, s.X)
			}
			weight = mul(weight, mul(add(at, other.X), inverse(add(s.X, other.X))))
		}
		for k := range values {
			values[k] = add(values[k], mul(weight, s.Y[k]))
		}
	}
	return values, nil
}
