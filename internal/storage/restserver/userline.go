package restserver

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Access is what a user may do with the repositories of that user.
type Access int

// The sorts of access, and the words for them in a file of users.
const (
	AsServer   Access = iota // what Options.AppendOnly says; no word
	AppendOnly               // "append-only": remove nothing but locks
	Full                     // "full": remove, also where others may not
)

var accessWords = map[Access]string{AppendOnly: "append-only", Full: "full"}

// ParseAccess reads a word for an access.
func ParseAccess(word string) (Access, error) {
	for access, known := range accessWords {
		if word == known {
			return access, nil
		}
	}
	return 0, fmt.Errorf("%q is no access; it is append-only or full", word)
}

// String is the word, "" for AsServer.
func (a Access) String() string { return accessWords[a] }

// login is what a line of the file says about its user.
type login struct {
	hash   string
	access Access
}

const (
	tokenMark = "{SHA256}"
	maxUsers  = 16 << 20 // bytes of the file
)

// readUsers reads the users whose lines are right; bad names the file and the
// number of each line that is not, a line of text for each.
func readUsers(file string) (users map[string]login, bad, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("users: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o022 != 0 {
		return nil, nil, fmt.Errorf("users: %s may be written by others than its owner (chmod go-w %s)", file, file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxUsers+1))
	if err == nil && len(text) > maxUsers {
		err = fmt.Errorf("%s is larger than %d bytes", file, maxUsers)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("users: %w", err)
	}
	users, bad = parseUsers(file, text)
	return users, bad, nil
}

// parseUsers reads lines of USER:HASH or USER:HASH:ACCESS. HASH is bcrypt's of a
// password, as `htpasswd -B` writes it, or {SHA256} and the hexadecimal SHA-256 of
// a token that NewToken made. Empty lines and lines that begin with # are passed
// over. Of two lines for one user the first counts, as with Apache.
func parseUsers(file string, text []byte) (users map[string]login, bad error) {
	users = make(map[string]login)
	var wrong []error
	n := 0
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		user, as, err := parseLine(line)
		if _, twice := users[user]; err == nil && twice {
			err = fmt.Errorf("user %s is there twice", user)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("users: %s:%d: %w", file, n, err))
			continue
		}
		users[user] = as
	}
	return users, errors.Join(wrong...)
}

func parseLine(line string) (user string, as login, err error) {
	user, rest, _ := strings.Cut(line, ":")
	hash, word, worded := strings.Cut(rest, ":")
	if !validSegment(user) {
		return "", login{}, fmt.Errorf("%.200q cannot be a user; letters, digits and ._-@+= can be used", user)
	}
	as.hash = hash
	if token, ok := strings.CutPrefix(hash, tokenMark); ok {
		if sum, err := hex.DecodeString(token); err != nil || len(sum) != sha256.Size {
			return "", login{}, fmt.Errorf("user %s has no valid token", user)
		}
	} else if _, err := bcrypt.Cost([]byte(hash)); err != nil {
		return "", login{}, fmt.Errorf("the password of user %s is not hashed with bcrypt; use htpasswd -B", user)
	}
	if worded {
		if as.access, err = ParseAccess(word); err != nil {
			return "", login{}, fmt.Errorf("user %s: %w", user, err)
		}
	}
	return user, as, nil
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
