package profile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"lifeboat/internal/host/hosttest"
)

func TestCatalogue(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("app.yaml", strings.Replace(good, "title: The application", "title: Our application", 1), 0o644)
	write("broken.yaml", "profile: broken\n", 0o644)
	write("open.yaml", good, 0o666)
	write("other.yaml", good, 0o644)
	write(".hidden.yaml", good, 0o644)
	c := Catalogue{
		Registry: testRegistry(),
		Shipped:  fstest.MapFS{"app.yaml": {Data: []byte(good)}, "lib.yaml": {Data: []byte(strings.Replace(good, "profile: app", "profile: lib", 1))}},
		SiteDir:  dir,
	}
	entries, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
		if (e.Err == nil) == (e.Profile == nil) {
			t.Errorf("%s: %v and %v", e.Name, e.Profile, e.Err)
		}
	}
	if got := strings.Join(names, " "); got != "app broken lib open other" {
		t.Errorf("names: %s", got)
	}
	if e := entries[0]; !e.Site || !e.Hides || e.Profile.Title != "Our application" {
		t.Errorf("the site's profile must win: %+v", e)
	}
	for _, want := range []struct{ name, err string }{
		{"broken", "broken.yaml:1:"},
		{"open", "chmod go-w"},
		{"other", "name the file app.yaml"},
		{"ap", "did you mean app?"},
	} {
		if _, err := c.Load(want.name); err == nil || !strings.Contains(err.Error(), want.err) {
			t.Errorf("%s: %v", want.name, err)
		}
	}
	if _, err := c.Load("../../etc/passwd"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a path: %v", err)
	}
	if p, err := c.Load("lib"); err != nil || p.Source != "lib.yaml" {
		t.Errorf("shipped: %v, %v", p, err)
	}
	c.SiteDir = filepath.Join(dir, "none")
	if p, err := c.Load("app"); err != nil || p.Title != "The application" {
		t.Errorf("without a site: %v, %v", p, err)
	}
	found, err := c.Detect(context.Background(), hosttest.With(t, map[string]string{"/etc/app.conf": ""}))
	if err != nil || len(found) != 2 || !found[0].Found || found[0].Why == "" {
		t.Errorf("detect: %+v, %v", found, err)
	}
}
