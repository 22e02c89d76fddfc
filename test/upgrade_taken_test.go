package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An upgrade that fails with its way back made says that the host is what it was because
// it has looked, and goes back where a hook has written to it.
func TestUpgradeThatHooksHaveWrittenTo(t *testing.T) {
	t.Parallel()
	m := newUpgradable(t, "ext4")
	hook := filepath.Join(m.lab.Root, "var/lib/YaST2/wagon/hooks/before_package_migration_00_site_write")
	must(t, os.MkdirAll(filepath.Dir(hook), 0o755))
	for _, test := range []struct{ script, says string }{
		{"exit 1", "entries compared equal"},
		{"echo mallory >>/etc/passwd; echo x >/etc/by-hook; exit 1", "entries compared equal"},
	} {
		must(t, os.WriteFile(hook, []byte("#!/bin/sh\n"+test.script+"\n"), 0o755))
		m.remember()
		said := m.lifeboat(1, append(m.upgrade("--no-rehearsal"), "--verbose")...)
		m.says(said, "the upgrade was taken back, and the host is what it was before", test.says)
		if went := strings.Contains(said, "it goes back, for it is not what it was"); went != strings.Contains(test.script, "by-hook") {
			t.Errorf("it went back: %v\n%s", went, said)
		}
		m.same()
	}
}
