package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// blockSize and blockHead are those of GRUB 2's environment block: lines NAME=VALUE
// behind the head, filled up with #. GRUB manual, "The GRUB environment block".
const (
	blockSize = 1024
	blockHead = "# GRUB Environment Block\n"
)

// environ is an environment block, with its lines in their order.
type environ struct{ lines []string }

func parseBlock(data []byte) (environ, error) {
	text, ok := strings.CutPrefix(string(data), blockHead)
	if !ok || len(data) != blockSize {
		return environ{}, errors.New("it is no environment block of GRUB: that has 1024 bytes and a head")
	}
	text = strings.TrimRight(text, "#")
	var e environ
	for line := range strings.Lines(text) {
		e.lines = append(e.lines, strings.TrimSuffix(line, "\n"))
	}
	return e, nil
}

func (e environ) get(name string) string {
	for _, line := range e.lines {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

// without are its lines but for those of variables.
func (e environ) without(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(e.lines), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(names, name)
	})
}

// with is the block with a variable set, or without it; nil when it has no room.
func (e environ) with(name, value string) []byte {
	var b bytes.Buffer
	b.WriteString(blockHead)
	for _, line := range e.without(name) {
		b.WriteString(line + "\n")
	}
	if value != "" {
		b.WriteString(name + "=" + value + "\n")
	}
	if b.Len() > blockSize {
		return nil
	}
	b.WriteString(strings.Repeat("#", blockSize-b.Len()))
	return b.Bytes()
}

// sameBut tells whether two blocks differ in nothing but the choice of the next entry,
// as it was made here or used up by GRUB.
func sameBut(now, before []byte) bool {
	a, err := parseBlock(now)
	if next := a.get("next_entry"); err != nil || next != "" && next != entryID {
		return false
	}
	var b environ
	if before != nil {
		if b, err = parseBlock(before); err != nil {
			return false
		}
	}
	// Where the file system has a block for it, the file says where.
	return slices.Equal(a.without("next_entry", "env_block"), b.without("next_entry", "env_block"))
}

// selectGRUB2 plans the choice of the entry for the next start, if GRUB can take that
// back by itself: one that it cannot would be taken at each start.
func (m *Menu) selectGRUB2(ctx context.Context, rec *record, config, environment, envText string) error {
	manual := func(why string) error {
		rec.Selection, rec.Why = Manual, why
		return nil
	}
	if !strings.Contains(config, "next_entry") {
		return manual("its configuration takes no entry for the next start only; it is too old, or made by hand")
	}
	check := m.loaderWrites
	if m.writable != nil {
		check = m.writable
	}
	why, err := check(filepath.Dir(environment))
	if err != nil {
		return err
	}
	kind := block
	if why == onBtrfs && strings.Contains(config, "env_block") {
		// SUSE's GRUB has a block in the header of the file system for it.
		if _, err := m.editor(); err != nil {
			return manual(err.Error())
		}
		kind = blockBy
	} else if why != "" {
		return manual("GRUB cannot write there, so it would take the entry at each start: " + why)
	}
	env := environ{}
	if envText != "" {
		if env, err = parseBlock([]byte(envText)); err != nil {
			return manual(fmt.Sprintf("%s: %v", environment, err))
		}
		if next := env.get("next_entry"); next != "" {
			return manual(fmt.Sprintf("%s has chosen %q for the next start already", environment, next))
		}
	}
	after := env.with("next_entry", entryID)
	if after == nil {
		return manual(environment + " is full")
	}
	if kind == blockBy {
		after = nil
	}
	return rec.change(m, environment, kind, envText, after)
}

// onBtrfs is why GRUB cannot write an ordinary file.
const onBtrfs = "it lies on btrfs"

// loaderWrites says why GRUB cannot write a file of a directory; "" when it can. GRUB
// writes in place, so it needs a file system without checksums on a plain disk.
func (m *Menu) loaderWrites(dir string) (string, error) {
	path, err := m.Host.Path(dir)
	if err != nil {
		return "", err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	const zfs = 0x2fc12fc1
	switch int64(st.Type) { //nolint:unconvert // it differs between architectures
	case unix.BTRFS_SUPER_MAGIC:
		return onBtrfs, nil
	case zfs:
		return "it lies on ZFS", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	device := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	if _, err := os.Stat(device + "/md"); err == nil {
		return "it lies on a software RAID", nil
	}
	if uuid, err := os.ReadFile(device + "/dm/uuid"); err == nil && !strings.Contains(string(uuid), "mpath-") {
		return "it lies on a logical volume, or an encrypted one", nil
	}
	return "", nil
}

// editor is the machine's program for environment blocks.
func (m *Menu) editor() (string, error) {
	program, err := m.Host.Look("grub2-editenv", "grub-editenv")
	if err != nil {
		return "", fmt.Errorf("choose the entry for the next start: %w", err)
	}
	return program, nil
}

func (m *Menu) setByProgram(ctx context.Context, environment, id string) error {
	program, err := m.editor()
	if err != nil {
		return err
	}
	return m.Host.Run(ctx, host.Command{Args: []string{program, environment, "set", "next_entry=" + id}})
}

func (m *Menu) unsetByProgram(ctx context.Context, environment string) error {
	program, err := m.editor()
	if err != nil {
		return err
	}
	return m.Host.Run(ctx, host.Command{Args: []string{program, environment, "unset", "next_entry"}})
}

// change plans the edit of a file that held before, its links followed.
func (rec *record) change(m *Menu, path string, kind editKind, before string, after []byte) error {
	real, err := m.resolve(path)
	if err != nil {
		return err
	}
	rec.Edits = append(rec.Edits, edit{Path: real, Kind: kind, After: after, before: []byte(before)})
	return nil
}

// device is what the machine's own table says of a mount point, "" for nothing.
func (m *Menu) device(mount string) (string, error) {
	text, err := m.text("/etc/fstab")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == mount && !strings.HasPrefix(f[0], "#") {
			return f[0], nil
		}
	}
	return "", nil
}

func (m *Menu) rootDevice() (string, error) {
	device, err := m.device("/")
	if err == nil && device == "" {
		err = errors.New("neither the boot menu nor /etc/fstab say which device the root file system is on")
	}
	return device, err
}

// mounted refuses when /boot is a file system of its own and is not mounted: what
// stands there instead tells nothing of the menu.
func (m *Menu) mounted() error {
	device, err := m.device(boot)
	if err != nil || device == "" {
		return err
	}
	path, err := m.Host.Path(boot)
	if err != nil {
		return err
	}
	var own, above unix.Stat_t
	if err := errors.Join(unix.Stat(path, &own), unix.Stat(filepath.Dir(path), &above)); err != nil {
		return fmt.Errorf("%s: %w", boot, err)
	}
	if own.Dev == above.Dev {
		return fmt.Errorf("%s is on a file system of its own (%s) and is not mounted; mount it at %s first", boot, device, path)
	}
	return nil
}

func owner(info os.FileInfo) (uid, gid int) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid), int(stat.Gid)
	}
	return -1, -1
}
