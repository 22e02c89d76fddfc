package archive

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every compression and both dialects of tar are read, with everything that a
// file system knows of a file.
func TestUnpackKeepsEverything(t *testing.T) {
	for name, b := range map[string]build{
		"bz2 pax":  {pack: Bzip2, format: tar.FormatPAX},
		"gz pax":   {pack: Gzip, format: tar.FormatPAX},
		"none pax": {pack: None, format: tar.FormatPAX},
		"bz2 gnu":  {pack: Bzip2, format: tar.FormatGNU},
		"none gnu": {pack: None, format: tar.FormatGNU},
	} {
		t.Run(name, func(t *testing.T) {
			b.items = typical()
			long := fileRoot + "/clients/" + strings.Repeat("long-name.", 20) + "ini" // more than ustar has room for
			b.items = append(b.items, item{name: long, text: "long", user: "opsiconfd", uid: 993})
			a := opened(t, b)
			if a.Compression != b.pack {
				t.Errorf("compression %s", a.Compression)
			}
			if f := a.Verify(); len(f) != 0 {
				t.Errorf("findings %v", f)
			}
			dir := t.TempDir()
			if err := a.Unpack(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			for at, want := range map[string]string{
				fileRoot + "/clients/pc 1.example.com.ini":   "[info]\n",
				fileRoot + "/clients/bücher.example.com.ini": "[info]\nü\n",
				dumpFile: wholeSQL, dhcpFile: "subnet\n", long: "long", infoName: sysinfo,
				"CONTENT/CONF/backup.conf": "[host]\n",
			} {
				if got, err := os.ReadFile(filepath.Join(dir, at)); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v", at, got, err)
				}
			}
			stat := func(at string) os.FileInfo {
				info, err := os.Lstat(filepath.Join(dir, at))
				if err != nil {
					t.Fatal(err)
				}
				return info
			}
			when := itemTime
			if b.format == tar.FormatGNU {
				when = when.Truncate(time.Second)
			}
			for at, mode := range map[string]os.FileMode{
				fileRoot: 0o770 | os.ModeDir, fileRoot + "/config.ini": 0o660, dumpFile: 0o600,
				fileRoot + "/clients": 0o770 | os.ModeDir | os.ModeSetgid,
			} {
				if info := stat(at); info.Mode() != mode || !info.ModTime().Equal(when) {
					t.Errorf("%s: %v of %v", at, info.Mode(), info.ModTime())
				}
			}
			if !os.SameFile(stat("CONTENT/CONF/opsi.conf"), stat("CONTENT/CONF/backup.conf")) {
				t.Error("the hard link is none")
			}
			for at, want := range map[string]string{"CONTENT/CONF/modules": "/srv/licence/modules", "CONTENT/CONF/motd": "opsi.conf"} {
				if got, err := os.Readlink(filepath.Join(dir, at)); err != nil || got != want {
					t.Errorf("%s leads to %q, %v", at, got, err)
				}
				if info := stat(at); !info.ModTime().Equal(when) {
					t.Errorf("%s is of %v", at, info.ModTime())
				}
			}
		})
	}
}

func TestOpenTellsWhatIsThere(t *testing.T) {
	a := opened(t, build{items: typical(), pack: Bzip2, format: tar.FormatPAX})
	if got := a.Has(); !slices.Equal(got, []string{"configuration", "dhcp", "file", "mysql"}) {
		t.Errorf("has %v", got)
	}
	want := Info{"opsi1", "opsi1.example.com", "example.com", "Debian GNU/Linux", "(12,)", "bookworm", "4.3.0.28"}
	if a.Info != want || a.Info.Version() != "12" {
		t.Errorf("info %+v", a.Info)
	}
	if a.Accounts.Users[993] != "opsiconfd" || a.Accounts.Users[0] != "root" || a.Accounts.Groups[0] != "root" {
		t.Errorf("accounts %+v", a.Accounts)
	}
	if !a.Moment().Equal(itemTime) {
		t.Errorf("moment %s", a.Moment())
	}
	var file *Member
	for _, m := range a.Members {
		if m.Type == Hardlink {
			file = m
		}
	}
	r, err := a.OpenFile(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "[host]\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// The name of the file tells the moment, unless a member is newer.
func TestMoment(t *testing.T) {
	for name, want := range map[string]time.Time{
		"opsi1_4.3.0.28_2026-11-21_05-38-05.492797.tar.bz2": time.Date(2026, 11, 21, 5, 38, 5, 0, time.Local),
		"opsi1_4.3.0.28_2026-11-21_05-38-05.tar":            time.Date(2026, 11, 21, 5, 38, 5, 0, time.Local),
		"opsi1_4.3.0.28_2020-11-21_05-38-05.492797.tar.bz2": itemTime,
		"opsi1_4.3.0.28_2026-99-21_05-38-05.492797.tar.bz2": itemTime,
		"backup.tar": itemTime,
	} {
		a := Archive{Name: "/backup/" + name, Members: []*Member{{Type: Regular, ModTime: itemTime}}}
		if got := a.dated(); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// One number has one name and one name one number; the archive's own are kept
// where that is possible.
func TestAccounts(t *testing.T) {
	items := []item{
		{name: "CONTENT/CONF", typ: tar.TypeDir, user: "root"},
		{name: "CONTENT/CONF/a", user: "opsiconfd", group: "EXAMPLE\\domain users", uid: 993},
		{name: "CONTENT/CONF/b", user: "pcpatch", uid: 993}, // another name with that number
		{name: "CONTENT/CONF/c", user: "opsiconfd", uid: 17},
		{name: "CONTENT/CONF/d", user: "admin", uid: 0}, // a second name for root
		{name: "CONTENT/CONF/e", uid: 1234},             // no name
		{name: "CONTENT/CONF/f", user: "late", uid: 1234},
		{name: "CONTENT/CONF/g", user: "root", uid: 55},
	}
	a := opened(t, build{items: items})
	got := map[string]uint32{}
	for _, m := range a.Members {
		got[m.Path] = m.UID
		if name := a.Accounts.Users[m.UID]; name != m.User {
			t.Errorf("%s belongs to %q, and was %q", m.Path, name, m.User)
		}
	}
	if got["a"] != 993 || got["c"] != 993 || got["b"] == 993 || got["d"] == 0 || got["e"] != 1234 || got["f"] == 1234 || got["g"] != 0 || got["."] != 0 {
		t.Errorf("numbers %v", got)
	}
	if a.Members[1].Group != "EXAMPLE\\domain users" || a.Accounts.Groups[a.Members[1].GID] != a.Members[1].Group {
		t.Errorf("groups %v", a.Accounts.Groups)
	}
}

// What opsi-backup itself spoils is mended, and said.
func TestKnownFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]item) []item
		cut    bool
		find   Problem
		text   string
		path   string // a member that must be there
		want   string // its content
	}{
		"host keys before 2022-07": {
			change: rename(keysRoot+"file/pckeys", keysRoot+"%{backend['name']}/pckeys"),
			find:   Mended, text: "July 2022", path: keysRoot + "file/pckeys", want: "pc1.example.com:00112233445566778899aabbccddeeff\n",
		},
		"list cut in the last line": {
			change: func(l []item) []item { return append(l, item{name: "CONTENT/CONF/zürich.conf", text: "z"}) },
			cut:    true, find: Cut, text: "what is left fits", path: "CONTENT/CONF/zürich.conf", want: "z",
		},
		"list cut by lines": {
			change: func(l []item) []item {
				return append(l, item{name: fileRoot + "/" + strings.Repeat("ü", 100), text: "u"}, item{name: "CONTENT/CONF/last", text: "l"})
			},
			cut: true, find: Cut, text: "the last 1 of 15 members", path: "CONTENT/CONF/last", want: "l",
		},
		"base directory with a slash": {
			change: func(l []item) []item {
				for i := range l {
					if strings.HasPrefix(l[i].name, fileRoot+"/") {
						l[i].name = fileRoot + strings.TrimPrefix(l[i].name, fileRoot+"/")
					}
				}
				return l
			},
			find: Mended, text: "slash at its end", path: fileRoot + "/config.ini", want: "[x]\n",
		},
		"linked directory outside": {
			change: func(l []item) []item {
				return append(l, item{name: fileRoot + "/templates", typ: tar.TypeSymlink, link: "/srv/templates", unlisted: true},
					item{name: fileRoot + "/templates/pcproto.ini", text: "proto"})
			},
			find: Mended, text: "taken as a directory", path: fileRoot + "/templates/pcproto.ini", want: "proto",
		},
		"linked directory inside": {
			change: func(l []item) []item {
				return append(l, item{name: fileRoot + "/pcs", typ: tar.TypeSymlink, link: "clients", unlisted: true},
					item{name: fileRoot + "/pcs/pc 1.example.com.ini", text: "[info]\n"})
			},
			find: Mended, text: "the link is taken", path: fileRoot + "/pcs/pc 1.example.com.ini", want: "[info]\n",
		},
		"hard link to such a copy": {
			change: func(l []item) []item {
				return append([]item{
					{name: fileRoot + "/pcs", typ: tar.TypeSymlink, link: "clients", unlisted: true},
					{name: fileRoot + "/pcs/x.ini", text: "x"},
				}, append(l, item{name: fileRoot + "/clients/x.ini", typ: tar.TypeLink, link: fileRoot + "/pcs/x.ini", text: "x"},
					item{name: fileRoot + "/clients/y.ini", typ: tar.TypeLink, link: fileRoot + "/pcs/x.ini", text: "x"})...)
			},
			find: Mended, text: "the link is taken", path: fileRoot + "/clients/y.ini", want: "x",
		},
		"linked base directory": {
			change: func(l []item) []item {
				l[0] = item{name: fileRoot, typ: tar.TypeSymlink, link: "/data/opsi", unlisted: true}
				return l
			},
			find: Mended, text: "taken as a directory", path: fileRoot + "/config.ini", want: "[x]\n",
		},
		"the same member twice": {
			change: func(l []item) []item { return append(l, l[1]) },
			find:   Stray, text: "twice; the first", path: fileRoot + "/config.ini", want: "[x]\n",
		},
		"packed again by hand": {
			change: func(l []item) []item {
				return append([]item{{name: "CONTENT", typ: tar.TypeDir}, {name: "CONTENT/BACKENDS", typ: tar.TypeDir}, {name: "README", text: "x"}}, l...)
			},
			find: Stray, text: "README", path: fileRoot + "/config.ini", want: "[x]\n",
		},
		"setuid": {
			change: func(l []item) []item { return append(l, item{name: "CONTENT/CONF/tool", mode: 0o4755, text: "x"}) },
			find:   Owner, text: "setuid", path: "CONTENT/CONF/tool", want: "x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := opened(t, build{items: c.change(typical()), cut: c.cut, pack: Gzip})
			f := a.Verify()
			if err := f.Err(); err != nil {
				t.Fatal(err)
			}
			if !has(f, c.find, false, c.text) {
				t.Errorf("no %s of %q in %v", c.find, c.text, f)
			}
			dir := t.TempDir()
			if err := a.Unpack(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, c.path)); err != nil || string(got) != c.want {
				t.Errorf("%s: %q, %v", c.path, got, err)
			}
			if info, err := os.Stat(filepath.Join(dir, "CONTENT/CONF/tool")); err == nil && info.Mode() != 0o755 {
				t.Errorf("%v", info.Mode())
			}
		})
	}
}

func rename(from, to string) func([]item) []item {
	return func(l []item) []item {
		for i := range l {
			if l[i].name == from {
				l[i].name = to
			}
		}
		return l
	}
}

// Several file backends from before July 2022 have their keys under one name.
func TestHostKeysOfSeveralBackends(t *testing.T) {
	a := opened(t, build{items: []item{
		{name: "CONTENT/BACKENDS/FILE/file", typ: tar.TypeDir},
		{name: keysRoot + "%{backend['name']}/pckeys", text: "one"},
		{name: "CONTENT/BACKENDS/FILE/file2", typ: tar.TypeDir},
		{name: "CONTENT/BACKENDS/FILE/file2/config.ini", text: "x"},
		{name: keysRoot + "%{backend['name']}/pckeys", text: "two"},
	}})
	dir := t.TempDir()
	if err := a.Unpack(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{"file": "one", "file2": "two"} {
		if got, err := os.ReadFile(filepath.Join(dir, keysRoot, at, "pckeys")); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", at, got, err)
		}
	}
}

// What has reached the disk is taken away when the rest cannot.
func TestUnpackLeavesNothing(t *testing.T) {
	a := opened(t, build{items: typical(), pack: Gzip})
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Unpack(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	// Exchanged between the two readings.
	other := typical()
	other[1].text = "[y]\n"
	if err := os.WriteFile(a.Name, build{items: other, info: sysinfo, pack: Gzip}.bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Unpack(t.Context(), dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Unpack(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("%v", err)
	}
}

// What came from a tape, or through dd, is filled with zeros. Several streams one
// after the other, as pigz and pbzip2 write, are one.
func TestPaddingBehindTheStream(t *testing.T) {
	nothing := map[Compression][]byte{ // packed
		Bzip2: []byte("BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"),
		Gzip:  []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
	}
	for _, pack := range []Compression{Bzip2, Gzip, None} {
		data := build{items: typical(), info: sysinfo, pack: pack}.bytes(t)
		for name, c := range map[string]struct {
			data  []byte
			zeros bool
		}{
			"padded": {slices.Concat(data, make([]byte, 70_001)), true},
			"twice":  {slices.Concat(data, nothing[pack]), false},
		} {
			t.Run(string(pack)+" "+name, func(t *testing.T) {
				a, err := tried(t, c.data, DefaultLimits)
				if err != nil {
					t.Fatal(err)
				}
				findings := a.Verify()
				if err := findings.Err(); err != nil {
					t.Error(err)
				}
				if told := has(findings, Stray, false, "zeros follow"); told != (c.zeros && pack != None) {
					t.Errorf("findings %v", findings)
				}
				if err := a.Unpack(t.Context(), t.TempDir()); err != nil {
					t.Error(err)
				}
				if len(a.Verify()) != len(findings) {
					t.Errorf("told twice: %v", a.Verify())
				}
			})
		}
	}
}
