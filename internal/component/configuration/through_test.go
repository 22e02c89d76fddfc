package configuration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/configuration"
)

// A file that is a link on this machine is adapted where it leads; one that cannot be
// followed is replaced, which is told.
func TestLinkToAFileStays(t *testing.T) {
	texts := map[string]string{"etc/app.conf": "[a]\nx=saved\n", "etc/plain": "saved"}
	options := configuration.Options{Paths: []string{"/etc/app.conf", "/etc/plain"}}
	source, record := captured(t, make1(t, machine(t, texts), false, options))
	fresh := machine(t, map[string]string{"srv/app.conf": "[a]\nx=fresh\ny=1\n", "srv/kept": "x"})
	etc := filepath.Join(fresh.Root(), "etc")
	must(t, os.Mkdir(etc, 0o755))
	must(t, os.Symlink("../srv/app.conf", filepath.Join(etc, "app.conf")))
	must(t, os.Symlink("../srv/gone", filepath.Join(etc, "plain")))
	c := make1(t, fresh, false, options)
	warned := ""
	opts := component.RestoreOptions{Record: record, Warn: func(m string) { warned += m + "\n" }}
	for range 2 { // a resume does it again
		must(t, c.Restore(t.Context(), source, opts))
	}
	for path, want := range map[string]string{
		"srv/app.conf": "[a]\nx=saved\ny=1\n", "etc/app.conf.lifeboat-fresh": "[a]\nx=fresh\ny=1\n", "etc/plain": "saved", "srv/gone": "absent",
	} {
		if got := read(t, fresh, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if to, err := os.Readlink(filepath.Join(etc, "app.conf")); err != nil || to != "../srv/app.conf" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	for _, want := range []string{"/etc/app.conf is a symbolic link on this machine", "the link stays", "/etc/plain was a symbolic link to ../srv/gone"} {
		if !strings.Contains(warned, want) {
			t.Errorf("told %q, not %q", warned, want)
		}
	}
	checks, err := c.Check(t.Context(), record)
	must(t, err)
	for _, check := range checks {
		if !check.OK && !check.Warning || strings.Contains(check.Name, "content") && !check.OK {
			t.Errorf("check %+v", check)
		}
	}
	must(t, c.Rollback(t.Context()))
	if got := read(t, fresh, "srv/app.conf"); got != "[a]\nx=fresh\ny=1\n" {
		t.Errorf("rolled back: %q", got)
	}
	if to, _ := os.Readlink(filepath.Join(etc, "plain")); to != "../srv/gone" {
		t.Errorf("rolled back, the link leads to %q", to)
	}
}
