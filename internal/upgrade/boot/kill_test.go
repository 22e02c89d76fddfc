package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// victimEnv makes the test program a process that kills itself at a point of adding or
// removing: "add 3 ROOT MEDIUM".
const victimEnv = "BOOT_TEST_VICTIM"

func TestMain(m *testing.M) {
	if job := os.Getenv(victimEnv); job != "" {
		if err := victim(strings.Fields(job)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func victim(job []string) error {
	left, err := strconv.Atoi(job[1])
	if err != nil {
		return err
	}
	h, err := host.At(job[2])
	if err != nil {
		return err
	}
	m := Menu{Host: h, writable: func(string) (string, error) { return "", nil }, at: func(string) {
		if left--; left == 0 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}}
	if job[0] == "add" {
		_, err = m.Add(context.Background(), Request{From: job[3], Arch: "x86_64", Auto: true, Control: []byte("<profile/>\n")})
	} else {
		_, err = m.Remove(context.Background())
	}
	return err
}

// killed runs a victim, and tells whether it was killed before it was through.
func (s *site) killed(what string, point int) bool {
	s.Helper()
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s %s", victimEnv, what, point, s.root, s.medium))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.ExitCode() == -1:
		return true
	}
	s.Fatalf("%v: %s", err, out)
	return false
}

// sound is what holds at every moment: what is chosen is in the menu, and what is in the
// menu is in /boot.
func (s *site) sound(config, choice string) {
	s.Helper()
	text, _ := os.ReadFile(filepath.Join(s.root, config))
	chosen, _ := os.ReadFile(filepath.Join(s.root, choice))
	inMenu := strings.Contains(string(text), "/linux.upgrade")
	number, _ := savedNumber(chosen)
	if (number&once != 0 || strings.Contains(string(chosen), entryID)) && !inMenu {
		s.Error("an entry is chosen that is not in the menu")
	}
	if inMenu && (s.read("boot/linux.upgrade") != bzImage("installation kernel") || s.read("boot/initrd.upgrade") == "") {
		s.Error("the menu has an entry whose files are not there")
	}
}

func TestAcceptance12KilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files          map[string]string
		config, choice string
	}{
		"GRUB legacy": {kernels(map[string]string{"boot/grub/menu.lst": sles11}), "boot/grub/menu.lst", "boot/grub/default"},
		"GRUB 2":      {kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("")}), "boot/grub2/custom.cfg", "boot/grub2/grubenv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.files["root/.profile"] = ""
			s := newSite(t, c.files)
			before := s.tree()
			for point := 1; ; point++ {
				if point > 50 {
					t.Fatal("it does not end")
				}
				if !s.killed("add", point) {
					break
				}
				s.sound(c.config, c.choice)
				if point%2 == 0 { // begun again, or given up
					s.mustAdd(Request{})
				}
				if _, err := s.Remove(t.Context()); err != nil {
					t.Fatalf("after point %d: %v", point, err)
				}
				s.same(before)
			}
			for point := 1; s.killed("remove", point); point++ {
				s.sound(c.config, c.choice)
				if _, err := s.Remove(t.Context()); err != nil {
					t.Fatalf("after point %d: %v", point, err)
				}
				s.same(before)
				s.mustAdd(Request{})
			}
			s.same(before)
		})
	}
}

// A write that was killed leaves its temporary file beside the menu.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	s := newSite(t, kernels(map[string]string{"boot/grub/menu.lst": sles11, "boot/grub/.menu.lst7": "somebody's"}))
	before := s.tree()
	s.mustAdd(Request{})
	write(t, filepath.Join(s.root, "boot/grub/.menu.lst123456"), sles11[:100], 0o600)
	write(t, filepath.Join(s.root, "boot/grub/.menu.lst654321"), s.read("boot/grub/menu.lst"), 0o600)
	if _, err := s.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.same(before)
}

// On btrfs SUSE's GRUB 2 keeps the choice in the header of the file system, and its own
// program writes it there.
func TestChosenByProgram(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs a program in a root of its own")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("%v (scripts/deps test installs busybox-static)", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, kernels(map[string]string{"boot/grub2/grub.cfg": sles12 + "# env_block\n", "boot/grub2/grubenv": block1024("")}))
	s.writable = func(string) (string, error) { return onBtrfs, nil }
	write(t, filepath.Join(s.root, "bin/sh"), string(program), 0o755)
	write(t, filepath.Join(s.root, "usr/bin/grub2-editenv"), `#!/bin/sh
case $2 in
set) echo "$3" >/header ;;
list) while read line; do echo "$line"; done </header ;;
unset) [ "$3" = next_entry ] && : >/header ;;
esac
`, 0o755)
	write(t, filepath.Join(s.root, "header"), "", 0o600)
	before := s.tree()
	if e := s.mustAdd(Request{}); e.Selection != Selected || s.read("header") != "next_entry=lifeboat-upgrade\n" {
		t.Errorf("%+v, %q", e, s.read("header"))
	}
	if e, err := s.Show(t.Context()); err != nil || e.Selection != Selected {
		t.Errorf("%+v, %v", e, err)
	}
	write(t, filepath.Join(s.root, "boot/grub2/grubenv"), block1024("env_block=512+1\n"), 0o640)
	if r, err := s.Remove(t.Context()); err != nil || len(r.Changed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	write(t, filepath.Join(s.root, "header"), s.read("header"), 0o600) // its time is not ours
	s.same(before)
}

func FuzzMenus(f *testing.F) {
	f.Add(sles11)
	f.Add(sles12)
	f.Add(strings.ReplaceAll(sles11, "\n", "\r\n"))
	f.Add("title\nkernel\nmenuentry {\n}\n")
	f.Add(block1024("a=b\n"))
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range parseLegacy(text).entries {
			e.linux()
		}
		for _, e := range parseGRUB2(text) {
			e.linux()
			e.id()
			e.title()
		}
		menu := parseLegacy(text)
		if n, _ := menu.standard(text); n < 0 || n > 0 && n >= len(menu.entries) {
			t.Errorf("%d of %d", n, len(menu.entries))
		}
		// What was added is cut out again, and nothing else.
		after, section := appended(text, []string{comment, "title x", "kernel /linux.upgrade upgrade=1", ""})
		rest, found := cut([]byte(after), section, cutLegacy)
		if !found || !strings.Contains(text, section) && string(rest) != text {
			t.Errorf("%q became %q", text, rest)
		}
		if env, err := parseBlock([]byte(text)); err == nil {
			if set := env.with("next_entry", "x"); set != nil && len(set) != blockSize {
				t.Errorf("%d bytes", len(set))
			}
		}
	})
}
