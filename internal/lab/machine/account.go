package machine

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// AddGroup adds a group unless there is one of that name.
func AddGroup(name string, gid int) error {
	if _, err := user.LookupGroup(name); err == nil {
		return nil
	}
	return appendLine("/etc/group", fmt.Sprintf("%s:x:%d:", name, gid))
}

// AddUser adds a user unless there is one of that name.
func AddUser(name string, uid int, group, home, shell string) error {
	if _, err := user.Lookup(name); err == nil {
		return nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return err
	}
	if err := appendLine("/etc/shadow", name+":!:18000::::::"); err != nil {
		return err
	}
	return appendLine("/etc/passwd", fmt.Sprintf("%s:x:%d:%s:%s:%s:%s", name, uid, g.Gid, name, home, shell))
}

// AddMember makes a user a further member of a group.
func AddMember(group, name string) error {
	const file = "/etc/group"
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := strings.Split(string(raw), "\n")
	for i, line := range lines {
		f := strings.Split(line, ":")
		if len(f) != 4 || f[0] != group {
			continue
		}
		if members := strings.Split(f[3], ","); !slices.Contains(members, name) {
			lines[i] = strings.Join(f[:3], ":") + ":" + strings.TrimPrefix(f[3]+","+name, ",")
		}
		return os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644)
	}
	return fmt.Errorf("add %s to %s: no such group", name, group)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// IDs returns the numbers of "user" or "user:group".
func IDs(owner string) (uid, gid int, err error) {
	name, group, hasGroup := strings.Cut(owner, ":")
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	id, groupID := u.Uid, u.Gid
	if hasGroup {
		g, err := user.LookupGroup(group)
		if err != nil {
			return 0, 0, err
		}
		groupID = g.Gid
	}
	if uid, err = strconv.Atoi(id); err == nil {
		gid, err = strconv.Atoi(groupID)
	}
	return uid, gid, err
}

// Own gives files to "user:group".
func Own(owner string, paths ...string) error {
	uid, gid, err := IDs(owner)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := os.Lchown(p, uid, gid); err != nil {
			return err
		}
	}
	return nil
}
