package repository

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// securityLabel is decided by the machine's policy.
const securityLabel = "security.selinux"

// metadata compares owner, permissions, times and attributes.
func (c *comparison) metadata(d *liveDir, name string, node *Node, st *unix.Stat_t, found *Difference) {
	differ := func(field, was, now string) { found.Fields = append(found.Fields, Field{field, was, now}) }
	if node.Type != Symlink {
		if was, now := permissions(node.Mode), st.Mode&0o7777; was != now {
			differ("mode", fmt.Sprintf("%04o", was), fmt.Sprintf("%04o", now))
		}
	}
	for _, who := range []struct {
		field, name string
		was, now    uint32
		translate   func(uint32) uint32
		look        func(uint32) string
	}{
		{"owner", node.User, node.UID, st.Uid, c.opts.UID, c.names.user},
		{"group", node.Group, node.GID, st.Gid, c.opts.GID, c.names.group},
	} {
		want := who.was
		if who.translate != nil {
			want = who.translate(want)
		}
		if want == who.now {
			continue
		}
		if who.was == who.now {
			who.field += translated
		}
		differ(who.field, named(who.name, who.was), named(who.look(who.now), who.now))
	}
	was, now := node.ModTime, modTime(st)
	// An entry that comes or goes sets its directory's time forward.
	if !was.Equal(now) && !(node.Type == Dir && now.After(was)) {
		differ("modification time", was.UTC().Format(time.RFC3339Nano), now.UTC().Format(time.RFC3339Nano))
	}
	// By path, because only that reaches the attributes of what is not opened.
	live, err := attributesAt(filepath.Join("/proc/self/fd", strconv.Itoa(d.fd)) + "/" + name).read()
	if errors.Is(err, unix.ENOENT) && unix.Fstatat(d.fd, name, new(unix.Stat_t), unix.AT_SYMLINK_NOFOLLOW) != nil {
		return // it vanished; the next look at it tells
	}
	if err != nil {
		found.Kind, found.Note = Unreadable, err.Error()
		return
	}
	c.attributes(node, live, differ)
}

func named(name string, id uint32) string {
	if name == "" {
		return strconv.FormatUint(uint64(id), 10)
	}
	return fmt.Sprintf("%s (%d)", name, id)
}

// attributes compares extended attributes. Their values may be secrets and are
// not told, those of ACLs are.
func (c *comparison) attributes(node *Node, live []Attribute, differ func(field, was, now string)) {
	was, now := map[string][]byte{}, map[string][]byte{}
	var names []string
	for _, side := range []struct {
		list []Attribute
		into map[string][]byte
	}{{node.ExtendedAttributes, was}, {live, now}} {
		for _, a := range side.list {
			if a.Name != securityLabel {
				side.into[a.Name] = a.Value
				names = append(names, a.Name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		before, then := was[name]
		after, there := now[name]
		if isACL(name) {
			if value, err := TranslateACL(before, c.opts.UID, c.opts.GID); then && err == nil {
				before = value
			}
			if !bytes.Equal(before, after) {
				differ(map[string]string{aclAccess: "ACL", aclDefault: "default ACL"}[name], c.acl(before), c.acl(after))
			}
			continue
		}
		switch {
		case !there:
			differ("attribute "+name, "set", "not set")
		case !then:
			differ("attribute "+name, "not set", "set")
		case !bytes.Equal(before, after):
			differ("attribute "+name, "", "another value")
		}
	}
}

// acl writes an ACL as getfacl does, in one line.
func (c *comparison) acl(value []byte) string {
	entries, err := parseACL(value)
	if err != nil {
		return "none"
	}
	var parts []string
	for _, e := range entries {
		kind := map[uint16]string{0x01: "user", aclTagUser: "user", 0x04: "group", aclTagGroup: "group", 0x10: "mask", 0x20: "other"}[e.tag]
		who := ""
		switch e.tag {
		case aclTagUser:
			who = c.names.user(e.id)
		case aclTagGroup:
			who = c.names.group(e.id)
		}
		if who == "" && (e.tag == aclTagUser || e.tag == aclTagGroup) {
			who = strconv.FormatUint(uint64(e.id), 10)
		}
		rights := []byte("---")
		for i, bit := range []uint16{4, 2, 1} {
			if e.perm&bit != 0 {
				rights[i] = "rwx"[i]
			}
		}
		parts = append(parts, kind+":"+who+":"+string(rights))
	}
	return strings.Join(parts, ",")
}
