package boot

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAcceptance12EntryIsAddedAndRemoved(t *testing.T) {
	t.Parallel()
	const selectedThird = "16386\x00\n\n\n\n"
	for name, c := range map[string]struct {
		files   map[string]string
		request Request
		config  string // that has the section
		want    string // in it, at the end
		file    string // that has the choice
		chosen  string
	}{
		"SLES 11": {
			files: kernels(map[string]string{"boot/grub/menu.lst": sles11}), request: Request{Auto: true, Append: []string{"install=ftp://10.0.0.1/sles12"}},
			config: "boot/grub/menu.lst", file: "boot/grub/default", chosen: selectedThird,
			want: "title Linux Upgrade Kernel\n    root (hd0,1)\n    kernel /boot/linux.upgrade root=/dev/disk/by-id/ata-QEMU-part2 upgrade=1 splash=silent crashkernel=256M-:128M showopts vga=0x314 install=ftp://10.0.0.1/sles12 autoupgrade=1\n    initrd /boot/initrd.upgrade\n",
		},
		"a boot partition, devices in paths, odd writing, no end of line": {
			files: kernels(map[string]string{
				"boot/grub/menu.lst": "default=1\n\ttitle\t Windows\n rootnoverify (hd0,0)\n chainloader +1\ntitle=Linux\n\tkernel=(hd0,0)/vmlinuz-3.0.76-0.11-default  root=/dev/sda1 \\\n root=/dev/sda3\n initrd (hd0,0)/initrd",
				"boot/grub/default":  "0\n#\n#\n#\n", "boot/grub/grub.conf": "-> ./menu.lst",
			}),
			config: "boot/grub/menu.lst", file: "boot/grub/default", chosen: selectedThird,
			want: "initrd (hd0,0)/initrd\n" + comment + "\ntitle Linux Upgrade Kernel\n    kernel (hd0,0)/linux.upgrade root=/dev/sda3 upgrade=1\n    initrd (hd0,0)/initrd.upgrade\n",
		},
		"lines of Windows, what was saved": {
			files: kernels(map[string]string{
				"boot/grub/menu.lst": strings.ReplaceAll(strings.Replace(sles11, "default 0", "default saved", 1), "\n", "\r\n"), "boot/grub/default": "1\x00\n\n\n\n\n\n\n\n",
			}),
			config: "boot/grub/menu.lst", file: "boot/grub/default", chosen: selectedThird,
			want: "title Linux Upgrade Kernel\r\n    root (hd0,1)\r\n    savedefault 1\r\n    kernel /boot/linux.upgrade root=/dev/disk/by-id/ata-QEMU-part2 upgrade=1 showopts ide=nodma apm=off\r\n    initrd /boot/initrd.upgrade\r\n",
		},
		"a link, Xen": {
			files: kernels(map[string]string{
				"boot/grub/menu.lst": "-> /etc/menu.lst", "etc/fstab": "/dev/sda9 / ext3 defaults 1 1\n",
				"etc/menu.lst": "title Xen\nroot (hd1,2)\nkernel /boot/xen.gz dom0_mem=1G\nmodule /boot/vmlinuz-3.0.76-0.11-default vga=normal\nmodule /boot/initrd-xen\n",
			}),
			config: "etc/menu.lst", file: "boot/grub/default", chosen: "16385\x00\n\n\n\n",
			want: "    root (hd1,2)\n    kernel /boot/linux.upgrade root=/dev/sda9 upgrade=1 vga=normal\n    initrd /boot/initrd.upgrade\n",
		},
		"SLES 12": {
			files:   kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("saved_entry=SLES 12\n")}),
			request: Request{Append: []string{"ifcfg=eth*=dhcp"}},
			config:  "boot/grub2/custom.cfg", file: "boot/grub2/grubenv", chosen: block1024("saved_entry=SLES 12\nnext_entry=lifeboat-upgrade\n"),
			want: "\n    linux /boot/linux.upgrade root=UUID=1234-5678 upgrade=1 ${extra_cmdline} splash=silent quiet crashkernel=188M showopts 'ifcfg=eth*=dhcp'\n    initrd /boot/initrd.upgrade\n}\n",
		},
		"GRUB 2 with entries of its own and no environment": {
			files:  kernels(map[string]string{"boot/grub2/grub.cfg": strings.ReplaceAll(sles12, "linux\t/boot", "linuxefi\t"), "boot/grub2/custom.cfg": "set timeout=5"}),
			config: "boot/grub2/custom.cfg", file: "boot/grub2/grubenv", chosen: block1024("next_entry=lifeboat-upgrade\n"),
			want: "\n    linuxefi /linux.upgrade root=UUID=1234-5678 upgrade=1 ${extra_cmdline} splash=silent quiet crashkernel=188M showopts\n    initrdefi /initrd.upgrade\n}\n",
		},
		"GRUB 2 that reads no other file": {
			files:  kernels(map[string]string{"boot/grub/grub.cfg": sles12[:strings.Index(sles12, "if [ -f")], "boot/grub/grubenv": block1024("")}),
			config: "boot/grub/grub.cfg", file: "boot/grub/grubenv", chosen: block1024("next_entry=lifeboat-upgrade\n"),
			want: "    initrd /boot/initrd.upgrade\n}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.files)
			before := s.tree()
			e := s.mustAdd(c.request)
			if e.Selection != Selected || !e.Complete {
				t.Errorf("%+v", e)
			}
			if got := s.read(c.config); !strings.HasSuffix(got, c.want) || !strings.HasSuffix(got, e.Section) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if strings.HasSuffix(c.config, ".cfg") {
				if out, err := exec.Command("grub-script-check", filepath.Join(s.root, c.config)).CombinedOutput(); err != nil {
					t.Errorf("grub-script-check: %v: %s (scripts/deps test installs grub-pc-bin)", err, out)
				}
				out, err := exec.Command("grub-editenv", filepath.Join(s.root, c.file), "list").CombinedOutput()
				if err != nil || !strings.Contains(string(out), "next_entry=lifeboat-upgrade\n") {
					t.Errorf("grub-editenv: %v: %s", err, out)
				}
			}
			if got := s.read(c.file); got != c.chosen {
				t.Errorf("chosen: %q", got)
			}
			if s.read("boot/linux.upgrade") != bzImage("installation kernel") || s.read("boot/initrd.upgrade") != "\x1f\x8binstallation initrd" {
				t.Error("the files differ")
			}
			if shown, err := s.Show(t.Context()); err != nil || shown.Selection != Selected || shown.Section != e.Section {
				t.Errorf("%+v, %v", shown, err)
			}
			if _, err := s.add(c.request); !errors.Is(err, ErrPresent) {
				t.Errorf("a second one: %v", err)
			}
			for range 2 {
				if removed, err := s.Remove(t.Context()); err != nil || removed != nil && len(removed.Changed) > 0 {
					t.Fatalf("%+v, %v", removed, err)
				}
				s.same(before)
			}
			if shown, err := s.Show(t.Context()); shown != nil || err != nil {
				t.Errorf("%+v, %v", shown, err)
			}
		})
	}
}

// What the loader does when it starts the entry is no change by somebody else.
func TestTheEntryWasTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		taken func(s *site)
	}{
		"GRUB legacy": {kernels(map[string]string{"boot/grub/menu.lst": sles11}), func(s *site) { write(s.T, filepath.Join(s.root, savedFile), "2\x00\n\n\n\n\n\n\n\n", 0o600) }},
		"GRUB 2": {kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("a=b\n")}), func(s *site) {
			if out, err := exec.Command("grub-editenv", filepath.Join(s.root, "boot/grub2/grubenv"), "set", "next_entry=").CombinedOutput(); err != nil {
				s.Fatalf("%v: %s", err, out)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.files)
			before := s.tree()
			s.mustAdd(Request{})
			c.taken(s)
			if e, err := s.Show(t.Context()); err != nil || e.Selection != Taken {
				t.Errorf("%+v, %v", e, err)
			}
			if r, err := s.Remove(t.Context()); err != nil || len(r.Changed) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
			s.same(before)
		})
	}
}

// An installer that exchanges the boot loader takes the menu away with its directory.
func TestTheMenuIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		dir   string
	}{
		"GRUB legacy": {kernels(map[string]string{"boot/grub/menu.lst": sles11}), "boot/grub"},
		"GRUB 2":      {kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("a=b\n")}), "boot/grub2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.files)
			s.mustAdd(Request{})
			if err := os.RemoveAll(filepath.Join(s.root, c.dir)); err != nil {
				t.Fatal(err)
			}
			if e, err := s.Show(t.Context()); err != nil || e.Selection != Gone {
				t.Errorf("%+v, %v", e, err)
			}
			if r, err := s.Remove(t.Context()); err != nil || len(r.Changed) == 0 {
				t.Errorf("%+v, %v", r, err)
			}
			for _, name := range []string{"boot/linux.upgrade", "boot/initrd.upgrade", "var/lib/lifeboat/boot-entry", c.dir} {
				if _, err := os.Lstat(filepath.Join(s.root, name)); err == nil {
					t.Errorf("%s is there", name)
				}
			}
			if e, err := s.Show(t.Context()); e != nil || err != nil {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
}

func TestSomebodyElseChangedIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files  map[string]string
		path   string
		change func(string) string
		want   func(before string) string // "-" is no file
	}{
		"a section in front": {
			kernels(map[string]string{"boot/grub/menu.lst": sles11}), "boot/grub/menu.lst",
			func(s string) string { return strings.Replace(s, "timeout 8", "timeout 9", 1) },
			func(s string) string { return strings.Replace(s, "timeout 8", "timeout 9", 1) },
		},
		"written anew by YaST": {
			kernels(map[string]string{"boot/grub/menu.lst": sles11}), "boot/grub/menu.lst",
			func(s string) string {
				return strings.ReplaceAll(s, "    ", "  ") + "title Other\n  kernel /boot/other\n"
			},
			func(s string) string {
				return strings.ReplaceAll(s, "    ", "  ") + "title Other\n  kernel /boot/other\n"
			},
		},
		"gone": {
			kernels(map[string]string{"boot/grub/menu.lst": sles11}), "boot/grub/menu.lst",
			func(string) string { return "-" }, func(string) string { return "-" },
		},
		"another entry of GRUB 2": {
			kernels(map[string]string{"boot/grub2/grub.cfg": sles12}), "boot/grub2/custom.cfg",
			func(s string) string { return "set timeout=1\n" + s }, func(string) string { return "set timeout=1\n" },
		},
		"the entry of GRUB 2, with other blanks": {
			kernels(map[string]string{"boot/grub2/grub.cfg": sles12}), "boot/grub2/custom.cfg",
			func(s string) string { return strings.ReplaceAll(s, "    ", "\t") }, func(string) string { return "-" },
		},
		"another variable": {
			kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("")}), "boot/grub2/grubenv",
			func(string) string { return block1024("next_entry=lifeboat-upgrade\nsaved_entry=1\n") }, func(string) string { return block1024("saved_entry=1\n") },
		},
		"another choice": {
			kernels(map[string]string{"boot/grub2/grub.cfg": sles12, "boot/grub2/grubenv": block1024("")}), "boot/grub2/grubenv",
			func(string) string { return block1024("next_entry=other\n") }, func(string) string { return block1024("next_entry=other\n") },
		},
		"another choice of grubonce": {
			kernels(map[string]string{"boot/grub/menu.lst": sles11}), "boot/grub/default",
			func(string) string { return "16385\x00\n\n\n\n" }, func(string) string { return "16385\x00\n\n\n\n" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.files)
			path := filepath.Join(s.root, c.path)
			before, _ := os.ReadFile(path)
			s.mustAdd(Request{})
			if text := c.change(s.read(c.path)); text == "-" {
				_ = os.Remove(path)
			} else {
				write(t, path, text, 0o600)
			}
			r, err := s.Remove(t.Context())
			if err != nil || !slices.Equal(r.Changed, []string{"/" + c.path}) {
				t.Errorf("%+v, %v", r, err)
			}
			want := c.want(string(before))
			if got, err := os.ReadFile(path); want == "-" && !errors.Is(err, fs.ErrNotExist) || want != "-" && string(got) != want {
				t.Errorf("got %q, want %q (%v)", got, want, err)
			}
			for _, name := range []string{"boot/linux.upgrade", "boot/initrd.upgrade", Dir} {
				if _, err := os.Lstat(filepath.Join(s.root, name)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is still there: %v", name, err)
				}
			}
		})
	}
}
