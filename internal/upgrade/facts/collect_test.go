package facts

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"lifeboat/internal/host"
)

// write lays out the files of a root.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		place := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// elf is the head of an ELF file: class and byte order as elf(5) numbers them.
func elf(class, order byte, machine uint16) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF")
	head[4], head[5] = class, order
	if head[18], head[19] = byte(machine), byte(machine>>8); order == 2 {
		head[18], head[19] = head[19], head[18]
	}
	return string(head)
}

const menuText = `# Modified by YaST2
default 1
timeout 8
password --md5 $1$secret$abcdef
title Other
    root (hd0,1)
    kernel /boot/other root=/dev/sda2
title SUSE Linux Enterprise Server 11 SP3 - 3.0.76-0.11
    root (hd0,0)
    kernel /boot/vmlinuz-3.0.76-0.11-default root=/dev/sda1 resume=/dev/sda3 splash=silent crashkernel=128M
    initrd /boot/initrd-3.0.76-0.11-default
`

// elderly is an SLES 11 SP3 that is mounted somewhere.
func elderly(t *testing.T) string {
	root := t.TempDir()
	write(t, root, map[string]string{
		"etc/SuSE-release":          "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 3\n",
		"etc/HOSTNAME":              "smt1.example.com\n",
		"etc/fstab":                 "# comment\n/dev/sda1 / ext3 acl,user_xattr 1 1\n//nas/share /mnt cifs user=u,password=geheim 0 0\n",
		"etc/sysconfig/bootloader":  "LOADER_TYPE=\"grub\"\n",
		"boot/grub/menu.lst":        menuText,
		"boot/grub2/grub.cfg":       "left over\n",
		"lib/modules/3.0.76/x":      "",
		"bin/sh":                    elf(2, 1, 0x3e),
		"etc/products.d/SUSE.prod":  "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<product schemeversion=\"0\"><name>SUSE_SLES</name><version>11.3</version><release>1.201</release><arch>x86_64</arch><summary>SLES \xfc</summary><register><target>sle-11-x86_64</target></register></product>\n",
		"etc/zypp/repos.d/sp3.repo": "[SLES11-SP3-Pool]\nname=SLES11-SP3-Pool\nenabled=1\nautorefresh=0\nbaseurl=https://user:geheim@nu.novell.com/repo/$RCE/SLES11-SP3-Pool/sle-11-x86_64\ntype=rpm-md\nservice=nu\npriority=99\n\n[my own]\nenabled=0\ngpgcheck=0\nbaseurl=dir:///srv/a\n        dir:///srv/b\n",
		"etc/zypp/locks":            "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: kernel*\n\ntype: package\nsolvable_name: apache2\n",

		"etc/sysconfig/windowmanager":  "## Path: Desktop\nDEFAULT_WM=\"kde4\"\n",
		"etc/sysconfig/displaymanager": "DISPLAYMANAGER=\"kdm\"\nDISPLAYMANAGER_AUTOLOGIN=\"\"\n",
		"var/adm/backup/changed.tgz":   "",
	})
	if err := os.Symlink("SUSE.prod", filepath.Join(root, "etc/products.d/baseproduct")); err != nil {
		t.Fatal(err)
	}
	return root
}

func collect(t *testing.T, root string) *Facts {
	t.Helper()
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Collect(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFactsOfAnElderlyServer(t *testing.T) {
	f := collect(t, elderly(t))
	if f.Hostname != "smt1" || f.Live || f.Arch != "x86_64" || f.Bits != 64 || f.Endian != "little" {
		t.Errorf("machine: %+v", f)
	}
	want := Release{ID: "sles", Version: "11", SP: 3, Name: "SUSE Linux Enterprise Server 11 SP3", Like: []string{"suse"}, Source: "/etc/SuSE-release"}
	if !reflect.DeepEqual(f.Release, want) {
		t.Errorf("release %+v", f.Release)
	}
	if b := f.Base(); b == nil || b.Name != "SUSE_SLES" || b.Version != "11.3" || b.Target != "sle-11-x86_64" {
		t.Errorf("base product %+v", b)
	}
	if f.Root.Device != "/dev/sda1" || f.Root.Filesystem != "ext3" || len(f.Mounts) != 1 {
		t.Errorf("root %+v, mounts %+v", f.Root, f.Mounts)
	}
	if f.Boot.Loader != "grub" || f.Boot.Config != "/boot/grub/menu.lst" || len(f.Boot.Entries) != 2 || !f.Boot.Entries[1].Default {
		t.Errorf("boot %+v", f.Boot)
	}
	if f.Kernel.CommandLine != "root=/dev/sda1 resume=/dev/sda3 splash=silent crashkernel=128M" || !slices.Equal(f.Kernel.Installed, []string{"3.0.76"}) {
		t.Errorf("kernel %+v", f.Kernel)
	}
	if len(f.Repositories) != 2 || f.Repositories[0].URLs[0] != "https://nu.novell.com/repo/$RCE/SLES11-SP3-Pool/sle-11-x86_64" || !f.Repositories[0].Enabled || f.Repositories[0].Check != nil {
		t.Errorf("repositories %+v", f.Repositories)
	}
	if own := f.Repositories[1]; own.Alias != "my own" || own.Enabled || own.Check == nil || *own.Check || len(own.URLs) != 2 {
		t.Errorf("own repository %+v", own)
	}
	if len(f.Locks) != 2 || f.Locks[0].Name != "kernel*" || f.Locks[0].Match != "glob" {
		t.Errorf("locks %+v", f.Locks)
	}
	if f.Desktop != (Desktop{"kde4", "kdm"}) || len(f.OldBackups) != 1 {
		t.Errorf("desktop %+v, old backups %v", f.Desktop, f.OldBackups)
	}
	if _, unknown := f.IsUnknown("packages"); !unknown {
		t.Error("no package database, and nothing is said about it")
	}
	if s, ok := f.SpaceOf("/boot/grub"); !ok || s.Path != "/boot" || s.Mount != "/" || s.Size == 0 {
		t.Errorf("space %+v", s)
	}
}

func TestArchitecture(t *testing.T) {
	for _, c := range []struct {
		program, release, arch, endian string
		bits                           int
	}{
		{elf(2, 1, 0x3e), "", "x86_64", "little", 64},
		{elf(1, 1, 0x03), "", "i586", "little", 32},
		{elf(2, 2, 0x15), "", "ppc64", "big", 64},
		{elf(2, 1, 0x15), "", "ppc64le", "little", 64},
		{elf(2, 2, 0x16), "", "s390x", "big", 64},
		{elf(2, 1, 0xb7), "", "aarch64", "little", 64},
		{elf(2, 1, 0x32), "", "ia64", "little", 64},
		{"#!/bin/busybox", "SUSE Linux Enterprise Server 11 (ppc64)\nVERSION = 11\n", "ppc64", "big", 64},
		{"\x7fELF", "SUSE Linux Enterprise Server 11 (i586)\nVERSION = 11\n", "i586", "little", 32},
		{"", "", "", "", 0},
	} {
		root := t.TempDir()
		write(t, root, map[string]string{"bin/sh": c.program, "etc/SuSE-release": c.release})
		f := collect(t, root)
		if f.Arch != c.arch || f.Endian != c.endian || f.Bits != c.bits {
			t.Errorf("%q %q: %s %s %d", c.program, c.release, f.Arch, f.Endian, f.Bits)
		}
	}
}

// What a mounted root links to is looked for below it.
func TestNothingIsReadOutsideOfTheRoot(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"etc/keep": ""})
	for name, to := range map[string]string{"etc/SuSE-release": "/etc/passwd", "etc/os-release": "../../../../../../etc/passwd", "etc/zypp": "/etc"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if f := collect(t, root); f.Release.ID != "" || f.Release.Name != "" {
		t.Errorf("release %+v", f.Release)
	}
}

func TestCollectHere(t *testing.T) {
	f, err := Collect(t.Context(), host.Local())
	if err != nil {
		t.Fatal(err)
	}
	if !f.Live || f.Hostname == "" || f.Arch == "" || f.Release.ID == "" || f.Manager == "" || len(f.Packages) == 0 || f.Kernel.Running == "" {
		t.Errorf("%+v", f)
	}
}
