package boot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSelectedByHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files    map[string]string
		writable string
		why      string
	}{
		"LVM":                {kernels(map[string]string{"boot/grub2/grub.cfg": sles12}), "it lies on a logical volume", "would take the entry at each start: it lies on a logical volume"},
		"btrfs":              {kernels(map[string]string{"boot/grub2/grub.cfg": sles12}), onBtrfs, "it lies on btrfs"},
		"an old grub.cfg":    {kernels(map[string]string{"boot/grub2/grub.cfg": strings.ReplaceAll(sles12, "next_entry", "other")}), "", "for the next start only"},
		"another choice":     {kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("next_entry=x\n")}), "", `has chosen "x"`},
		"a broken block":     {kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": "next_entry=x\n"}), "", "no environment block"},
		"a full block":       {kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("a=" + strings.Repeat("b", 990) + "\n")}), "", "is full"},
		"GRUB of others":     {map[string]string{"boot/grub/menu.lst": sles11, "boot/vmlinuz-3.0.76-0.11-default": "", "var/lib/lifeboat/": ""}, "", "no grubonce"},
		"no editor on btrfs": {kernels(map[string]string{"boot/grub2/grub.cfg": sles12 + "# env_block\n"}), onBtrfs, "grub2-editenv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.files)
			s.writable = func(string) (string, error) { return c.writable, nil }
			before := s.tree()
			e := s.mustAdd(Request{})
			if e.Selection != Manual || !strings.Contains(e.Why, c.why) || e.Section == "" {
				t.Errorf("%+v", e)
			}
			if _, err := s.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.same(before)
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	good := kernels(map[string]string{"boot/grub/menu.lst": sles11})
	with := func(name, text string) map[string]string {
		files := kernels(good)
		files[name] = text
		return files
	}
	for name, c := range map[string]struct {
		files   map[string]string
		request Request
		medium  func(dir string) string // changes it, and returns what to give
		says    string
		is      error
	}{
		"no upgrade":        {files: good, request: Request{Append: []string{"upgrade=0"}}, says: "a new installation", is: ErrNotUpgrade},
		"a trick":           {files: good, request: Request{Append: []string{"Upgrade=0"}}, is: ErrNotUpgrade},
		"a second line":     {files: good, request: Request{Append: []string{"a\ntitle"}}, says: "letters, digits"},
		"too long":          {files: good, request: Request{Append: []string{"a=" + strings.Repeat("b", 1500)}}, says: "1500 are possible"},
		"elilo":             {files: with("etc/sysconfig/bootloader", "LOADER_TYPE=\"elilo\"\n"), says: "names elilo", is: ErrLoader},
		"no loader":         {files: kernels(nil), says: "neither /boot/grub/menu.lst", is: ErrLoader},
		"no Linux in it":    {files: with("boot/grub/menu.lst", "title Windows\nchainloader +1\n"), says: "boot the medium itself"},
		"kernels elsewhere": {files: map[string]string{"boot/grub/menu.lst": sles11}, says: "boot the medium itself"},
		"files of somebody": {files: with("boot/linux.upgrade", "x"), says: "/boot/linux.upgrade is there already"},
		"no root":           {files: with("boot/grub/menu.lst", "title a\nkernel /boot/vmlinuz-3.0.76-0.11-default\n"), says: "which device the root"},
		"another machine's": {files: good, medium: func(dir string) string { _ = os.Rename(dir+"/boot/x86_64", dir+"/boot/i386"); return dir }, says: "it is one for i386"},
		"a page, no kernel": {files: good, medium: func(dir string) string { write(t, dir+"/boot/x86_64/loader/linux", "<html>", 0o600); return dir }, says: "is no kernel for x86_64"},
		"a page, no initrd": {files: good, medium: func(dir string) string { write(t, dir+"/boot/x86_64/loader/initrd", "<html>", 0o600); return dir }, says: "is no initrd"},
		"an image":          {files: good, medium: func(dir string) string { return dir + "/boot/x86_64/loader/linux" }, says: "mount -o loop"},
		"no /boot mounted":  {files: with("etc/fstab", "/dev/sda1 /boot ext3 defaults 1 2\n"), says: "/boot is on a file system of its own (/dev/sda1) and is not mounted"},
		"no medium":         {files: good, medium: func(dir string) string { return dir + "/none" }, says: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.files)
			before := s.tree()
			if c.medium != nil {
				s.medium = c.medium(s.medium)
			}
			_, err := s.add(c.request)
			if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v", err)
			}
			s.same(before)
		})
	}
	if err := Check([]string{"root=/dev/sda1", "upgrade=1", "autoupgrade=1"}); err != nil {
		t.Error(err)
	}
	if err := Check([]string{"root=/dev/sda1", "autoupgrade=1"}); !errors.Is(err, ErrNotUpgrade) {
		t.Error(err)
	}
}

func TestNoRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small /boot")
	}
	s := newSite(t, nil)
	dir := filepath.Join(s.root, "boot")
	if err := errors.Join(os.Mkdir(dir, 0o755), unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	write(t, filepath.Join(dir, "grub/menu.lst"), sles11, 0o600)
	write(t, filepath.Join(dir, "vmlinuz-3.0.76-0.11-default"), "", 0o600)
	before := s.tree()
	if _, err := s.add(Request{}); err == nil || !strings.Contains(err.Error(), "MiB left") {
		t.Error(err)
	}
	s.same(before)
}

// What fails half-way leaves nothing.
func TestFailedHalfWay(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"recorded", "begun /boot/linux.upgrade", "begun /boot/initrd.upgrade"} {
		s := newSite(t, kernels(map[string]string{"boot/grub/menu.lst": sles11}))
		before := s.tree()
		ctx, cancel := context.WithCancel(t.Context())
		s.at = func(name string) {
			if name == point {
				cancel()
			}
		}
		if _, err := s.Add(ctx, Request{From: s.medium, Arch: "x86_64"}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", point, err)
		}
		s.same(before)
	}
}

func TestChangedAtThisMoment(t *testing.T) {
	t.Parallel()
	s := newSite(t, kernels(map[string]string{"boot/grub/menu.lst": sles11}))
	var before []string
	s.at = func(name string) {
		if name == "recorded" {
			write(t, filepath.Join(s.root, "boot/grub/menu.lst"), sles11+"# more\n", 0o600)
			for _, line := range s.tree() {
				if !strings.HasPrefix(line, Dir) {
					before = append(before, line)
				}
			}
		}
	}
	if _, err := s.add(Request{}); err == nil || !strings.Contains(err.Error(), "try it again") {
		t.Error(err)
	}
	s.same(before)
}

// With /boot not mounted nothing is known of the menu, and nothing is forgotten.
func TestRemoveNeedsBoot(t *testing.T) {
	t.Parallel()
	s := newSite(t, kernels(map[string]string{"boot/grub/menu.lst": sles11}))
	s.mustAdd(Request{})
	away, at := filepath.Join(s.root, "away"), filepath.Join(s.root, "boot")
	if err := errors.Join(os.Rename(at, away), os.Mkdir(at, 0o755)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.root, "etc/fstab"), "/dev/sda1 /boot ext3 defaults 1 2\n", 0o644)
	if _, err := s.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "is not mounted") {
		t.Errorf("%v", err)
	}
	if _, err := s.Show(t.Context()); err == nil || !strings.Contains(err.Error(), "is not mounted") {
		t.Errorf("%v", err)
	}
	if err := errors.Join(os.Remove(at), os.Rename(away, at), os.Remove(filepath.Join(s.root, "etc/fstab"))); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Remove(t.Context()); err != nil || r == nil || len(r.Changed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
