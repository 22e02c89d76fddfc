package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// cost is what one guess costs: memory in KiB and passes (RFC 9106).
type cost struct{ memory, passes uint32 }

// defaultCost is RFC 9106's choice for 64 MiB, on one lane.
var defaultCost = cost{64 << 10, 3}

// What is read from the database is not trusted to be affordable.
var mostCost = cost{1 << 20, 16}

const (
	lanes = 1
	// together is how many hashes are computed at a time, each with its memory.
	together = 2
	// queued is how many may wait for that; who comes then is sent away.
	queued = 32
	// shortest and longest are in bytes of a password.
	shortest, longest = 12, 1024
)

// hashing makes and checks password hashes, few at a time.
type hashing struct {
	cost
	waiting chan struct{}
	working chan struct{}
	// nobody is the hash of a password that nobody knows: checking it takes the time
	// that checking a real one does.
	nobody string
}

func newHashing(c cost) *hashing {
	h := &hashing{cost: c, waiting: make(chan struct{}, queued), working: make(chan struct{}, together)}
	h.nobody = phc(c, make([]byte, 16), make([]byte, 32))
	return h
}

// enter waits for a place to compute.
func (h *hashing) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	defer func() { <-h.waiting }()
	select {
	case h.working <- struct{}{}:
		return func() { <-h.working }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash makes the PHC string of a password.
func (h *hashing) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, 16)
	_, _ = rand.Read(salt)
	return phc(h.cost, salt, argon2.IDKey(normal(password), salt, h.passes, h.memory, lanes, 32)), nil
}

// check compares a password with a PHC string; "" is right for none. stale: the string
// was made at another cost.
func (h *hashing) check(ctx context.Context, stored, password string) (right, stale bool, err error) {
	none := stored == ""
	if none {
		stored = h.nobody
	}
	c, salt, want, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	if len(password) > longest {
		password, none = "", true
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	got := argon2.IDKey(normal(password), salt, c.passes, c.memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && !none, c != h.cost, nil
}

// normal makes a password the same whatever keyboard typed it.
func normal(password string) []byte { return norm.NFKC.Bytes([]byte(password)) }

// phc writes a hash in the string format of the password hashing competition,
// https://github.com/P-H-C/phc-string-format.
func phc(c cost, salt, hash []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, lanes, b64.EncodeToString(salt), b64.EncodeToString(hash))
}

var errPHC = errors.New("the stored password hash cannot be read; set the password again")

func parsePHC(s string) (c cost, salt, hash []byte, err error) {
	parts := strings.Split(s, "$")
	if len(s) > 256 || len(parts) != 6 || parts[1] != "argon2id" {
		return c, nil, nil, errPHC
	}
	var version, p int
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return c, nil, nil, errPHC
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &p); err != nil || p != lanes ||
		c.memory < 8 || c.memory > mostCost.memory || c.passes < 1 || c.passes > mostCost.passes {
		return c, nil, nil, errPHC
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	hash, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(hash) < 16 || len(hash) > 64 {
		return c, nil, nil, errPHC
	}
	return c, salt, hash, nil
}
