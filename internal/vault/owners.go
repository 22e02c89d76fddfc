package vault

import (
	"sync"

	"lifeboat/internal/host"
	"lifeboat/internal/repository"
)

// OwnerTable gives the name of every uid and gid that owns something in a
// recovery point or stands in an ACL of it.
type OwnerTable struct {
	Users  map[uint32]string `json:"users,omitempty"`
	Groups map[uint32]string `json:"groups,omitempty"`
}

// superuser is the name of uid and gid 0. Everywhere 0 is root, also where no
// account file says so.
const superuser = "root"

// ownersOf looks up the names of ids on a machine. An id without a name is
// left out: it stays a number.
func ownersOf(h *host.Host, uids, gids map[uint32]struct{}) OwnerTable {
	t := OwnerTable{Users: map[uint32]string{}, Groups: map[uint32]string{}}
	for id := range uids {
		if name, err := h.UserName(id); id == 0 {
			t.Users[id] = superuser
		} else if err == nil {
			t.Users[id] = name
		}
	}
	for id := range gids {
		if name, err := h.GroupName(id); id == 0 {
			t.Groups[id] = superuser
		} else if err == nil {
			t.Groups[id] = name
		}
	}
	return t
}

// Owners translates a point's ids to those of the machine h by name. An id
// whose name is unknown there becomes nobody's (repository.NoID): its number may
// be another account there, which must not come to own a secret. Only a number
// that had no name and has none is kept, and 0, which is root on every machine.
// Safe for concurrent use.
func (t OwnerTable) Owners(h *host.Host) *Owners {
	return &Owners{table: t, host: h, uids: map[uint32]answer{}, gids: map[uint32]answer{}}
}

// Owners implements component.Owners.
type Owners struct {
	table OwnerTable
	host  *host.Host

	mu         sync.Mutex
	uids, gids map[uint32]answer
}

type answer struct {
	id    uint32
	known bool
}

// UID returns this machine's uid for one of the point.
func (o *Owners) UID(old uint32) (uint32, bool) {
	return o.look(o.uids, old, o.table.Users, func(name string) (uint32, error) {
		u, err := o.host.User(name)
		return u.UID, err
	}, o.host.UserName)
}

// GID returns this machine's gid for one of the point.
func (o *Owners) GID(old uint32) (uint32, bool) {
	return o.look(o.gids, old, o.table.Groups, o.host.GroupID, o.host.GroupName)
}

// Name returns the point's name of a uid, or "".
func (o *Owners) Name(uid uint32) string { return o.table.Users[uid] }

// GroupName returns the point's name of a gid, or "".
func (o *Owners) GroupName(gid uint32) string { return o.table.Groups[gid] }

func (o *Owners) look(seen map[uint32]answer, old uint32, names map[uint32]string, find func(string) (uint32, error), nameOf func(uint32) (string, error)) (uint32, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a, ok := seen[old]; ok {
		return a.id, a.known
	}
	a := answer{id: repository.NoID}
	if name, ok := names[old]; old == 0 {
		a = answer{known: true}
	} else if ok {
		if id, err := find(name); err == nil {
			a = answer{id: id, known: true}
		}
	} else if _, err := nameOf(old); err != nil {
		a.id = old
	}
	seen[old] = a
	return a.id, a.known
}
