package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrUnsafe says that others than root, and than the user who runs it, can change a
// program or exchange it.
var ErrUnsafe = errors.New("it is not run")

// maxLinks bounds the symbolic links on the way to a program, as the kernel does.
const maxLinks = 40

// Program finds a program that is to be run as a user of the machine, "" being the
// present one, and says why when it cannot be run: it is not there, not executable,
// what its first line names is missing, or it is not safe (ErrUnsafe). Safe is one
// that, with all directories and symbolic links on the way to it, only root and that
// user can write. As nobody else can exchange any part of the path, it stays that
// program until it is run by the path that is returned. Of a machine below a root
// that root is where the way begins.
func (h *Host) Program(ctx context.Context, name, user string) (string, error) {
	path, err := h.find(name)
	if err != nil {
		return "", err
	}
	trusted := []uint32{0, uint32(os.Geteuid())}
	if user != "" {
		u, err := h.User(user)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		trusted = append(trusted, u.UID)
	}
	real, err := h.safe(ctx, path, trusted)
	if err != nil {
		return "", err
	}
	interpreter, err := h.interpreter(real)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if interpreter != "" {
		if _, err := h.safe(ctx, interpreter, trusted); err != nil {
			return "", fmt.Errorf("%s: its first line names %s: %w", path, interpreter, err)
		}
	}
	return path, nil
}

// find is Look with the reason why not.
func (h *Host) find(name string) (string, error) {
	path, err := h.Look(name)
	if err == nil {
		return filepath.Abs(path)
	}
	if !strings.Contains(name, "/") {
		return "", fmt.Errorf("the program %s is in no directory of PATH (%s); write its whole path: %w", name, commandPath(), ErrNoProgram)
	}
	file, err := h.Path(name)
	if err != nil {
		return "", err
	}
	info, statErr := os.Stat(file)
	link := ""
	if entry, err := h.Entry(name); err == nil {
		link, _ = os.Readlink(entry)
	}
	switch {
	case errors.Is(statErr, fs.ErrNotExist) && link != "":
		return "", fmt.Errorf("%s is a symbolic link to %s, which is not there: %w", name, link, ErrNoProgram)
	case errors.Is(statErr, fs.ErrNotExist):
		return "", fmt.Errorf("the program %s is not there: %w", name, ErrNoProgram)
	case statErr != nil:
		return "", fmt.Errorf("the program %s: %w", name, statErr)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no program: it is no file", name)
	}
	return "", fmt.Errorf("%s is not executable (chmod +x %s)", name, name)
}

// safe follows the path and refuses what others can write; it returns where the path
// leads to.
func (h *Host) safe(ctx context.Context, path string, trusted []uint32) (string, error) {
	at, rest, links := "/", strings.Split(filepath.Clean(path), "/"), 0
	for {
		// What comes before is no symbolic link any more, so this stays below the root.
		entry := filepath.Join(h.root, at)
		info, err := os.Lstat(entry)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(entry)
			if err != nil {
				return "", err
			}
			if links++; links > maxLinks {
				return "", fmt.Errorf("%s: %w", path, unix.ELOOP)
			}
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = "/"
			}
			rest = slices.Concat(strings.Split(target, "/"), rest)
		} else if err := h.onlyBy(ctx, at, info, trusted); err != nil {
			return "", err
		}
		for len(rest) > 0 && rest[0] == "" {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return at, nil
		}
		at, rest = filepath.Join(at, rest[0]), rest[1:]
	}
}

// onlyBy refuses a file or directory that others than the trusted can write. The
// sticky bit of a directory is no help: what is not there yet anybody can put there.
func (h *Host) onlyBy(ctx context.Context, path string, info fs.FileInfo, trusted []uint32) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner is not known", path)
	}
	if !slices.Contains(trusted, stat.Uid) {
		return fmt.Errorf("%w: %s belongs to %s, who can put anything in its place (chown root %s)", ErrUnsafe, path, h.nameOf(stat.Uid), path)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("%w: everybody can write %s (chmod o-w %s, or keep the program elsewhere)", ErrUnsafe, path, path)
	}
	if info.Mode().Perm()&0o020 == 0 {
		return nil
	}
	if n, err := unix.Lgetxattr(filepath.Join(h.root, path), "system.posix_acl_access", nil); err == nil && n > 0 {
		return fmt.Errorf("%w: the access list of %s lets others write it (getfacl %s shows whom)", ErrUnsafe, path, path)
	}
	group, members, err := h.members(ctx, stat.Gid, trusted)
	if err != nil {
		return fmt.Errorf("%w: the group %d can write %s, and who is in it is not known: %w (chmod g-w %s)", ErrUnsafe, stat.Gid, path, err, path)
	}
	if len(members) > 0 {
		return fmt.Errorf("%w: the group %s can write %s, with its members %s (chmod g-w %s)", ErrUnsafe, group, path, strings.Join(members, ", "), path)
	}
	return nil
}

// members are those of a group who are not trusted: by the machine's files and by its
// name services, and those whose own group it is.
func (h *Host) members(ctx context.Context, gid uint32, trusted []uint32) (group string, others []string, err error) {
	fields, err := h.account("group", "", int64(gid))
	if err != nil {
		return "", nil, err
	}
	names := strings.Split(fields[3], ",")
	if out, err := h.Output(ctx, "getent", "group", fields[0]); err == nil {
		if more := strings.Split(strings.TrimSpace(string(out)), ":"); len(more) > 3 {
			names = append(names, strings.Split(more[3], ",")...)
		}
	}
	passwd, err := h.Path("/etc/passwd")
	if err != nil {
		return "", nil, err
	}
	f, err := os.Open(passwd)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if user, err := userOf(strings.Split(lines.Text(), ":")); err == nil && user.GID == gid {
			names = append(names, user.Name)
		}
	}
	for _, name := range names {
		if user, err := h.User(name); name != "" && (err != nil || !slices.Contains(trusted, user.UID)) && !slices.Contains(others, name) {
			others = append(others, name)
		}
	}
	return fields[0], others, lines.Err()
}

func (h *Host) nameOf(uid uint32) string {
	if name, err := h.UserName(uid); err == nil {
		return name
	}
	return fmt.Sprintf("uid %d", uid)
}

// bare tells whether a program is text without a line that names an interpreter. The
// kernel does not run it, but shells do, as one of theirs, and people rely on that.
func (h *Host) bare(path string) bool {
	file, err := h.Path(path)
	if err != nil {
		return false
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 4096))
	return err == nil && !bytes.HasPrefix(head, []byte("#!")) && !bytes.Contains(head, []byte{0})
}

// interpreter is the program that runs a script, as its first line says by the rule
// of execve(2); "" for what is no script.
func (h *Host) interpreter(path string) (string, error) {
	file, err := h.Path(path)
	if err != nil {
		return "", err
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || !strings.HasPrefix(string(head), "#!") {
		return "", err
	}
	line, _, _ := strings.Cut(string(head[2:]), "\n")
	if strings.HasSuffix(line, "\r") {
		return "", errors.New(`its lines end as on Windows, so its interpreter is not found (sed -i 's/\r$//' takes that away)`)
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", errors.New("its first line, #!, names no interpreter, such as #!/bin/sh")
	}
	if !h.executable(words[0]) || !filepath.IsAbs(words[0]) {
		return "", fmt.Errorf("its first line names the interpreter %s, which is not there; install it, or correct the line", words[0])
	}
	if filepath.Base(words[0]) != "env" {
		return words[0], nil
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		found, err := h.Look(word)
		if err != nil {
			return "", fmt.Errorf("its first line has env look for %s, which is in no directory of PATH (%s); install it, or write its whole path into the line", word, commandPath())
		}
		return found, nil
	}
	return words[0], nil
}
