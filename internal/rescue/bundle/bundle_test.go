package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"

	"lifeboat/internal/rescue/configuration"
)

var now = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func signer(seed byte) *configuration.Signer {
	return configuration.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

func expected() Expected {
	return Expected{Keys: []ed25519.PublicKey{signer(1).Public()}, Now: now.Add(time.Hour), Arch: "amd64"}
}

var content = map[string]string{
	"lifeboat": "program", "profiles/own.yaml": "profile: own\n", "modules/6.1.0-9-amd64/kernel/drivers/net/igc.ko": "module",
	"modules/5.10.0/igc.ko": "old module", "firmware/intel/ice.pkg": strings.Repeat("firmware", 1000), "tools/sfdisk": "tool", "tools/zero": "",
}

func source(t testing.TB, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func made(t testing.TB) (*Manifest, []byte) {
	t.Helper()
	dir := source(t, content)
	m, err := Make(dir, 5, "amd64", now, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := m.Write(&b, dir, signer(1)); err != nil {
		t.Fatal(err)
	}
	return m, b.Bytes()
}

// unpack reads a bundle into a directory of its own, and gives what is there then.
func unpack(t testing.TB, stream []byte, e Expected, want func(File) bool) (map[string]string, error) {
	t.Helper()
	r, err := Open(bytes.NewReader(stream), e)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := r.Unpack(root, want); err != nil {
		return nil, err
	}
	got := map[string]string{}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := root.ReadFile(name)
		got[name] = string(text)
		info, _ := root.Lstat(name)
		if exec := name == Program || strings.HasPrefix(name, "tools/"); !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || (info.Mode()&0o100 != 0) != exec {
			t.Errorf("%s: %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, nil
}

func all(File) bool { return true }

func TestThereAndBack(t *testing.T) {
	m, stream := made(t)
	if got := strings.Join(m.Kernels(), " "); got != "5.10.0 6.1.0-9-amd64" {
		t.Errorf("modules for %s", got)
	}
	got, err := unpack(t, stream, expected(), all)
	if err != nil || len(got) != len(content) {
		t.Fatalf("%v, %v", got, err)
	}
	for name, text := range content {
		if got[name] != text {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	got, err = unpack(t, stream, expected(), func(f File) bool { return !strings.HasPrefix(f.Path, "modules/") })
	if err != nil || len(got) != len(content)-2 {
		t.Errorf("without modules: %v, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	_, stream := made(t)
	for name, try := range map[string]struct {
		change func(*Expected)
		want   error
	}{
		"foreign key": {func(e *Expected) { e.Keys = []ed25519.PublicKey{signer(2).Public()} }, configuration.ErrSignature},
		"older":       {func(e *Expected) { e.Applied = 6 }, ErrOlder},
		"expired":     {func(e *Expected) { e.Now = now.Add(48 * time.Hour) }, ErrExpired},
		"future":      {func(e *Expected) { e.Now = now.Add(-time.Hour) }, ErrExpired},
		"other arch":  {func(e *Expected) { e.Arch = "arm64" }, ErrArch},
	} {
		e := expected()
		try.change(&e)
		if _, err := unpack(t, stream, e, all); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := expected()
	e.Applied = 5
	if _, err := unpack(t, stream, e, all); err != nil {
		t.Errorf("the same again: %v", err)
	}
	// Any change of the stream, and any end before its end, is found.
	for i := 0; i < len(stream); i += 7 {
		changed := bytes.Clone(stream)
		changed[i] ^= 1 << (i % 8)
		got, err := unpack(t, changed, expected(), all)
		if err == nil && len(got) != len(content) || err != nil && !errors.Is(err, ErrContent) && !errors.Is(err, ErrDiffers) && !errors.Is(err, configuration.ErrSignature) && !errors.Is(err, configuration.ErrContent) && !errors.Is(err, configuration.ErrFormat) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := unpack(t, stream[:i], expected(), all); !errors.Is(err, ErrContent) {
			t.Fatalf("cut off at %d: %v", i, err)
		}
	}
}

// A network that fails is no reason for suspicion.
func TestNetworkFails(t *testing.T) {
	_, stream := made(t)
	broken := errors.New("connection reset")
	for _, n := range []int{0, 10, len(stream) / 2, len(stream) - 1} {
		r, err := Open(io.MultiReader(bytes.NewReader(stream[:n]), iotest.ErrReader(broken)), expected())
		if err == nil {
			root := source(t, nil)
			err = r.Unpack(root, all)
			r.Close()
		}
		if !errors.Is(err, broken) || errors.Is(err, ErrContent) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// forged is a stream with a validly signed list and other entries.
func forged(t testing.TB, m *Manifest, entries func(*tar.Writer)) []byte {
	t.Helper()
	payload, _ := json.Marshal(m)
	envelope, err := signer(1).Envelope(PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: manifestName, Size: int64(len(envelope)), Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(envelope)
	if entries != nil {
		entries(w)
	}
	_ = w.Close()
	_ = z.Close()
	return b.Bytes()
}

func TestForged(t *testing.T) {
	one := func(name string) *Manifest {
		m, err := Make(source(t, map[string]string{"tools/a": "x"}), 5, "amd64", now, time.Hour*24)
		if err != nil {
			t.Fatal(err)
		}
		m.Files[0].Path = name
		return m
	}
	add := func(h tar.Header, text string) func(*tar.Writer) {
		return func(w *tar.Writer) {
			h.Size = int64(len(text))
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(w, text)
		}
	}
	right := tar.Header{Typeflag: tar.TypeReg, Name: "tools/a", Mode: 0o700}
	if _, err := unpack(t, forged(t, one("tools/a"), add(right, "x")), expected(), all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../a", "/tools/a", "tools/../../a", "tools//a", "tools/a/b", "etc/passwd", "profiles/a", "modules/x", "tools/.a", "tools/-rf", "tools/a b", "tools/a\x1b", "", "tools/" + strings.Repeat("x", maxName)} {
		if _, err := unpack(t, forged(t, one(name), add(right, "x")), expected(), all); !errors.Is(err, ErrContent) {
			t.Errorf("%.30q: %v", name, err)
		}
	}
	for name, try := range map[string]struct {
		entries func(*tar.Writer)
		want    error
	}{
		"nothing":     {nil, ErrContent},
		"other bytes": {add(right, "y"), ErrDiffers},
		"other size":  {add(right, "xx"), ErrDiffers},
		"other name":  {add(tar.Header{Typeflag: tar.TypeReg, Name: "tools/b"}, "x"), ErrDiffers},
		"link": {func(w *tar.Writer) {
			_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "tools/a", Linkname: "/etc/passwd"})
		}, ErrDiffers},
		"device": {func(w *tar.Writer) { _ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeChar, Name: "tools/a"}) }, ErrDiffers},
		"one more": {func(w *tar.Writer) {
			add(right, "x")(w)
			add(tar.Header{Typeflag: tar.TypeReg, Name: "tools/b"}, "x")(w)
		}, ErrDiffers},
		"list again": {func(w *tar.Writer) { add(tar.Header{Typeflag: tar.TypeReg, Name: manifestName}, "{}")(w) }, ErrDiffers},
		"bomb behind": {func(w *tar.Writer) {
			add(right, "x")(w)
			add(tar.Header{Typeflag: tar.TypeReg, Name: "z"}, strings.Repeat("0", 8<<20))(w)
		}, ErrDiffers},
		"same file two": {func(w *tar.Writer) { add(right, "x")(w); add(right, "x")(w) }, ErrDiffers},
	} {
		if _, err := unpack(t, forged(t, one("tools/a"), try.entries), expected(), all); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Manifest){
		"format":   func(m *Manifest) { m.Format = 2 },
		"version":  func(m *Manifest) { m.Version = 0 },
		"twice":    func(m *Manifest) { m.Files = append(m.Files, m.Files[0]) },
		"huge":     func(m *Manifest) { m.Files[0].Size = MaxTotal + 1 },
		"no sum":   func(m *Manifest) { m.Files[0].SHA256 = "" },
		"not exec": func(m *Manifest) { m.Files[0].Exec = false },
		"empty":    func(m *Manifest) { m.Files = nil },
		"arch":     func(m *Manifest) { m.Arch = "" },
	} {
		m := one("tools/a")
		change(m)
		if _, err := unpack(t, forged(t, m, add(right, "x")), expected(), all); !errors.Is(err, ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	for _, files := range []map[string]string{{}, {"passwd": "x"}, {"tools/a/b": "x"}, {"profiles/x": "y"}} {
		if _, err := Make(source(t, files), 1, "amd64", now, time.Hour); !errors.Is(err, ErrContent) {
			t.Errorf("%v: %v", files, err)
		}
	}
	dir := source(t, map[string]string{"tools/a": "x"})
	if err := dir.Symlink("a", "tools/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(dir, 1, "amd64", now, time.Hour); !errors.Is(err, ErrContent) {
		t.Errorf("a link: %v", err)
	}
}

// FuzzOpen: whatever comes, nothing but files of the list is unpacked, and lists that
// are read have one form.
func FuzzOpen(f *testing.F) {
	m, stream := made(f)
	payload, _ := json.Marshal(m)
	f.Add(stream, []byte(nil))
	f.Add([]byte(nil), payload)
	f.Add([]byte("\x28\xb5\x2f\xfd"), []byte(`{"format":1,"version":1,"created":"2026-11-21T03:00:00Z","expires":"2026-11-22T03:00:00Z","arch":"amd64","files":[{"path":"tools/a","size":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","exec":true}]}`))
	f.Fuzz(func(t *testing.T, stream, list []byte) {
		if len(list) > 0 {
			if m, err := parse(list); err == nil {
				for _, file := range m.Files {
					if !filepath.IsLocal(file.Path) {
						t.Fatalf("%q", file.Path)
					}
				}
			}
		}
		got, err := unpack(t, stream, expected(), all)
		if err == nil && len(got) == 0 {
			t.Fatal("a bundle of nothing")
		}
	})
}
