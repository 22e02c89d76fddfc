package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// written is a file of facts with these parts.
func written(parts ...string) string {
	return "lifeboat-facts 1\ndate 1700000000\nuser 0\n" + strings.Join(parts, "") + fmt.Sprintf("done %d\n", len(parts))
}

func part(head, text string) string {
	return "begin " + head + "\n|" + strings.ReplaceAll(text, "\n", "\n|") + "\nend\n"
}

func TestRead(t *testing.T) {
	packages := "bash\t(none)\t3.2\t147.22\tx86_64\t4096\tSUSE LINUX Products GmbH, Nuernberg, Germany\n" +
		"agent\t2\t1.0\t1\tnoarch\t77\tACME\n" +
		"gpg-pubkey\t(none)\t307e3d54\t4aaa\t(none)\t0\t(none)\n" +
		"odd line\n"
	text := written(
		part("file /etc/SuSE-release", "SUSE Linux Enterprise Desktop 11 (i586)\nVERSION = 11\nPATCHLEVEL = 2\n"),
		part("run hostname", "desk7.example.com\n\nexit 0"),
		part("run kernel", "3.0.13-default\n\nexit 0"),
		part("names modules", "/lib/modules/3.0.101-default\n"),
		part("run rpm", packages+"\nexit 0"),
		part("run rpm-consistency", "Unsatisfied dependencies for apache2-2.2: libssl.so.0.9.8\n\nexit 1"),
		part("names libvirt", "/var/run/libvirt/qemu/mail.xml\n"),
		part("processes emulators", "812 qemu-kvm guest=mail,debug-threads=on\n900 qemu-system-x86 \n901 qemu-dm web server\n"),
		part("run xm", "Name   ID   Mem VCPUs\nDomain-0 0 4096\ndb1  3  512\n\nexit 0"),
		part("maps replaced", "/lib64/libc-2.11.so (deleted)\n"),
		part("names pending", "/run/reboot-needed\n/var/run/reboot-needed\n"),
		part("file /proc/mounts", "rootfs / rootfs rw 0 0\n/dev/root / ext3 rw 0 0\n/dev/sda5 /my\\040data xfs rw 0 0\n"),
		part("file /proc/cmdline", "root=/dev/disk/by-id/ata-x-part2 quiet\n"),
		part("links devices", "/dev/disk/by-uuid/12ab\t../../sda2\n/dev/disk/by-id/ata-x-part2\t../../sda2\n"),
		part("run df /", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda2 1000 900 100 90% /\n\nexit 0"),
	)
	for name, text := range map[string]string{"as written": text, "by Windows": strings.ReplaceAll(text, "\n", "\r\n"), "with a mark": "\xef\xbb\xbf" + text} {
		f, err := Read(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if f.Release.ID != "sled" || f.Release.SP != 2 || f.Hostname != "desk7" || f.Arch != "i586" || f.Bits != 32 || !f.Live {
			t.Errorf("%s: %+v", name, f)
		}
		if p, ok := f.Package("agent"); !ok || len(f.Packages) != 2 || p.Edition() != "2:1.0-1" || p.Vendor != "ACME" {
			t.Errorf("%s: packages %+v", name, f.Packages)
		}
		if why, ok := f.IsUnknown("packages"); !ok || why != "1 lines of rpm could not be read" {
			t.Errorf("%s: unknown %+v", name, f.Unknown)
		}
		var guests []string
		for _, g := range f.Guests {
			guests = append(guests, g.Name+" "+g.Kind)
		}
		if got := strings.Join(guests, "; "); got != " kvm; db1 xen; mail kvm; web server xen" {
			t.Errorf("%s: guests %q", name, got)
		}
		if len(f.Pending) != 3 || len(f.Inconsistent) != 1 {
			t.Errorf("%s: pending %q, inconsistent %q", name, f.Pending, f.Inconsistent)
		}
		if f.Root.Device != "/dev/sda2" || f.Root.UUID != "12ab" || len(f.Mounts) != 2 || f.Mounts[1].Path != "/my data" {
			t.Errorf("%s: root %+v, mounts %+v", name, f.Root, f.Mounts)
		}
		if s, ok := f.SpaceOf("/srv/www"); !ok || s.Free != 100<<10 {
			t.Errorf("%s: space %+v", name, f.Space)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	good := written(part("file /etc/hostname", "a\n"))
	for name, c := range map[string]struct {
		text string
		want error
		says string
	}{
		"nothing":         {"", ErrNoFacts, "empty"},
		"something else":  {"#!/bin/sh\n", ErrNoFacts, ""},
		"UTF-16":          {"\xff\xfel\x00i\x00", ErrNoFacts, "two bytes"},
		"a newer form":    {"lifeboat-facts 2\n", nil, "lifeboat-facts 1"},
		"cut off":         {good[:len(good)-8], ErrCut, ""},
		"cut off at last": {strings.TrimSuffix(good, "\n"), ErrCut, ""},
		"a part missing":  {strings.Replace(good, "done 1", "done 2", 1), ErrCut, "1 of 2"},
		"no stroke":       {strings.Replace(good, "|a", "a", 1), ErrNoFacts, "/etc/hostname"},
		"a strange word":  {strings.Replace(good, "user", "use", 1), ErrNoFacts, ""},
		"no exit code":    {written(part("run rpm", "a\n")), ErrNoFacts, "exit code"},
		"a long line":     {written(part("file /etc/hostname", strings.Repeat("x", maxLine))), ErrNoFacts, "line is longer"},
		"a long file":     {written(strings.Repeat(part("file /x", strings.Repeat("y", 1000)), maxText/1000)), ErrNoFacts, ""},
		"half a JSON":     {`{"format": 1,`, ErrNoFacts, ""},
		"a huge package":  {`{"format": 1, "packages": [{"size": 9000000000000000000}]}`, ErrNoFacts, "9000000000000000000 bytes"},
		"another JSON":    {`{"format": 7}`, nil, "format 7"},
	} {
		f, err := Read(strings.NewReader(c.text))
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %+v", name, err, f)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(written(part("file /etc/SuSE-release", "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 3\n")))
	f.Add(written(part("run rpm", "a\t1\t2\t3\tnoarch\t4\tv\n\nexit 0"), part("run dpkg", "a\t1:2-3\tall\t4\thi \t\n\nexit 0")))
	f.Add(written(part("file /etc/zypp/repos.d/a.repo", "[a]\nbaseurl=x\n  y\n[b\n=\n"), part("file /etc/zypp/locks", "solvable_name: a\n\ntype: b\n")))
	f.Add(written(part("file /boot/grub/menu.lst", "default 9\ntitle a\nroot=x\nkernel\n"), part("head program", "7f 45 4c 46 02")))
	f.Add(written(part("run df /", "a 1 2 3 4% /\n\nexit 0"), part("links devices", "/dev/root\tsda\n"), part("file /proc/mounts", "a / b c\n")))
	f.Add(written(part("file /etc/products.d/a.prod", "<product><name>a</name>"), part("odd /etc/zypp/repos.d", ""), part("run xl", "Name\n\xff\n\nexit 1")))
	f.Add(`{"format": 1, "packages": [{"name": "\u0000"}], "unknown": [{}]}`)
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, text string) {
		facts, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		b, err := json.Marshal(facts)
		if err != nil || !utf8.Valid(b) {
			t.Fatalf("facts cannot be written: %v", err)
		}
		again, err := Read(strings.NewReader(string(b)))
		if err != nil {
			t.Fatalf("facts cannot be read again: %v\n%s", err, b)
		}
		if c, _ := json.Marshal(again); !reflect.DeepEqual(b, c) {
			t.Fatalf("facts differ when they are read again:\n%s\n%s", b, c)
		}
		for _, path := range []string{"/", "/boot", "x"} {
			facts.SpaceOf(path)
		}
		facts.Base()
	})
}
