package smt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
)

func TestSchemaVersion(t *testing.T) {
	for _, c := range []struct {
		name string
		rows [][]string
		want string
		bad  error
	}{
		{"1.0", [][]string{{"DBIx-Migration-Directories", "0.06"}, {"smt", "0.09"}}, "0.09", nil},
		{"as a float", [][]string{{"smt", "0.1"}}, "0.10", nil},
		{"one", [][]string{{"smt", "1"}}, "1.00", nil},
		{"12", [][]string{{"smt", "3.09"}}, "3.09", nil},
		{"inexact", [][]string{{"smt", "2.0799999"}}, "2.08", nil},
		{"upgrading", [][]string{{"smt-schema-from-20261121", "2.07"}}, "", product.ErrUpgrading},
	} {
		got, err := schemaVersion(t.Context(), func(context.Context, string) ([][]string, error) { return c.rows, nil })
		if got != c.want || !errors.Is(err, c.bad) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	for _, rows := range [][][]string{nil, {{"other", "1"}}, {{"smt", "x"}}} {
		if got, err := schemaVersion(t.Context(), func(context.Context, string) ([][]string, error) { return rows, nil }); err == nil {
			t.Errorf("%v gives %q", rows, got)
		}
	}
}

func TestTables(t *testing.T) {
	for text, want := range map[string]int{
		"0.09": 11, "0.10": 14, "0.11": 15, "0.14": 15, "0.15": 18, "0.16": 19, "1.00": 20, "2.00": 21, "2.08": 22, "3.00": 21, "3.09": 21, "0.01": 0, "x": 0,
	} {
		if got := tables(text); len(got) != want {
			t.Errorf("schema %s has %d tables, want %d: %v", text, len(got), want, got)
		}
	}
	// The article's "four additional tables".
	more := slices.DeleteFunc(tables("0.14"), func(s string) bool { return slices.Contains(tables("0.09"), s) })
	if got := strings.Join(more, " "); got != "Filters JobQueue Patchstatus RepositoryContentData" {
		t.Errorf("SMT 1.1 has besides %s", got)
	}
	for _, r := range references() {
		if len(r.Columns) != len(r.ToColumns) {
			t.Errorf("%v", r)
		}
	}
}

func TestCompareSchema(t *testing.T) {
	with := func(steps ...string) *host.Host {
		root := t.TempDir()
		for _, s := range steps {
			if err := os.MkdirAll(filepath.Join(root, schemaDir, s), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		h, err := host.At(root)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	bare := with()
	for _, c := range []struct {
		name             string
		h                *host.Host
		point, installed string
		want             product.Level
		why              string
	}{
		{"equal", bare, "0.14", "0.14", product.Agrees, ""},
		{"equal, written otherwise", bare, "1", "1.00", product.Agrees, ""},
		{"newer with known way", bare, "0.09", "0.16", product.Warns, "0.09 → 0.10"},
		{"across lines", bare, "0.14", "2.08", product.Warns, "0.16 → 1.00 → 2.00"},
		{"SMT 12 cannot read SMT 1.0", bare, "0.09", "3.09", product.Refuses, "no upgrade"},
		{"2.07 has a way", bare, "2.07", "3.09", product.Warns, "2.07 → 3.04 → 3.05"},
		{"2.08 has none", bare, "2.08", "3.09", product.Refuses, "no upgrade"},
		{"2.08 where the installed SMT has one", with("2.08-3.04", "3.04-3.05", "3.05-3.04", "latest"), "2.08", "3.05", product.Warns, "2.08 → 3.04 → 3.05"},
		{"installed list counts", with("3.04-3.05", "latest"), "2.07", "3.09", product.Refuses, "no upgrade"},
		{"only downwards", with("0.10-0.09"), "0.09", "0.10", product.Refuses, "no upgrade"},
		{"installed is older", bare, "3.09", "3.08", product.Refuses, "3.09"},
		{"point unknown", bare, "", "3.08", product.Refuses, "not known"},
		{"nothing installed", bare, "3.09", "", product.Refuses, "not known"},
	} {
		got, err := compareSchema(t.Context(), c.h, c.point, c.installed)
		if err != nil || got.Level != c.want || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	if v, _ := compareLine(t.Context(), bare, "1.0", "1.1"); v.Level != product.Refuses {
		t.Error("lines differ and agree")
	}
}

func TestInstalled(t *testing.T) {
	root := t.TempDir()
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	read := Product().Sources["smt_installed"].Read
	scope := profile.Scope{Host: h}
	if _, ok, err := read(t.Context(), scope, &InstalledOptions{What: "schema"}); ok || err != nil {
		t.Fatalf("nothing is installed: %v, %v", ok, err)
	}
	dir := filepath.Join(root, "usr/lib/perl5/vendor_perl/5.18.2")
	put(t, filepath.Join(dir, "SMT.pm"), "package SMT;\n# $SCHEMA_VERSION = 9.99;\nuse vars qw($SCHEMA_VERSION $SMT_VERSION);\n$SCHEMA_VERSION = 3.09;\n1;\n")
	for what, want := range map[string]string{"schema": "3.09", "line": "12"} {
		if got, ok, err := read(t.Context(), scope, &InstalledOptions{What: what}); got != want || !ok || err != nil {
			t.Errorf("%s is %q, %v, %v", what, got, ok, err)
		}
	}
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
