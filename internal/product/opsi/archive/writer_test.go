package archive

import (
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is written is read again without a finding, in every packing.
func TestWriter(t *testing.T) {
	for _, pack := range []Compression{Bzip2, Gzip, None} {
		t.Run(string(pack), func(t *testing.T) {
			var out bytes.Buffer
			w, err := NewWriter(&out, pack)
			if err != nil {
				t.Fatal(err)
			}
			info := Info{"opsi1", "opsi1.example.com", "example.com", "Debian GNU/Linux", SysVersion("12"), "bookworm", "4.3.0.28"}
			for _, m := range []struct {
				Member
				text string
			}{
				{Member{Part: Files, Backend: "file", Path: ".", Type: Directory, Mode: 0o770 | os.ModeSetgid, User: "opsiconfd"}, ""},
				{Member{Part: Files, Backend: "file", Path: "clients/bücher 1.ini", User: "opsiconfd"}, "[info]\n"},
				{Member{Part: Database, Backend: "mysql", Path: "database.sql", Mode: 0o600}, wholeSQL},
				{Member{Part: Configuration, Path: ".", Type: Directory}, ""},
				{Member{Part: Configuration, Path: "a", Mode: 0o640}, strings.Repeat("a", 100_000)},
				{Member{Part: Configuration, Path: "b", Type: Hardlink, Target: "CONTENT/CONF/a"}, strings.Repeat("a", 100_000)},
				{Member{Part: Configuration, Path: "c", Type: Symlink, Target: "/srv/ü"}, ""},
			} {
				m.ModTime, m.Size = itemTime, int64(len(m.text))
				if err := w.Add(m.Member, strings.NewReader(m.text)); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"a\nb", "a\xff", "a ", "../x", strings.Repeat("x", 256)} {
				if err := w.Add(Member{Part: Configuration, Path: name}, nil); !errors.Is(err, ErrUnfit) {
					t.Errorf("%q: %v", name, err)
				}
			}
			if err := w.Close(info); err != nil {
				t.Fatal(err)
			}
			a, err := tried(t, out.Bytes(), DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			if f := a.Verify(); len(f) != 0 || a.Info != info || a.Compression != pack {
				t.Errorf("%v, %+v, %s", f, a.Info, a.Compression)
			}
			if err := a.Unpack(t.Context(), t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	w, err := NewWriter(io.Discard, None)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(Member{Part: Configuration, Path: "x", Type: Hardlink, Target: "CONTENT/CONF/none"}, nil); err == nil {
		t.Error("a hard link to nothing")
	}
	if err := w.Add(Member{Part: Configuration, Path: "a", Size: 5}, strings.NewReader("four")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short file: %v", err)
	}
	if _, err := NewWriter(io.Discard, "xz"); err == nil {
		t.Error("xz")
	}
}

// Blocks packed side by side become one stream that every bzip2 reads.
func TestBzip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 2*bzipChunk+17)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	runs := bytes.Repeat([]byte{7, 7, 7, 7}, bzipChunk/4) // as large as run-length coding makes them
	for i := range runs {
		runs[i] += byte(i / 4)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "one byte": {1}, "noise": noise, "a chunk": noise[:bzipChunk], "runs": runs,
		"zeros": make([]byte, 2<<20), "text": []byte(strings.Repeat("INSERT INTO `HOST` VALUES (1);\n", 30_000)),
	} {
		var out bytes.Buffer
		w := newBzipWriter(&out)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(300_000))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(out.Bytes())))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(data), err)
		}
		if bytes.Count(out.Bytes(), []byte(bzipHead)) != 1 {
			t.Errorf("%s is more than one stream", name)
		}
		t.Run("stock bzip2: "+name, func(t *testing.T) {
			stock, err := exec.LookPath("bzip2")
			if err != nil {
				t.Skip("needs bzip2")
			}
			c := exec.Command(stock, "-t")
			c.Stdin = &out
			if told, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, told)
			}
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }

// A disk that is full is told.
func TestWriterFullDisk(t *testing.T) {
	for _, pack := range []Compression{Bzip2, Gzip, None} {
		w, err := NewWriter(full{}, pack)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Add(Member{Part: Configuration, Path: "a", Size: 3 << 20}, io.LimitReader(zero{}, 3<<20))
		if err = errors.Join(err, w.Close(Info{})); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", pack, err)
		}
	}
}

func TestFileName(t *testing.T) {
	when := time.Date(2026, 11, 21, 5, 38, 5, 492_797_000, time.UTC)
	for want, info := range map[string]Info{
		"opsi1_4.3.0.28_2026-11-21_05-38-05.492797.tar.bz2": {Hostname: "opsi1", OpsiVersion: "4.3.0.28"},
		"opsi_2026-11-21_05-38-05.492797.tar.bz2":           {Hostname: "../x"},
	} {
		got := FileName(info, Bzip2, when)
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
		a := Archive{Name: got, Members: []*Member{}}
		if !a.dated().Equal(time.Date(2026, 11, 21, 5, 38, 5, 0, time.Local)) {
			t.Errorf("dated %s", a.dated())
		}
	}
}

// FuzzArchive: whatever comes in, the reader ends, within its limits, and what it
// verifies it can unpack into its directory.
func FuzzArchive(f *testing.F) {
	for _, pack := range []Compression{None, Gzip, Bzip2} {
		f.Add(build{items: typical(), info: sysinfo, pack: pack}.bytes(f))
		f.Add(build{items: typical(), info: sysinfo, pack: pack, cut: true}.bytes(f))
	}
	limits := Limits{Members: 100, Bytes: 1 << 20, Ratio: 1000, Control: 1 << 16, Depth: 16}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		file, out := filepath.Join(dir, "archive"), filepath.Join(dir, "out")
		if err := errors.Join(os.WriteFile(file, data, 0o600), os.Mkdir(out, 0o700)); err != nil {
			t.Fatal(err)
		}
		a, err := Open(context.Background(), file, limits)
		if err != nil {
			sorts := []error{ErrForeign, ErrWrapped, ErrDamaged, ErrHostile, ErrLimit}
			if !slices.ContainsFunc(sorts, func(sort error) bool { return errors.Is(err, sort) }) {
				t.Errorf("an error of no sort: %v", err)
			}
			return
		}
		defer a.Close()
		err = a.Unpack(context.Background(), out)
		if a.Verify().Err() == nil && err != nil {
			t.Errorf("verified, and not unpacked: %v", err)
		}
		left, _ := os.ReadDir(out)
		for _, e := range left {
			if err != nil || e.Name() != content && e.Name() != control {
				t.Errorf("%s is left after %v", e.Name(), err)
			}
		}
	})
}

// FuzzChecksums: what is written is read; whatever is read ends.
func FuzzChecksums(f *testing.F) {
	f.Add([]byte("da39a3ee5e6b4b0d3255bfef95601890afd80709 CONTENT/CONF/a b\n"), "x ü")
	f.Add([]byte("da39a3ee5e6b4b0d3255bfef95601890afd80709 a\nb\nda39a3"), "")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		c := parseChecksums(data)
		if len(c.order) != len(c.sums) || len(c.rest) > len(data)+sumDigits+2 {
			t.Errorf("%+v", c)
		}
		if name == "" || strings.Contains(name, "\n") {
			return
		}
		var b bytes.Buffer
		sum := digest{1, 2, 3}
		writeSum(&b, sum, name)
		if got := parseChecksums(b.Bytes()); got.sums[name] != sum || len(got.order) != 1 || got.cut || got.odd != 0 {
			t.Errorf("%q: %+v", name, got)
		}
	})
}

// FuzzSysinfo: what is told of a foreign machine can be printed, and is read as it
// was written.
func FuzzSysinfo(f *testing.F) {
	f.Add([]byte(sysinfo))
	f.Add([]byte("hostname: a\nhostname:\x00b\n:\nsysVersion: (22, 4)\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, remarks := parseInfo(data)
		for _, k := range info.keys() {
			if !printable(*k.value) {
				t.Errorf("%s %q", k.name, *k.value)
			}
			if strings.Contains(*k.value, ":") {
				*k.value = ""
			}
		}
		if again, _ := parseInfo(info.format()); again != info || len(remarks) > maxRemarks+20 {
			t.Errorf("%+v, written and read %+v, %d remarks", info, again, len(remarks))
		}
		_ = info.Version()
	})
}

// How an archive is packed is what its name says, unless it is said otherwise.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name, asked string
		want        Compression
	}{
		{"", "", Bzip2},
		{"/backup/x", "", Bzip2},
		{"/backup/x.tar.gz", "", Gzip},
		{"/backup/X.TGZ", "", Gzip},
		{"/backup/x.tar.bz2", "", Bzip2},
		{"/backup/x.tbz", "", Bzip2},
		{"/backup/x.tar", "", None},
		{"/backup/x.gz/y", "", Bzip2},
		{"/backup/x.tar.gz", "gz", Gzip},
		{"/backup/x.bak", "none", None},
		{"/backup/x.tar.gz", "bz2", ""},
		{"/backup/x.tar", "gz", ""},
		{"/backup/x", "xz", ""},
		{"/backup/x.tar.xz", "", ""},
		{"/backup/X.ZIP", "none", ""},
		{"/backup/x.zst", "bz2", ""},
		{"/backup/x.xz/y", "", Bzip2},
	} {
		got, err := Choose(c.name, c.asked)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Choose(%q, %q) = %q, %v", c.name, c.asked, got, err)
		}
	}
}
