package files_test

import (
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/component/files"
	"lifeboat/internal/profile"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func spec(options files.Options) profile.Component {
	return profile.Component{Name: "part", Kind: "files", Importance: profile.Critical, Capture: profile.Quiesced, Options: &options}
}

func TestConformance(t *testing.T) {
	componenttest.Run(t, componenttest.Fixture{
		Kind: files.Kind(),
		Spec: func(dir string) profile.Component {
			return spec(files.Options{Paths: []string{dir + "/srv/tree", dir + "/etc/*.conf", dir + "/etc/one"}})
		},
		Populate: func(t testing.TB, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "srv")))
			must(t, os.RemoveAll(filepath.Join(dir, "etc")))
			must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
			componenttest.HostileTree(t, filepath.Join(dir, "srv", "tree"))
			must(t, os.WriteFile(filepath.Join(dir, "etc", "a.conf"), []byte("a"), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "etc", "-\xff.conf"), []byte("b"), 0o640))
			must(t, os.WriteFile(filepath.Join(dir, "etc", "one"), []byte("1"), 0o644))
			must(t, os.WriteFile(filepath.Join(dir, "etc", "other"), []byte("not ours"), 0o644))
			componenttest.Age(t, dir)
		},
		Alter: func(t testing.TB, dir string) {
			tree := filepath.Join(dir, "srv", "tree")
			must(t, os.RemoveAll(filepath.Join(tree, "sub", "empty")))
			must(t, os.WriteFile(filepath.Join(tree, "sub", "one"), []byte("fresh"), 0o644))
			must(t, os.WriteFile(filepath.Join(tree, "names", "new"), []byte("new"), 0o644))
			must(t, os.Chmod(tree, 0o700))
			must(t, os.Remove(filepath.Join(dir, "etc", "one")))
			must(t, os.Mkdir(filepath.Join(dir, "etc", "one"), 0o711))
			must(t, os.Remove(filepath.Join(dir, "etc", "a.conf")))
			componenttest.Age(t, dir)
		},
		Lose: func(t testing.TB, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "srv")))
			for _, n := range []string{"a.conf", "-\xff.conf", "one"} {
				must(t, os.RemoveAll(filepath.Join(dir, "etc", n)))
			}
		},
		State: func(t testing.TB, dir string) string {
			return componenttest.Digest(t, dir+"/srv/tree", dir+"/etc/a.conf", dir+"/etc/-\xff.conf", dir+"/etc/one")
		},
		Around: func(t testing.TB, dir string) string { return componenttest.Digest(t, dir) },
	})
}

// TestConformanceAroundOthers has another component's path, and an excluded
// one, inside the tree: directories above them stay and entries go one by one.
func TestConformanceAroundOthers(t *testing.T) {
	ours := func(dir string) []string {
		return []string{dir + "/srv/index", dir + "/srv/www/page", dir + "/srv/www/own", dir + "/srv/empty"}
	}
	componenttest.Run(t, componenttest.Fixture{
		Kind: files.Kind(),
		Spec: func(dir string) profile.Component {
			return spec(files.Options{Paths: []string{dir + "/srv"}, Exclude: []string{"*.log"}})
		},
		Env: func(env *component.Env, dir string) { env.Exclude = []string{dir + "/srv/www/repo"} },
		Populate: func(t testing.TB, dir string) {
			must(t, os.RemoveAll(dir+"/srv"))
			write(t, dir+"/srv/index", "i")
			write(t, dir+"/srv/www/page", "p")
			write(t, dir+"/srv/www/own/deep", "d")
			must(t, os.Mkdir(dir+"/srv/empty", 0o750))
			write(t, dir+"/srv/www/repo/rpm", "theirs")
			write(t, dir+"/srv/www/access.log", "log")
			componenttest.Age(t, dir)
		},
		Alter: func(t testing.TB, dir string) {
			write(t, dir+"/srv/index", "changed")
			must(t, os.RemoveAll(dir+"/srv/www/own"))
			write(t, dir+"/srv/www/new/file", "new")
			write(t, dir+"/srv/www/repo/rpm", "theirs, newer")
			must(t, os.Chmod(dir+"/srv/www", 0o700))
			componenttest.Age(t, dir)
		},
		Lose:   func(t testing.TB, dir string) { must(t, os.RemoveAll(dir+"/srv")) },
		State:  func(t testing.TB, dir string) string { return componenttest.Digest(t, ours(dir)...) },
		Around: func(t testing.TB, dir string) string { return componenttest.Digest(t, dir) },
	})
}
