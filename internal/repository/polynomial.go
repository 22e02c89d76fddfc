package repository

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
)

// polynomial is one over GF(2), a bit a coefficient. The config file holds an
// irreducible one of degree 53: restic's Rabin fingerprints use it. It is also
// the secret from which our own chunker derives its table.
type polynomial uint64

const polynomialDegree = 53

// newPolynomial returns a random irreducible polynomial.
func newPolynomial() polynomial {
	for {
		var b [8]byte
		rand.Read(b[:])
		p := polynomial(binary.LittleEndian.Uint64(b[:]))
		p &= 1<<polynomialDegree - 1
		p |= 1<<polynomialDegree | 1
		if p.irreducible() {
			return p
		}
	}
}

func parsePolynomial(s string) (polynomial, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("chunker polynomial %q: %w", s, err)
	}
	p := polynomial(n)
	if p.degree() != polynomialDegree || !p.irreducible() {
		return 0, fmt.Errorf("chunker polynomial %q is not irreducible and of degree %d", s, polynomialDegree)
	}
	return p, nil
}

func (p polynomial) String() string { return strconv.FormatUint(uint64(p), 16) }

func (p polynomial) degree() int { return bits.Len64(uint64(p)) - 1 }

func (p polynomial) mod(m polynomial) polynomial {
	for d := m.degree(); p.degree() >= d; {
		p ^= m << (p.degree() - d)
	}
	return p
}

// mulMod multiplies modulo m. Both factors are reduced.
func (p polynomial) mulMod(q, m polynomial) polynomial {
	var product polynomial
	for d := m.degree(); q != 0; q >>= 1 {
		if q&1 != 0 {
			product ^= p
		}
		p <<= 1
		if p.degree() == d {
			p ^= m
		}
	}
	return product
}

func gcd(p, q polynomial) polynomial {
	for q != 0 {
		p, q = q, p.mod(q)
	}
	return p
}

// irreducible is Ben-Or's test: p of degree n has no factor if it has no
// common divisor with x^(2^i) - x for any i up to n/2.
func (p polynomial) irreducible() bool {
	const x polynomial = 2
	if p.degree() < 2 {
		return p.degree() == 1
	}
	power := x
	for range p.degree() / 2 {
		power = power.mulMod(power, p)
		if gcd(p, power^x) != 1 {
			return false
		}
	}
	return true
}
