package files_test

import (
	"os"
	"path/filepath"
	"testing"

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
