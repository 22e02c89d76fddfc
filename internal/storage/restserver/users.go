package restserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Users is a file of users, one a line (see parseUsers). The file is read again
// when it has changed. A running server passes over a line that it cannot read,
// and keeps to the users it knows while it cannot read the file at all: a slip of
// the editor locks out nobody else. Either is logged once.
type Users struct {
	file string
	log  *slog.Logger

	mu     sync.Mutex
	stamp  stamp
	users  map[string]login
	broken string // what the log was told last
	key    [32]byte
	proved map[[32]byte]time.Time // until when; bcrypt takes too long for each request
}

type stamp struct {
	modified time.Time
	size     int64
}

const (
	// provedFor is how long a password need not be proved again.
	provedFor = 5 * time.Minute
	maxProved = 10_000
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

// OpenUsers reads a file of users, of which every line must be right: the error
// names those that are not. The log is told what is wrong with it later; nil for
// none.
func OpenUsers(file string, log *slog.Logger) (*Users, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	u := &Users{file: file, log: log, proved: make(map[[32]byte]time.Time)}
	rand.Read(u.key[:])
	var bad, err error
	if u.stamp, err = stampOf(file); err == nil {
		u.users, bad, err = readUsers(file)
	}
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	return u, nil
}

func stampOf(file string) (stamp, error) {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}, fmt.Errorf("users: %w", err)
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// load reads the file if it has changed. u.mu is held.
func (u *Users) load() {
	now, err := stampOf(u.file)
	if err == nil && now == u.stamp {
		return
	}
	var users map[string]login
	var bad error
	if err == nil {
		users, bad, err = readUsers(u.file)
	}
	if err != nil {
		u.stamp = stamp{} // a chmod that mends it changes no stamp
		u.tell(fmt.Sprintf("%v; the users known before stay", err))
		return
	}
	u.users, u.stamp = users, now
	clear(u.proved)
	if bad != nil {
		u.tell(fmt.Sprintf("%s; until that is mended these lines let nobody in", strings.ReplaceAll(bad.Error(), "\n", "; ")))
		return
	}
	u.tell("")
}

// tell logs what is wrong with the file, "" for nothing, when that has changed.
func (u *Users) tell(broken string) {
	switch {
	case broken == u.broken:
	case broken == "":
		u.log.Info("the file of users is right again", "file", u.file)
	default:
		u.log.Error("the file of users is wrong", "error", broken)
	}
	u.broken = broken
}

// Authenticate tells whether a user's password or token is right, and what the
// user may do then. It takes the same time for users that there are not.
func (u *Users) Authenticate(user, password string) (Access, bool) {
	proof := u.proof(user, password)
	u.mu.Lock()
	u.load()
	as, known := u.users[user]
	until := u.proved[proof]
	stamp := u.stamp
	u.mu.Unlock()
	if known && time.Now().Before(until) {
		return as.access, true
	}
	if token, ok := strings.CutPrefix(as.hash, tokenMark); ok {
		want, err := hex.DecodeString(token)
		got := sha256.Sum256([]byte(password))
		return as.access, err == nil && subtle.ConstantTimeCompare(got[:], want) == 1
	}
	if !known {
		bcrypt.CompareHashAndPassword(nobody(), []byte(password))
		return 0, false
	}
	if bcrypt.CompareHashAndPassword([]byte(as.hash), []byte(password)) != nil {
		return 0, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if stamp == u.stamp {
		if len(u.proved) >= maxProved {
			clear(u.proved)
		}
		u.proved[proof] = time.Now().Add(provedFor)
	}
	return as.access, true
}

// proof stands for a user and a password without giving either away.
func (u *Users) proof(user, password string) [32]byte {
	mac := hmac.New(sha256.New, u.key[:])
	fmt.Fprintf(mac, "%d:%s:%s", len(user), user, password)
	return [32]byte(mac.Sum(nil))
}
