package host

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ErrUnknownAccount says that the machine has no such user or group.
var ErrUnknownAccount = errors.New("no such user or group")

// User is an account of the machine.
type User struct {
	Name     string
	UID, GID uint32
	Home     string
}

// User looks an account up by name in the machine's own files and, on this
// machine, in its name services.
func (h *Host) User(name string) (User, error) {
	fields, err := h.account("passwd", name, -1)
	if err != nil {
		return User{}, err
	}
	return userOf(fields)
}

// UserName returns the name of a uid, or ErrUnknownAccount.
func (h *Host) UserName(uid uint32) (string, error) {
	fields, err := h.account("passwd", "", int64(uid))
	if err != nil {
		return "", err
	}
	return fields[0], nil
}

// GroupID returns the gid of a group name, or ErrUnknownAccount.
func (h *Host) GroupID(name string) (uint32, error) {
	fields, err := h.account("group", name, -1)
	if err != nil {
		return 0, err
	}
	return id(fields[2])
}

// GroupName returns the name of a gid, or ErrUnknownAccount.
func (h *Host) GroupName(gid uint32) (string, error) {
	fields, err := h.account("group", "", int64(gid))
	if err != nil {
		return "", err
	}
	return fields[0], nil
}

// account finds a line of /etc/passwd or /etc/group by name or, with number
// not negative, by number.
func (h *Host) account(file, name string, number int64) ([]string, error) {
	path, err := h.Path("/etc/" + file)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	defer f.Close()
	what := name
	if number >= 0 {
		what = strconv.FormatInt(number, 10)
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 4 {
			continue
		}
		if (number < 0 && fields[0] == name) || (number >= 0 && fields[2] == what) {
			return fields, nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return nil, fmt.Errorf("%s in %s: %w", what, file, ErrUnknownAccount)
}

func userOf(fields []string) (User, error) {
	if len(fields) < 7 {
		return User{}, fmt.Errorf("account %s: short line in /etc/passwd", fields[0])
	}
	uid, err := id(fields[2])
	if err != nil {
		return User{}, err
	}
	gid, err := id(fields[3])
	if err != nil {
		return User{}, err
	}
	return User{Name: fields[0], UID: uid, GID: gid, Home: fields[5]}, nil
}

func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("account number: %w", err)
	}
	return uint32(n), nil
}
