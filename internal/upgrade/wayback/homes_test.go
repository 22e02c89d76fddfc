package wayback

import (
	"os"
	"path/filepath"
	"testing"
)

// What people keep in /home stays as it is, wherever it lies: in the root, on a file
// system of its own, behind a link, or made after the upgrade.
func TestHomesDoNotGoBack(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, root string) (home string){
		"in the root": func(_ *testing.T, root string) string { return root + "/home" },
		"behind a link": func(t *testing.T, root string) string {
			must(t, os.MkdirAll(root+"/data/home", 0o755))
			must(t, os.Symlink("data/home", root+"/home"))
			return root + "/data/home"
		},
		"on its own": func(t *testing.T, root string) string {
			must(t, os.MkdirAll(root+"/home", 0o755))
			image := filepath.Join(t.TempDir(), "disk")
			program(t, "truncate", "-s", "16M", image)
			program(t, "mkfs.ext4", "-q", image)
			program(t, "mount", "-o", "loop", image, root+"/home")
			return root + "/home"
		},
		"made since": nil,
	} {
		t.Run(name, func(t *testing.T) {
			root := disk(t, "ext4", 64)
			populate(t, root)
			home := root + "/home"
			if prepare != nil {
				home = prepare(t, root)
				put(t, home+"/tux/letter", "old text")
			}
			_, v := newVault(t)
			target := Target{Root: root, State: t.TempDir()}
			m, k := NewPoint(options(target, v)), newTask(t, target.State, "run-1")
			b, err := m.Prepare(t.Context(), k)
			must(t, err)
			b = journaled(t, b)
			put(t, root+"/usr/new", "came with the upgrade")
			put(t, home+"/tux/mail", "came in since")
			put(t, home+"/tux/letter", "edited since")
			before := state(t, home)
			must(t, m.Back(t.Context(), k, b))
			same(t, before, state(t, home))
			if _, err := os.Lstat(root + "/usr/new"); err == nil {
				t.Error("the root did not go back")
			}
		})
	}
}
