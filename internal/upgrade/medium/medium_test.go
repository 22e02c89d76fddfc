package medium

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	suse, other := newVendor(t, "SUSE of the test"), newVendor(t, "Mallory")
	trust, none := suse.ring(t), Keyring{}
	spoil := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			text[len(text)/2]++
			put(t, filepath.Join(dir, name), text)
		}
	}
	gone := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	content := func(more string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			name := filepath.Join(dir, "content")
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			put(t, name, append(text, more...))
			suse.sign(t, name)
		}
	}
	for name, try := range map[string]struct {
		make  func(*testing.T, string, vendor)
		by    vendor
		then  func(*testing.T, string)
		keys  Keyring
		all   bool
		want  Standing
		label string
		why   string // in a reason
	}{
		"11":                    {make: sles11, by: suse, keys: trust, all: true, want: Proven, label: "SUSE Linux Enterprise Server 11 SP3, SLES 11.3 x86_64"},
		"12":                    {make: sles12, by: suse, keys: trust, all: true, want: Proven, label: "SUSE Linux Enterprise Server 12 SP1, SLES 12.1 x86_64"},
		"15":                    {make: sles15, by: suse, keys: trust, want: Proven, label: "SUSE Linux Enterprise Server 15 SP4, SLES 15.4 x86_64"},
		"repository":            {make: repository, by: suse, keys: trust, want: Proven, label: "SUSE Linux Enterprise Server 15 SP4, SLES 15.4 x86_64"},
		"no keys":               {make: sles12, by: suse, keys: none, want: Unproven, why: "only the source itself brings: that proves nothing"},
		"no keys, none there":   {make: sles12, by: suse, keys: none, then: gone("content.key"), want: Unproven, why: "is not trusted here"},
		"another's":             {make: sles12, by: other, keys: trust, want: Unproven, why: "that proves nothing"},
		"not signed":            {make: sles12, by: suse, keys: trust, then: gone("content.asc"), want: Unproven, why: "content is not signed"},
		"content changed":       {make: sles12, by: suse, keys: trust, then: spoil("content"), want: Refuted, why: "the signature of content is wrong"},
		"changed, no keys":      {make: sles12, by: suse, keys: none, then: spoil("content"), want: Refuted, why: "the signature of content is wrong"},
		"kernel changed":        {make: sles11, by: suse, keys: trust, then: spoil("boot/x86_64/loader/linux"), want: Refuted, why: "boot/x86_64/loader/linux is not the file that content lists"},
		"initrd gone":           {make: sles15, by: suse, keys: trust, then: gone("boot/x86_64/loader/initrd"), want: Refuted, why: "which is not there"},
		"others are not looked": {make: sles12, by: suse, keys: trust, then: gone("suse/setup/descr/packages"), want: Proven},
		"at without --all":      {make: sles12, by: suse, keys: trust, then: gone("suse/setup/descr/packages"), all: true, want: Refuted, why: "suse/setup/descr/packages"},
		"a name that leads out": {make: sles12, by: suse, keys: trust, then: content("HASH SHA256 " + strings.Repeat("0", 64) + "  ../../etc/passwd\n"), all: true, want: Refuted, why: "with the name"},
		"an unknown checksum":   {make: sles12, by: suse, keys: trust, then: content("HASH FNV " + strings.Repeat("0", 64) + "  boot/x86_64/linux\n"), want: Unproven, why: "unknown kind"},
		"no checksum":           {make: sles12, by: suse, keys: trust, then: content("HASH SHA256 0  boot/x86_64/linux\n"), want: Refuted, why: "content cannot be read"},
		"empty signature":       {make: sles12, by: suse, keys: trust, then: func(t *testing.T, dir string) { put(t, filepath.Join(dir, "content.asc"), nil) }, want: Refuted, why: "it is empty"},
		"no xml":                {make: repository, by: suse, keys: trust, then: spoil("repodata/repomd.xml"), want: Refuted, why: "wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			try.make(t, dir, try.by)
			if try.then != nil {
				try.then(t, dir)
			}
			r, err := Check(t.Context(), dir, Options{Keys: try.keys, All: try.all})
			if err != nil {
				t.Fatal(err)
			}
			if why := strings.Join(r.Why, "\n"); r.Standing != try.want || !strings.Contains(why, try.why) || (why == "") != (try.want == Proven) {
				t.Errorf("%s: %s", r.Standing, why)
			}
			id := r.Identity
			if got := id.Label + ", " + id.Product + " " + id.Version + " " + strings.Join(id.Arch, " "); try.label != "" && (got != try.label || !id.Signed) {
				t.Errorf("%q from %s, signed %v", got, id.From, id.Signed)
			}
			if try.all && try.want == Proven && len(r.Files) != 4 {
				t.Errorf("compared %+v", r.Files)
			}
		})
	}
}

func TestNoSource(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "DVD1", "content"), []byte("LABEL x\n"))
	put(t, filepath.Join(dir, "file"), []byte("no image"))
	for address, want := range map[string]string{
		dir:                            "no installation source: it has neither content nor repodata/repomd.xml; DVD1 below it has",
		"dir://" + dir + "/DVD2":       "no such file",
		dir + "/file":                  "no ISO image",
		"gopher://x/y":                 "is none of",
		"http:///x":                    "names no server",
		"ftp://me:secret@x/y":          "do not belong in it",
		"nfs://x/y\x01":                "do not print",
		"http://-x/y":                  "no name of a server",
		"iso:///dev/null":              "neither a directory nor an image",
		"ftp://x/y?z":                  "behind a ?",
		"slp:":                         "SLP is not asked",
		"":                             "empty",
		"http://127.0.0.1:1/x":         "refused",
		"ftp://127.0.0.1:1/x":          "refused",
		"file:" + dir + "/../nowhere/": "no such file",
	} {
		_, err := Check(t.Context(), address, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
	if _, err := Check(t.Context(), dir, Options{}); !errors.Is(err, ErrNoSource) {
		t.Errorf("%v is not ErrNoSource", err)
	}
}

// A link out of a directory, and a FIFO, are not followed.
func TestHostileDirectory(t *testing.T) {
	suse := newVendor(t, "SUSE")
	for name, make := range map[string]func(string) error{
		"link": func(n string) error { return os.Symlink("/etc/passwd", n) },
		"fifo": func(n string) error { return exec.Command("mkfifo", n).Run() },
		"dir":  func(n string) error { return os.Mkdir(n, 0o700) },
	} {
		dir := t.TempDir()
		sles12(t, dir, suse)
		linux := filepath.Join(dir, "boot/x86_64/loader/linux")
		if err := errors.Join(os.Remove(linux), make(linux)); err != nil {
			t.Fatal(err)
		}
		if r, err := Check(t.Context(), dir, Options{Keys: suse.ring(t)}); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestImage(t *testing.T) {
	xorriso, err := exec.LookPath("xorriso")
	if err != nil {
		t.Skip("needs xorriso: makes an image")
	}
	suse := newVendor(t, "SUSE")
	dir := t.TempDir()
	sles12(t, filepath.Join(dir, "tree"), suse)
	iso := filepath.Join(dir, "dvd.iso")
	if out, err := exec.Command(xorriso, "-as", "mkisofs", "-quiet", "-r", "-J", "-o", iso, filepath.Join(dir, "tree")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, err := Check(t.Context(), iso, Options{Keys: suse.ring(t), All: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Standing != Proven || len(r.Files) != 4 || r.Identity.Label != "SUSE Linux Enterprise Server 12 SP1" {
		t.Errorf("%+v", r)
	}
	if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "packages were not compared") }) {
		t.Errorf("notes %q", r.Notes)
	}
	// Cut off before its files end (behind them is padding) it is an error, or not proven; nothing worse.
	whole, err := os.ReadFile(iso)
	if err != nil {
		t.Fatal(err)
	}
	// Cut off where no file is, it is refuted.
	says := int(binary.LittleEndian.Uint32(whole[16*blockSize+80:])) * blockSize
	put(t, filepath.Join(dir, "cut.iso"), whole[:says-blockSize])
	if r, err := Check(t.Context(), filepath.Join(dir, "cut.iso"), Options{Keys: suse.ring(t)}); err != nil || r.Standing != Refuted || !strings.Contains(r.Why[0], "cut off") {
		t.Errorf("%+v, %v", r, err)
	}
	for n := 16 * blockSize; n < len(whole)/2; n += len(whole) / 40 {
		put(t, filepath.Join(dir, "cut.iso"), whole[:n])
		r, err := Check(t.Context(), filepath.Join(dir, "cut.iso"), Options{Keys: suse.ring(t), All: true})
		if err == nil && r.Standing == Proven {
			t.Errorf("of %d bytes %d are proven", len(whole), n)
		}
	}
}

func TestReadLogin(t *testing.T) {
	name := filepath.Join(t.TempDir(), "login")
	for text, want := range map[string]Login{
		"username=me\npassword=a=b \n": {User: "me", Password: "a=b "}, "# x\n username=me\ndomain=D\n": {Domain: "D", User: "me"},
		"password=x\n": {}, "user me\n": {}, "": {},
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadLogin(name)
		if (err == nil) != (want != Login{}) || err == nil && got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "=x") {
			t.Errorf("the password is told: %v", err)
		}
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLogin(name); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("others can read it: %v", err)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte("NAME SUSE_SLES\nHASH SHA1 da39a3ee5e6b4b0d3255bfef95601890afd80709  boot/x86_64/loader/linux\n"))
	f.Add([]byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  ./boot/x86_64/loader/linux\n"))
	f.Add([]byte(`<repomd><tags><distro cpeid="cpe:/o:suse:sles:15">x</distro></tags><data type="primary"><checksum type="sha">da39a3ee5e6b4b0d3255bfef95601890afd80709</checksum><location href="a"/></data></repomd>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, known := range readers {
			i, err := known.read(text)
			if err == nil && known.name != contentName && known.name != "CHECKSUMS" && len(i.sums) == 0 {
				t.Errorf("%s: nothing in %q", known.name, text)
			}
			if strings.ContainsAny(i.identity.Label+i.identity.Product+i.identity.Version, "\n\x1b") {
				t.Errorf("%s: %+v", known.name, i.identity)
			}
		}
		_ = readProducts(text)
		if s := verify(text, text, Keyring{}); s.State == Good {
			t.Error("it signs itself")
		}
		_ = new(Keyring).add(text, "")
	})
}
