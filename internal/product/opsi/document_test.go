package opsi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/document"
	"lifeboat/internal/product/opsi/document/documenttest"
)

func saveDocument(t *testing.T, d documenttest.Object, f documenttest.Form) string {
	t.Helper()
	data, err := documenttest.Write(d, f)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func secret(password string) product.Password {
	return func(context.Context) ([]byte, error) { return []byte(password), nil }
}

// A document says what it is of, and each of its parts belongs to a component.
func TestUnpackDocument(t *testing.T) {
	d := documenttest.Sample()
	files := d["config_files"].(documenttest.Object)
	files["ssh_commands_custom"] = documenttest.Object{"path": "/var/lib/opsi/server_commands_custom.conf", "content": "[]"}
	files["elsewhere"] = documenttest.Object{"path": "/etc/shadow", "content": "root::"}
	file := saveDocument(t, d, documenttest.Form{Encoding: "json", Compression: "gz", Password: "a b"})
	dir := t.TempDir()
	i, err := unpack(t.Context(), file, dir, secret("a b"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(i.Origin, "opsiconfd backup document of opsi1.example.org, made 2026-11-0") || !strings.HasSuffix(i.Origin, "by opsiconfd 4.3.23.7 (json, packed with gzip, encrypted)") {
		t.Errorf("origin %q", i.Origin)
	}
	var of []string
	for _, f := range i.Files {
		if _, err := os.Stat(filepath.Join(dir, f.From)); err != nil {
			t.Errorf("%s is said to be in a file that is not there: %v", f.Path, err)
		}
		of = append(of, f.Component+" "+f.Path)
	}
	slices.Sort(of)
	want := []string{
		"configuration /etc/opsi/backendManager/acl.conf", "configuration /etc/opsi/backends/mysql.conf", "configuration /etc/opsi/modules", "configuration /etc/opsi/opsi.conf",
		"configuration /etc/opsi/opsiconfd.conf", "configuration /etc/opsi/ssl/opsi-ca-cert.pem", "configuration /etc/opsi/ssl/opsi-ca-key.pem", "extensions /var/lib/opsi/server_commands_custom.conf",
	}
	if !slices.Equal(of, want) {
		t.Errorf("files %q", of)
	}
	if !slices.Equal(i.Unknown, []string{"/etc/shadow (elsewhere)"}) {
		t.Errorf("left alone: %q", i.Unknown)
	}
	if i.Dumps[0].Database != "opsi" || i.Moment.Unix() != 1794000000 {
		t.Errorf("dumps %+v, moment %v", i.Dumps, i.Moment)
	}
	if i.Facts["hostname"] != "opsi1" || i.Facts["server_id"] != documenttest.ServerID || i.Settings["opsi_version"] != "4.3.23.7" {
		t.Errorf("facts %v, settings %v", i.Facts, i.Settings)
	}
	if len(i.Warnings) != 1 || i.Warnings[0] != "/etc/opsi/passwd was not on the server when the document was made" {
		t.Errorf("warnings %q", i.Warnings)
	}
}

// The database is called in the point as opsi called it.
func TestUnpackDocumentOfAnotherDatabase(t *testing.T) {
	d := documenttest.Sample()
	mysql := d["config_files"].(documenttest.Object)["mysql_conf"].(documenttest.Object)
	mysql["content"] = strings.Replace(mysql["content"].(string), "\"database\": \"opsi\"", "\"database\": \"clients\"", 1)
	i, err := unpack(t.Context(), saveDocument(t, d, documenttest.Form{Encoding: "msgpack", Compression: "none"}), t.TempDir(), nil)
	if err != nil || i.Dumps[0].Database != "clients" {
		t.Errorf("%v, %+v", err, i)
	}
}

// Without configuration files the point lacks something critical, and the database
// is one of opsi all the same.
func TestUnpackDocumentWithoutFiles(t *testing.T) {
	d := documenttest.Sample()
	delete(d, "config_files")
	i, err := unpack(t.Context(), saveDocument(t, d, documenttest.Form{Encoding: "msgpack", Compression: "lz4"}), t.TempDir(), nil)
	if err != nil || !i.Missing[0].Critical || i.Settings["backends"] != "mysql" || len(i.Dumps) != 1 {
		t.Errorf("%v, %+v", err, i)
	}
}

func TestUnpackRefuses(t *testing.T) {
	encrypted := documenttest.Form{Encoding: "msgpack", Compression: "lz4", Password: "right"}
	if _, err := unpack(t.Context(), saveDocument(t, documenttest.Sample(), encrypted), t.TempDir(), secret("wrong")); !errors.Is(err, document.ErrPassword) {
		t.Errorf("a wrong password: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(t.Context(), other, t.TempDir(), nil); !errors.Is(err, product.ErrUnrecognised) {
		t.Errorf("another file: %v", err)
	}
}

// An opsi must not find a database newer than itself.
func TestSchemaOfADocument(t *testing.T) {
	for version, want := range map[string]int{"4.3.0.30": 10, "4.3.1.0": 11, "4.3.17.6": 12, "4.3.23.7": 13, "4.3.40.1": 13, "odd": 13} {
		if got := schemaOf(version); got != want {
			t.Errorf("%s: %d, want %d", version, got, want)
		}
	}
}
