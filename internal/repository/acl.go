package repository

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Names of the extended attributes that hold POSIX ACLs on Linux.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// The binary form of an ACL, from linux/posix_acl_xattr.h: a version, then
// entries of tag, permissions and ID, all little-endian.
const (
	aclVersion  = 2
	aclHeader   = 4
	aclEntry    = 8
	aclTagUser  = 0x02
	aclTagGroup = 0x08
)

var errACL = errors.New("not a POSIX ACL of version 2")

func isACL(name string) bool { return name == aclAccess || name == aclDefault }

func checkACL(value []byte) error {
	if len(value) < aclHeader || binary.LittleEndian.Uint32(value) != aclVersion || (len(value)-aclHeader)%aclEntry != 0 {
		return errACL
	}
	return nil
}

// aclItem is one entry of an ACL.
type aclItem struct {
	tag, perm uint16
	id        uint32
}

func parseACL(value []byte) (entries []aclItem, err error) {
	if err := checkACL(value); err != nil {
		return nil, err
	}
	for b := value[aclHeader:]; len(b) > 0; b = b[aclEntry:] {
		entries = append(entries, aclItem{binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])})
	}
	return entries, nil
}

// ACLIDs returns the uids and gids that entries of an ACL name. Value is that
// of the attribute system.posix_acl_access or _default; anything else has none.
func ACLIDs(value []byte) (uids, gids []uint32) {
	if checkACL(value) != nil {
		return nil, nil
	}
	for e := value[aclHeader:]; len(e) > 0; e = e[aclEntry:] {
		id := binary.LittleEndian.Uint32(e[4:])
		switch binary.LittleEndian.Uint16(e) {
		case aclTagUser:
			uids = append(uids, id)
		case aclTagGroup:
			gids = append(gids, id)
		}
	}
	return uids, gids
}

// NoID is no uid and no gid: an owner that is translated to it becomes root,
// without set-user-id bits, and an ACL entry is left out.
const NoID = ^uint32(0)

// TranslateACL returns an ACL attribute's value with every uid and gid of its
// entries replaced; a nil function keeps them, and entries that become NoID are
// left out. The kernel wants entries of one tag in order of their IDs, so they
// are sorted again.
func TranslateACL(value []byte, uid, gid func(uint32) uint32) ([]byte, error) {
	all, err := parseACL(value)
	if err != nil {
		return nil, err
	}
	var entries []aclItem
	for _, e := range all {
		switch {
		case e.tag == aclTagUser && uid != nil:
			e.id = uid(e.id)
		case e.tag == aclTagGroup && gid != nil:
			e.id = gid(e.id)
		}
		if (e.tag == aclTagUser || e.tag == aclTagGroup) && e.id == NoID {
			continue
		}
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b aclItem) int {
		if a.tag != b.tag || a.id == b.id {
			return int(a.tag) - int(b.tag)
		}
		if a.id < b.id {
			return -1
		}
		return 1
	})
	out := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range entries {
		out = binary.LittleEndian.AppendUint16(out, e.tag)
		out = binary.LittleEndian.AppendUint16(out, e.perm)
		out = binary.LittleEndian.AppendUint32(out, e.id)
	}
	return out, nil
}
