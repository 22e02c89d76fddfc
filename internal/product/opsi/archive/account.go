package archive

import (
	"archive/tar"
	"fmt"
	"math"
	"strings"
)

// Accounts names the numbers that Members carry as owners. A number without a
// name stays a number.
type Accounts struct {
	Users, Groups map[uint32]string
}

// superuser is number 0 on every machine.
const superuser = "root"

// numbering gives each name of the archive one number, and each number at most
// one name: the archive's own number where that is possible, since only the
// names count on another machine.
type numbering struct {
	numbers map[string]uint32
	names   map[uint32]string
	bare    map[uint32]bool // numbers that occur without a name
	next    uint32
}

func newNumbering() *numbering {
	return &numbering{numbers: map[string]uint32{superuser: 0}, names: map[uint32]string{}, bare: map[uint32]bool{}, next: math.MaxInt32}
}

// take is called for every owner once, before number is.
func (n *numbering) take(name string, id uint32) {
	if name == "" {
		n.bare[id] = true
	}
}

func (n *numbering) number(name string, id uint32) uint32 {
	if name == "" {
		return id
	}
	got, ok := n.numbers[name]
	if !ok {
		got = id
		for got == 0 || got == noID || n.names[got] != "" || n.bare[got] {
			n.next--
			got = n.next
		}
		n.numbers[name] = got
	}
	n.names[got] = name
	return got
}

// noID is (uid_t)-1, which is no account.
const noID = math.MaxUint32

// ownerOf reads one owner of a header.
func ownerOf(name string, id int) (string, uint32, error) {
	if len(name) > 256 || strings.ContainsAny(name, ":/\n") || name != "" && !printable(name) {
		return "", 0, fmt.Errorf("the owner %s is no name: %w", quote(name), ErrHostile)
	}
	if id < 0 || int64(id) > math.MaxUint32-1 {
		if name == "" {
			return "", 0, fmt.Errorf("the owner %d is no account: %w", id, ErrHostile)
		}
		id = noID // another one is found
	}
	return name, uint32(id), nil
}

func (m *Member) own(h *tar.Header) (err error) {
	if m.User, m.UID, err = ownerOf(h.Uname, h.Uid); err != nil {
		return err
	}
	m.Group, m.GID, err = ownerOf(h.Gname, h.Gid)
	return err
}

// settleOwners gives the members the numbers that Accounts names.
func (a *Archive) settleOwners() {
	users, groups := newNumbering(), newNumbering()
	for _, m := range a.Members {
		users.take(m.User, m.UID)
		groups.take(m.Group, m.GID)
	}
	for _, m := range a.Members {
		m.UID, m.GID = users.number(m.User, m.UID), groups.number(m.Group, m.GID)
	}
	a.Accounts = Accounts{Users: users.names, Groups: groups.names}
}
