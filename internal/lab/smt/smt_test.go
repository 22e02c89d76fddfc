package smt

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/lab/machine"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	table(&b, []string{"Id", "Name"}, [][]string{{"1", "Köln\nzwei"}, {"22", ""}})
	want := ".-----------.\n| Id | Name |\n+----+------+\n| 1  | Köln |\n|    | zwei |\n| 22 |      |\n'-----------'\n"
	if b.String() != want {
		t.Errorf("\n%s", b.String())
	}
}

func TestUpstream(t *testing.T) {
	for _, line := range []string{"10", "11", "12"} {
		m := machine.New(machine.Spec{Line: line})
		products, catalogs := upstream(m)
		if len(products) != 3 || len(catalogs) != 6 {
			t.Fatalf("line %s: %d products, %d catalogs", line, len(products), len(catalogs))
		}
		mirrored, files, names := 0, 0, map[string]int{}
		for _, c := range catalogs {
			if c.mirrored {
				mirrored++
			}
			for _, p := range c.packages {
				files++
				names[p.file()]++
				if p.size < 1<<10 || p.size > 2<<20 {
					t.Errorf("%s has %d bytes", p.file(), p.size)
				}
			}
		}
		if mirrored != 2 || files != 42 || len(names) != 30 {
			t.Errorf("line %s: %d mirrored, %d files of %d names", line, mirrored, files, len(names))
		}
	}
	p := sitePackages()[0]
	if a, b := p.content(), p.content(); !slices.Equal(a, b) || len(a) != p.size {
		t.Error("a package's content changes")
	}
}

func TestMetadataSumsAreChecked(t *testing.T) {
	for _, d := range []digest{{name: "sha"}, {name: "sha256", prefixed: true}} {
		dir := t.TempDir()
		files, err := metadata(catalog{name: "one", packages: sitePackages()}, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "repodata"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, "repodata", f.name), f.content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := verifyMetadata(dir, d); err != nil {
			t.Error(err)
		}
		first := filepath.Join(dir, "repodata", files[0].name)
		if strings.HasPrefix(files[0].name, "primary") == d.prefixed {
			t.Errorf("%s: %s", d.name, files[0].name)
		}
		if err := os.WriteFile(first, append(files[0].content, 'x'), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := verifyMetadata(dir, d); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Error(err)
		}
	}
}

func TestSchemaTables(t *testing.T) {
	for name, tables := range map[string]int{"0.09": 11, "0.14": 15, "3.09": 21} {
		text, err := ddl(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(text, "CREATE TABLE"); got != tables {
			t.Errorf("%s: %d tables, want %d", name, got, tables)
		}
	}
}
