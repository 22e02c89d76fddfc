package guard

import (
	"os"
	"strings"
	"testing"

	"lifeboat/internal/host"
)

func TestRecordsThatCannotBeTrusted(t *testing.T) {
	for name, text := range map[string]string{
		"torn":         `{"version":1,"system":"smt","start":[["true"`,
		"empty":        "",
		"other system": `{"version":1,"system":"opsi","start":[["true"]]}`,
		"newer":        `{"version":2,"system":"smt","start":[["true"]]}`,
		"no commands":  `{"version":1,"system":"smt"}`,
		"endless":      `{"version":1,"system":"smt","start":[["` + strings.Repeat("x", maxRecord) + `"]]}`,
	} {
		dir := t.TempDir()
		if err := os.Mkdir(recordDir(dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(recordPath(dir, "smt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if started, err := Recover(t.Context(), dir, nil); err == nil || len(started) != 0 {
			t.Errorf("%s: started %v, %v", name, started, err)
		}
		if _, err := Protect(t.Context(), options(dir, "true")); err == nil {
			t.Errorf("%s: protected over it", name)
		}
		if _, err := os.Stat(recordPath(dir, "smt")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := List(t.TempDir()); err != nil || len(all) != 0 {
		t.Errorf("nothing: %v %v", all, err)
	}
}

func TestBootUnit(t *testing.T) {
	for name, c := range map[string]struct {
		have []string
		want map[string]string // path → part of its text, or "→" and its target
	}{
		"systemd": {
			[]string{"/usr/lib/systemd/systemd/"},
			map[string]string{
				"/etc/systemd/system/lifeboat-resume.service":                         "ExecStart=/usr/sbin/lifeboat resume-services\n",
				"/etc/systemd/system/multi-user.target.wants/lifeboat-resume.service": "→/etc/systemd/system/lifeboat-resume.service",
			},
		},
		"debian sysv": {
			[]string{"/etc/init.d/", "/etc/rc2.d/", "/etc/rc5.d/"},
			map[string]string{
				"/etc/init.d/lifeboat-resume":   "exec /usr/sbin/lifeboat resume-services\n",
				"/etc/rc2.d/S99lifeboat-resume": "→/etc/init.d/lifeboat-resume",
				"/etc/rc5.d/S99lifeboat-resume": "→/etc/init.d/lifeboat-resume",
			},
		},
		"suse sysv": {
			[]string{"/etc/init.d/rc3.d/"},
			map[string]string{"/etc/init.d/rc3.d/S99lifeboat-resume": "→/etc/init.d/lifeboat-resume"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			h, err := host.At(root)
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range c.have {
				if err := os.MkdirAll(root+dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := InstallBootUnit(h, "/usr/sbin/lifeboat"); err != nil {
					t.Fatal(err)
				}
				for path, want := range c.want {
					if target, link := strings.CutPrefix(want, "→"); link {
						if got, err := os.Readlink(root + path); err != nil || got != target {
							t.Errorf("%s leads to %q: %v", path, got, err)
						}
					} else if data, err := os.ReadFile(root + path); err != nil || !strings.Contains(string(data), want) {
						t.Errorf("%s: %v\n%s", path, err, data)
					}
				}
			}
		})
	}
	h, err := host.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := InstallBootUnit(h, "/usr/sbin/lifeboat"); err == nil {
		t.Error("a host without any init: no error")
	}
	if err := InstallBootUnit(h, "lifeboat"); err == nil {
		t.Error("a relative path: no error")
	}
}
