package restserver

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Users is a file of users: lines of USER:HASH, where HASH is bcrypt's of a
// password, as `htpasswd -B` writes it, or {SHA256} and the hexadecimal SHA-256
// of a token that NewToken made. Empty lines and lines that begin with # are
// passed over. The file is read again when it has changed.
type Users struct {
	file string

	mu     sync.Mutex
	stamp  stamp
	hashes map[string]string
	broken error
	key    [32]byte
	proved map[[32]byte]time.Time // until when; bcrypt takes too long for each request
}

type stamp struct {
	modified time.Time
	size     int64
}

const (
	tokenMark = "{SHA256}"
	// provedFor is how long a password need not be proved again.
	provedFor = 5 * time.Minute
	maxProved = 10_000
	maxUsers  = 16 << 20 // bytes of the file
)

// nobody is compared with when there is no such user, so that the answer does
// not come sooner. It has bcrypt's default cost.
var nobody = sync.OnceValue(func() []byte {
	hash, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), bcrypt.DefaultCost)
	if err != nil {
		panic(err) // the password is short enough
	}
	return hash
})

// OpenUsers reads a file of users.
func OpenUsers(file string) (*Users, error) {
	u := &Users{file: file}
	rand.Read(u.key[:])
	u.mu.Lock()
	defer u.mu.Unlock()
	u.load()
	return u, u.broken
}

// load reads the file if it has changed. While it cannot be read nobody is let
// in. u.mu is held.
func (u *Users) load() {
	info, err := os.Stat(u.file)
	if err != nil {
		u.hashes, u.proved, u.stamp, u.broken = nil, nil, stamp{}, fmt.Errorf("users: %w", err)
		return
	}
	now := stamp{info.ModTime(), info.Size()}
	if u.broken == nil && u.hashes != nil && now == u.stamp {
		return
	}
	u.hashes, u.broken = readUsers(u.file)
	u.stamp = now
	u.proved = make(map[[32]byte]time.Time)
}

func readUsers(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("users: %s may be written by others than its owner (chmod go-w %s)", file, file)
	}
	hashes, err := parseUsers(io.LimitReader(f, maxUsers))
	if err != nil {
		return nil, fmt.Errorf("users: %s:%w", file, err)
	}
	return hashes, nil
}

func parseUsers(r io.Reader) (map[string]string, error) {
	hashes := make(map[string]string)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		user, hash, _ := strings.Cut(line, ":")
		if !validSegment(user) {
			return nil, fmt.Errorf("%d: %q cannot be a user; letters, digits and ._-@+= can be used", n, user)
		}
		if _, twice := hashes[user]; twice {
			return nil, fmt.Errorf("%d: user %s is there twice", n, user)
		}
		if token, ok := strings.CutPrefix(hash, tokenMark); ok {
			if sum, err := hex.DecodeString(token); err != nil || len(sum) != sha256.Size {
				return nil, fmt.Errorf("%d: user %s has no valid token", n, user)
			}
		} else if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, fmt.Errorf("%d: the password of user %s is not hashed with bcrypt; use htpasswd -B", n, user)
		}
		hashes[user] = hash
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf(" %w", err)
	}
	return hashes, nil
}

// Authenticate tells whether a user's password or token is right. It takes the
// same time for users that there are not.
func (u *Users) Authenticate(user, password string) bool {
	proof := u.proof(user, password)
	u.mu.Lock()
	u.load()
	hash, known := u.hashes[user]
	until := u.proved[proof]
	stamp := u.stamp
	u.mu.Unlock()
	if known && time.Now().Before(until) {
		return true
	}
	if token, ok := strings.CutPrefix(hash, tokenMark); ok {
		want, err := hex.DecodeString(token)
		got := sha256.Sum256([]byte(password))
		return err == nil && subtle.ConstantTimeCompare(got[:], want) == 1
	}
	if !known {
		bcrypt.CompareHashAndPassword(nobody(), []byte(password))
		return false
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if stamp == u.stamp && u.proved != nil {
		if len(u.proved) >= maxProved {
			clear(u.proved)
		}
		u.proved[proof] = time.Now().Add(provedFor)
	}
	return true
}

// proof stands for a user and a password without giving either away.
func (u *Users) proof(user, password string) [32]byte {
	mac := hmac.New(sha256.New, u.key[:])
	fmt.Fprintf(mac, "%d:%s:%s", len(user), user, password)
	return [32]byte(mac.Sum(nil))
}

// NewToken makes a secret of 256 bits for a user, and the line of the file of
// users that lets it in.
func NewToken(user string) (token, line string, err error) {
	if !validSegment(user) {
		return "", "", fmt.Errorf("%q cannot be a user; letters, digits and ._-@+= can be used", user)
	}
	var secret [32]byte
	rand.Read(secret[:])
	token = base64.RawURLEncoding.EncodeToString(secret[:])
	sum := sha256.Sum256([]byte(token))
	return token, user + ":" + tokenMark + hex.EncodeToString(sum[:]), nil
}

// HashPassword makes the line of the file of users for a password, which may
// have 72 bytes at most.
func HashPassword(user string, password []byte) (line string, err error) {
	if !validSegment(user) {
		return "", fmt.Errorf("%q cannot be a user; letters, digits and ._-@+= can be used", user)
	}
	hash, err := bcrypt.GenerateFromPassword(password, bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hash the password of %s: %w", user, err)
	}
	return user + ":" + string(hash), nil
}
