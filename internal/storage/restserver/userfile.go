package restserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

// Errors of changes to a file of users.
var (
	ErrUserExists = errors.New("there is such a user already")
	ErrNoUser     = errors.New("there is no such user")
)

// User is one line of a file of users.
type User struct {
	Name   string
	Token  bool // a token, not a password
	Access Access
}

// ListUsers reads a file of users, in its order. A file that is not there has
// none.
func ListUsers(file string) ([]User, error) {
	known, bad, err := readUsers(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	lines, err := userLines(file)
	if err != nil {
		return nil, err
	}
	var users []User
	for _, line := range lines {
		if name := userOf(line); name != "" {
			as := known[name]
			users = append(users, User{Name: name, Token: strings.HasPrefix(as.hash, tokenMark), Access: as.access})
		}
	}
	return users, nil
}

// AddUser adds a line that NewToken or HashPassword made to a file of users,
// which is made (0600) if need be. It takes the place of the user's former line
// if replace is set; otherwise that is ErrUserExists. With AsServer a former line
// keeps its access. Servers take the change up with the next request.
func AddUser(file, line string, access Access, replace bool) error {
	name := userOf(line)
	return changeUsers(file, func(lines []string) ([]string, error) {
		at := slices.IndexFunc(lines, func(l string) bool { return userOf(l) == name })
		switch {
		case at >= 0 && !replace:
			return nil, fmt.Errorf("%s: %w", name, ErrUserExists)
		case at >= 0:
			if access == AsServer {
				if _, former, err := parseLine(strings.TrimSpace(lines[at])); err == nil {
					access = former.access
				}
			}
			lines[at] = withAccess(line, access)
			return lines, nil
		}
		return append(lines, withAccess(line, access)), nil
	})
}

func withAccess(line string, access Access) string {
	if access == AsServer {
		return line
	}
	return line + ":" + access.String()
}

// RemoveUser takes a user out of the file, or reports ErrNoUser. What the user
// has stored stays.
func RemoveUser(file, name string) error {
	return changeUsers(file, func(lines []string) ([]string, error) {
		kept := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return userOf(l) == name })
		if len(kept) == len(lines) {
			return nil, fmt.Errorf("%s: %w", name, ErrNoUser)
		}
		return kept, nil
	})
}

// changeUsers rewrites the file as a whole, alone, and only if it can be read
// before and after.
func changeUsers(file string, change func([]string) ([]string, error)) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	alone := flock.New(file+".lock", flock.SetPermissions(0o600))
	if err := alone.Lock(); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	defer alone.Close()
	if _, bad, err := readUsers(file); bad != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, bad)
	}
	lines, err := userLines(file)
	if err != nil {
		return err
	}
	if lines, err = change(lines); err != nil {
		return err
	}
	text := strings.Join(append(lines, ""), "\n")
	if _, bad := parseUsers(file, []byte(text)); bad != nil {
		return bad
	}
	if err := renameio.WriteFile(file, []byte(text), 0o600, renameio.WithExistingPermissions()); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	return nil
}

func userLines(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), nil
}

// userOf is the user of a line, "" for none.
func userOf(line string) string {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return ""
	}
	name, _, _ := strings.Cut(line, ":")
	return name
}
