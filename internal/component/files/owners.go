package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/pkg/xattr"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
)

// Extended attributes that hold POSIX ACLs: a version, 2, and entries of tag,
// permissions and id, little-endian (linux/posix_acl_xattr.h).
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
	aclUser    = 0x02
	aclGroup   = 0x08
)

// maxListed bounds how many paths a warning lists.
const maxListed = 5

type aclEntry struct {
	tag, perm uint16
	id        uint32
}

// parseACL reads an ACL attribute; ok is false for bytes that are none.
func parseACL(value []byte) (entries []aclEntry, ok bool) {
	if len(value) < 4 || (len(value)-4)%8 != 0 || binary.LittleEndian.Uint32(value) != 2 {
		return nil, false
	}
	for e := value[4:]; len(e) > 0; e = e[8:] {
		entries = append(entries, aclEntry{binary.LittleEndian.Uint16(e), binary.LittleEndian.Uint16(e[2:]), binary.LittleEndian.Uint32(e[4:])})
	}
	return entries, true
}

// names gives owners of the machine by name, and remembers them.
type names struct {
	host         *host.Host
	users, group map[uint32]string
}

func newNames(h *host.Host) *names {
	return &names{host: h, users: map[uint32]string{}, group: map[uint32]string{}}
}

func (n *names) user(uid uint32) string {
	return remembered(n.users, uid, n.host.UserName)
}

func (n *names) groupOf(gid uint32) string {
	return remembered(n.group, gid, n.host.GroupName)
}

func remembered(known map[uint32]string, id uint32, look func(uint32) (string, error)) string {
	name, ok := known[id]
	if !ok {
		var err error
		if name, err = look(id); id == 0 {
			name = "root" // also where there are no accounts, as among saved files
		} else if err != nil {
			name = "#" + strconv.FormatUint(uint64(id), 10)
		}
		known[id] = name
	}
	return name
}

// attributes describes mode, owner, group, ACLs and other attributes of an
// entry, with names instead of numbers.
func (n *names) attributes(real string, info fs.FileInfo) (string, error) {
	st := info.Sys().(*syscall.Stat_t)
	text := fmt.Sprintf("%s:%s", n.user(st.Uid), n.groupOf(st.Gid))
	if info.Mode()&os.ModeSymlink != 0 {
		return text, nil
	}
	text = fmt.Sprintf("%o %s", st.Mode&0o7777, text)
	list, err := xattr.LList(real)
	if err != nil && !errors.Is(err, syscall.ENOTSUP) && !errors.Is(err, syscall.EPERM) {
		return "", err
	}
	slices.Sort(list)
	for _, a := range list {
		if a == "security.selinux" { // the target's policy decides it
			continue
		}
		value, err := xattr.LGet(real, a)
		if err != nil {
			continue
		}
		entries, ok := parseACL(value)
		if !ok || (a != aclAccess && a != aclDefault) {
			text += fmt.Sprintf(" %q=%x", a, value)
			continue
		}
		var parts []string
		for _, e := range entries {
			who := ""
			switch e.tag {
			case aclUser:
				who = n.user(e.id)
			case aclGroup:
				who = n.groupOf(e.id)
			}
			parts = append(parts, fmt.Sprintf("%d:%s:%d", e.tag, who, e.perm))
		}
		slices.Sort(parts) // the kernel sorts by number, which differs between machines
		text += " " + a + "=" + strings.Join(parts, ",")
	}
	return text, nil
}

// Translator maps owners of a recovery point and collects the paths whose
// owners this machine does not know.
type Translator struct {
	owners  component.Owners // nil keeps numbers
	unknown map[string]*sample
}

type sample struct {
	paths []string
	count int
}

// NewTranslator makes a translator; owners may be nil.
func NewTranslator(owners component.Owners) *Translator {
	return &Translator{owners: owners, unknown: map[string]*sample{}}
}

// UID is for repository.RestoreOptions.
func (t *Translator) UID() func(uint32) uint32 {
	if t.owners == nil {
		return nil
	}
	return func(old uint32) uint32 {
		now, _ := t.owners.UID(old)
		return now
	}
}

// GID is for repository.RestoreOptions.
func (t *Translator) GID() func(uint32) uint32 {
	if t.owners == nil {
		return nil
	}
	return func(old uint32) uint32 {
		now, _ := t.owners.GID(old)
		return now
	}
}

// See notes the owners that a node names.
func (t *Translator) See(path string, node *repository.Node) {
	if t.owners == nil {
		return
	}
	t.user(path, node.UID, node.User, "owner")
	t.groupOf(path, node.GID, node.Group, "group")
	for _, a := range node.ExtendedAttributes {
		if a.Name != aclAccess && a.Name != aclDefault {
			continue
		}
		uids, gids := repository.ACLIDs(a.Value)
		for _, id := range uids {
			t.user(path, id, "", "ACL")
		}
		for _, id := range gids {
			t.groupOf(path, id, "", "ACL")
		}
	}
}

// Dress gives the directory made for dir the metadata that the point has for
// it. A directory that the point does not have becomes 0755.
func (t *Translator) Dress(ctx context.Context, source component.Source, dir, made string) error {
	node, err := Node(ctx, source, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && node.Type != repository.Dir {
		return os.Chmod(made, 0o755)
	}
	if err != nil {
		return err
	}
	t.See(dir, node)
	uid, gid := node.UID, node.GID
	if t.owners != nil {
		uid, gid = t.UID()(uid), t.GID()(gid)
	}
	if err := os.Lchown(made, int(uid), int(gid)); err != nil {
		return err
	}
	for _, a := range node.ExtendedAttributes {
		value := a.Value
		if a.Name == aclAccess || a.Name == aclDefault {
			if value, err = repository.TranslateACL(value, t.UID(), t.GID()); err != nil {
				return fmt.Errorf("%s: %w", Shown(dir), err)
			}
		}
		if err := xattr.LSet(made, a.Name, value); err != nil && !errors.Is(err, syscall.ENOTSUP) {
			return err
		}
	}
	if err := os.Chmod(made, node.Mode); err != nil {
		return err
	}
	return os.Chtimes(made, node.ModTime, node.ModTime)
}

func (t *Translator) user(path string, id uint32, name, where string) {
	if now, known := t.owners.UID(id); !known {
		t.note(path, "user", id, now, name, where)
	}
}

func (t *Translator) groupOf(path string, id uint32, name, where string) {
	if now, known := t.owners.GID(id); !known {
		t.note(path, "group", id, now, name, where)
	}
}

func (t *Translator) note(path, what string, id, now uint32, name, where string) {
	who := fmt.Sprintf("%s %d", what, id)
	if name != "" {
		who = fmt.Sprintf("%s %q (%d)", what, name, id)
	}
	key := who + " in " + where + " is unknown on this machine; "
	switch {
	case now != repository.NoID:
		key += "the number was kept for"
	case where == "ACL":
		key += "the entry was left out for"
	default:
		key += "root has got"
	}
	if t.unknown[key] == nil {
		t.unknown[key] = &sample{}
	}
	s := t.unknown[key]
	s.count++
	if len(s.paths) < maxListed {
		s.paths = append(s.paths, Shown(path))
	}
}

// Warnings tells what was unknown, one message for each user or group.
func (t *Translator) Warnings() []string {
	var all []string
	for who, s := range t.unknown {
		text := who + " " + strings.Join(s.paths, ", ")
		if more := s.count - len(s.paths); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		all = append(all, text+"; create the account and restore again, or set the owner by hand")
	}
	slices.Sort(all)
	return all
}

// Shown is a path for people and JSON: quoted when it is not plain text.
func Shown(path string) string {
	if utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return path
	}
	return strconv.Quote(path)
}
