package backup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// What a link leads to is told when no component captures it, and stands in the manifest.
func TestLinksThatLeadAstray(t *testing.T) {
	s := backuptest.New(t, "")
	s.Write(t, "elsewhere/key", "secret")
	link := func(target, at string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(s.Dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	link(s.Dir+"/elsewhere/key", "etc/key")
	link("../data/a", "etc/captured")
	link("nowhere", "etc/dangling")
	for i := range 11 {
		link("../elsewhere", fmt.Sprintf("data/tree%02d", i))
	}
	_, run, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	if run.State != runbook.StateWarnings {
		t.Errorf("run is %s", run.State)
	}
	p, err := s.Vault.Find(t.Context(), "latest", vault.Filter{System: "app"})
	if err != nil {
		t.Fatal(err)
	}
	told := strings.Join(p.Manifest.Warnings, "\n")
	want := "configuration: the symbolic link " + s.Dir + "/etc/key leads to " + s.Dir + "/elsewhere/key"
	if !strings.Contains(told, want) || strings.Count(told, "data: the symbolic link") != 9 || !strings.Contains(told, "\n2 more symbolic links") ||
		strings.Contains(told, "captured ") || strings.Contains(told, "dangling") {
		t.Errorf("warnings of the point:\n%s", told)
	}
	r, err := p.Manifest.Component("configuration")
	if err != nil {
		t.Fatal(err)
	}
	if astray := (component.Link{Path: s.Dir + "/etc/key", Target: s.Dir + "/elsewhere/key"}); len(r.Astray) != 1 || r.Astray[0] != astray {
		t.Errorf("the manifest has %v", r.Astray)
	}
}

// What is saved elsewhere is noted and not warned of; what a link passes on its way
// counts, too.
func TestLinksThatAreMeant(t *testing.T) {
	s := backuptest.New(t, "")
	s.Write(t, "share/tree/file", "elsewhere")
	s.Write(t, "private/key", "secret")
	for at, target := range map[string]string{
		"etc/share": "../share/tree", "etc/key": "../private/key", "share/key": "../private/key", "etc/through": "../share/key", "data/share": s.Dir + "/share",
	} {
		if err := os.Symlink(target, filepath.Join(s.Dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	s.SavedElsewhere = []string{s.Dir + "/share"}
	b, run, err := s.Backup(t)
	if err != nil || run.State != runbook.StateWarnings {
		t.Fatalf("%v, %+v", err, run)
	}
	links := func(pairs ...string) (want []component.Link) {
		for i := 0; i < len(pairs); i += 2 {
			want = append(want, component.Link{Path: s.Dir + pairs[i], Target: s.Dir + pairs[i+1]})
		}
		return want
	}
	for name, want := range map[string][2][]component.Link{
		"configuration": {links("/etc/key", "/private/key", "/etc/through", "/private/key"), links("/etc/share", "/share/tree")},
		"data":          {nil, links("/data/share", "/share")},
	} {
		r, err := b.Point().Manifest.Component(name)
		if err != nil || !slices.Equal(r.Astray, want[0]) || !slices.Equal(r.Elsewhere, want[1]) {
			t.Errorf("%s: %v and %v, %v", name, r.Astray, r.Elsewhere, err)
		}
	}
	if told := strings.Join(b.Point().Manifest.Warnings, "\n"); strings.Contains(told, "/data/share") || !strings.Contains(told, "/etc/through leads to "+s.Dir+"/private/key") {
		t.Error(told)
	}
}
