package machine

import (
	"fmt"
	"os"
	"os/user"
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
