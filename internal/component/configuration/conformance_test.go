package configuration_test

import (
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/component/configuration"
	"lifeboat/internal/profile"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, dir string, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o640))
	}
}

func TestConformance(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files other owners")
	}
	componenttest.Run(t, componenttest.Fixture{
		Kind: configuration.Kind(),
		Spec: func(dir string) profile.Component {
			return profile.Component{Name: "settings", Kind: "configuration", Importance: profile.Critical, Options: &configuration.Options{
				Paths: []string{dir + "/etc/smt.conf", dir + "/etc/smt.d", dir + "/etc/*.xml"},
			}}
		},
		Populate: func(t testing.TB, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "etc")))
			write(t, dir, map[string]string{
				"etc/smt.conf": "[NU]\nNUUser=saved\n# mine\n[DB]\npass=old\n", "etc/a.xml": "<saved/>\n", "etc/odd.xml": "x", "etc/other": "not ours",
				"etc/smt.d/nu_server.conf": "Alias /repo\n", "etc/smt.d/deep/er/file": "deep", "etc/smt.d/-\xff\n": "odd",
			})
			must(t, os.Symlink("../a.xml", filepath.Join(dir, "etc/smt.d/link")))
			must(t, os.Mkdir(filepath.Join(dir, "etc/smt.d/empty"), 0o710))
			must(t, os.Chown(filepath.Join(dir, "etc/smt.conf"), 0, 33))
			componenttest.Age(t, dir)
		},
		Alter: func(t testing.TB, dir string) {
			write(t, dir, map[string]string{
				"etc/smt.conf": "[NU]\nNUUser=fresh\nNURegUrl=new\n[DB]\npass=new\n", "etc/a.xml": "<fresh/>\n",
				"etc/smt.d/nu_server.conf": "Alias /fresh\n", "etc/smt.d/new.conf": "only fresh\n",
			})
			must(t, os.RemoveAll(filepath.Join(dir, "etc/smt.d/deep")))
			must(t, os.RemoveAll(filepath.Join(dir, "etc/smt.d/empty")))
			must(t, os.Remove(filepath.Join(dir, "etc/smt.d/link")))
			must(t, os.Remove(filepath.Join(dir, "etc/odd.xml")))
			must(t, os.Mkdir(filepath.Join(dir, "etc/odd.xml"), 0o755))
			must(t, os.Chmod(filepath.Join(dir, "etc/smt.d"), 0o700))
			componenttest.Age(t, dir)
		},
		Lose: func(t testing.TB, dir string) {
			for _, n := range []string{"etc/smt.conf", "etc/smt.d", "etc/a.xml", "etc/odd.xml"} {
				must(t, os.RemoveAll(filepath.Join(dir, n)))
			}
		},
		State: func(t testing.TB, dir string) string {
			return componenttest.Digest(t, dir+"/etc/smt.conf", dir+"/etc/smt.d", dir+"/etc/a.xml", dir+"/etc/odd.xml")
		},
		Around: func(t testing.TB, dir string) string { return componenttest.Digest(t, dir) },
		Merges: true,
		Every:  4,
	})
}
