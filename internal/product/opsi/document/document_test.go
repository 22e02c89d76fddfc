package document_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/product/opsi/document"
	"lifeboat/internal/product/opsi/document/documenttest"
)

const password = "Geheim für opsi"

func write(t testing.TB, d documenttest.Object, f documenttest.Form) []byte {
	t.Helper()
	data, err := documenttest.Write(d, f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestEveryForm: the twelve forms say the same, and all are recognised by content.
func TestEveryForm(t *testing.T) {
	var first string
	var files map[string]string
	for _, f := range documenttest.Forms(password) {
		data := write(t, documenttest.Sample(), f)
		if !document.Detect(bytes.NewReader(data)) {
			t.Errorf("%v: it is not recognised", f)
		}
		dir := t.TempDir()
		c, err := document.Unpack(t.Context(), bytes.NewReader(data), dir, document.Options{Password: []byte(f.Password)})
		if err != nil {
			t.Errorf("%v: %v", f, err)
			continue
		}
		if want := (document.Form{Encrypted: f.Password != "", Compression: f.Compression, Encoding: f.Encoding, Checked: f.Password != "" || f.Compression == "gz"}); c.Form != want {
			t.Errorf("%v: the form is %+v", f, c.Form)
		}
		if c.Meta.ServerID != documenttest.ServerID || c.Meta.Time.Unix() != 1794000000 || c.RedisKeys != 2 || len(c.Classes) != 22 || len(c.Remarks) != 0 {
			t.Errorf("%v: %+v", f, c)
		}
		// The order of the parts and classes is free; the rows are not.
		dump := sorted(t, filepath.Join(dir, document.Dump))
		found := tree(t, filepath.Join(dir, document.Files))
		if first == "" {
			first, files = dump, found
		}
		if dump != first {
			t.Errorf("%v: the rows differ from those of the first form", f)
		}
		if !reflect.DeepEqual(found, files) {
			t.Errorf("%v: the files differ: %v", f, found)
		}
	}
	if want := "customer = Müller\n"; files["etc/opsi/modules"] != want || len(files) != 7 {
		t.Errorf("files: %v", files)
	}
}

func sorted(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.NewReplacer(",\n(", "\n(", ";\n", "\n").Replace(string(text)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v", name, info.Mode())
		}
		if d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		found[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func inspect(t *testing.T, data []byte, password string) (*document.Contents, error) {
	t.Helper()
	return document.Inspect(t.Context(), bytes.NewReader(data), document.Options{Password: []byte(password)})
}

func TestPassword(t *testing.T) {
	data := write(t, documenttest.Sample(), documenttest.Form{Encoding: "msgpack", Compression: "lz4", Password: password})
	flipped := bytes.Clone(data)
	flipped[len(flipped)/2] ^= 4
	for name, c := range map[string]struct {
		data     []byte
		password string
		want     error
	}{
		"none":    {data, "", document.ErrEncrypted},
		"wrong":   {data, "geheim für opsi", document.ErrPassword},
		"flipped": {flipped, password, document.ErrPassword},
		"cut":     {data[:len(data)-9], password, document.ErrPassword},
		"headcut": {data[:60], password, document.ErrCut},
		"other":   {append([]byte("{aes-512-xts-sha3}"), data[20:]...), password, document.ErrForeign},
		"whole":   {data, password, nil},
	} {
		if _, err := inspect(t, c.data, c.password); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCut: wherever a document ends too early, an error says so.
func TestCut(t *testing.T) {
	for _, f := range documenttest.Forms("") {
		data := write(t, documenttest.Sample(), f)
		for _, n := range []int{0, 1, 3, 5, 8, 12, 40, len(data) / 3, len(data) / 2, len(data) - 20, len(data) - 1} {
			_, err := inspect(t, data[:n], "")
			if err == nil || !errors.Is(err, document.ErrCut) && !errors.Is(err, document.ErrForeign) && !errors.Is(err, document.ErrDamaged) {
				t.Errorf("%v cut to %d of %d bytes: %v", f, n, len(data), err)
			}
		}
		if _, err := inspect(t, append(bytes.Clone(data), "more"...), ""); err == nil {
			t.Errorf("%v: bytes after the end are taken", f)
		}
	}
}

// TestFlips: where the form has a checksum each changed byte is noticed. An lz4 frame
// as opsiconfd writes it has none, and the contents say so.
func TestFlips(t *testing.T) {
	data := write(t, documenttest.Sample(), documenttest.Form{Encoding: "json", Compression: "gz"})
	for i := 10; i < len(data); i += 37 { // before come gzip's own head and times
		flipped := bytes.Clone(data)
		flipped[i] ^= 0x10
		if _, err := inspect(t, flipped, ""); err == nil {
			t.Errorf("a flip in byte %d of %d is not noticed", i, len(data))
		}
	}
	c, err := inspect(t, write(t, documenttest.Sample(), documenttest.Form{Encoding: "json", Compression: "lz4"}), "")
	if err != nil || c.Form.Checked {
		t.Errorf("lz4 without a sum: %v, %+v", err, c)
	}
}

func TestForeign(t *testing.T) {
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	_, _ = io.WriteString(z, "CONTENT/CONF\x00\x00")
	_ = z.Close()
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "json": []byte(`{"a": 1}`), "list": []byte(`[1]`),
		"archive": archive.Bytes(), "zeros": make([]byte, 5000), "sql": []byte("-- MariaDB dump\n"),
	} {
		if document.Detect(bytes.NewReader(data)) {
			t.Errorf("%s is taken for a document", name)
		}
		if _, err := inspect(t, data, ""); err == nil {
			t.Errorf("%s is read as a document", name)
		}
	}
}

// TestRefused: documents that are well-formed and yet not to be taken.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d documenttest.Object)
		want   string
	}{
		"type":    {func(d documenttest.Object) { d["meta"].(documenttest.Object)["type"] = "other" }, "no backup document"},
		"version": {func(d documenttest.Object) { d["meta"].(documenttest.Object)["version"] = "2" }, "only version 1"},
		"nometa":  {func(d documenttest.Object) { delete(d, "meta") }, "no part meta"},
		"noobj":   {func(d documenttest.Object) { delete(d, "objects") }, "no part objects"},
		"object":  {func(d documenttest.Object) { d["objects"].(documenttest.Object)["Host"] = []any{"pc1"} }, "is no map"},
		"list":    {func(d documenttest.Object) { d["objects"].(documenttest.Object)["Host"] = "pc1" }, "damaged"},
		"deep": {func(d documenttest.Object) {
			var v any = "x"
			for range 40 {
				v = []any{v}
			}
			d["objects"].(documenttest.Object)["ConfigState"] = []any{documenttest.Object{"values": v}}
		}, "deeper"},
		"redis": {func(d documenttest.Object) {
			var v any = "x"
			for range 200 {
				v = []any{v}
			}
			d["redis"] = documenttest.Object{"dumped_keys": []any{documenttest.Object{"value": v}}}
		}, ""},
		"wide": {func(d documenttest.Object) {
			o := documenttest.Object{}
			for i := range 2000 {
				o[strings.Repeat("x", i+1)] = 1
			}
			d["objects"].(documenttest.Object)["Host"] = []any{o}
		}, "more than 1000 attributes"},
	} {
		for _, f := range []documenttest.Form{{Encoding: "msgpack", Compression: "none"}, {Encoding: "json", Compression: "none"}} {
			d := documenttest.Sample()
			c.change(d)
			_, err := inspect(t, write(t, d, f), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s in %v: %v", name, f, err)
			}
		}
	}
	if _, err := inspect(t, []byte(`{"meta": {"type": "opsiconfd_backup", "version": "1"}, "objects": {"Host": []}, "objects": {}}`), ""); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a part that stands twice: %v", err)
	}
}

// TestPaths: a file's path in the document decides nothing outside the directory.
func TestPaths(t *testing.T) {
	d := documenttest.Sample()
	file := func(path string) documenttest.Object {
		return documenttest.Object{"path": path, "content": "x"}
	}
	d["config_files"] = documenttest.Object{
		"a": file("/etc/opsi/../../../../tmp/out"), "b": file("etc/opsi/x"), "c": file("/"), "d": file("/etc/opsi/a\x00b"),
		"e": file("/etc/opsi//y"), "f": file("/etc/opsi/z\n"), "g": file("/etc/opsi/fine"), "h": file("/etc/opsi/fine/below"),
	}
	delete(d["config_files"].(documenttest.Object), "h")
	dir := t.TempDir()
	c, err := document.Unpack(t.Context(), bytes.NewReader(write(t, d, documenttest.Form{Encoding: "msgpack", Compression: "none"})), dir, document.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if found := tree(t, filepath.Join(dir, document.Files)); len(found) != 1 || found["etc/opsi/fine"] != "x" {
		t.Errorf("files: %v", found)
	}
	refused := 0
	for _, f := range c.Files {
		if f.Refused {
			refused++
		}
	}
	if refused != 6 {
		t.Errorf("%d are refused: %+v", refused, c.Files)
	}
}
