package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const good = `
repositories:
  - name: main
    url: /srv/lifeboat
    password: {file: /etc/lifeboat/password}
  - name: away
    url: sftp:backup@example.org:/lifeboat
    password: {command: [pass, show, lifeboat]}
systems:
  - name: smt1
    profile: smt
    repositories: [main, away]
    settings: {mirror_to: "/data/my repo", count: 1}
    components: {package-tree: true, logs: false}
    objectives: {rto: 2h, rpo: 24h}
`

func TestParse(t *testing.T) {
	c, err := Parse("lifeboat.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if c.StateDir != DefaultStateDir {
		t.Errorf("state_dir: %s", c.StateDir)
	}
	s, ok := c.System("smt1")
	if !ok || s.Settings["mirror_to"] != "/data/my repo" || s.Settings["count"] != "1" || !s.Components["package-tree"] || s.Components["logs"] {
		t.Errorf("system: %+v", s)
	}
	if s.Objectives != (Objectives{RTO: 2 * time.Hour, RPO: 24 * time.Hour}) {
		t.Errorf("objectives: %+v", s.Objectives)
	}
	if r, ok := c.Repository("away"); !ok || len(r.Password.Command) != 3 || r.Line != 6 {
		t.Errorf("repository: %+v", r)
	}
	if got := c.SystemNames(); len(got) != 1 || got[0] != "smt1" {
		t.Errorf("names: %v", got)
	}
}

func TestParseProblems(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"unknown key", "profile: smt", "profil: smt", "lifeboat.yaml:11: unknown key profil; did you mean profile?"},
		{"unknown repository", "[main, away]", "[mian]", "system smt1: unknown repository mian; did you mean main?"},
		{"share", "rpo: 24h", "disk: 10", `"10" is no share; write one such as 10%`},
		{"share of nothing", "rpo: 24h", "disk: 0%", "is no share"},
		{"share of more", "rpo: 24h", "disk: 101%", "is no share"},
		{"shares", "rpo: 24h", "disk: [10%]", "must be a single value"},
		{"two ways to a password", "{file: /etc/lifeboat/password}", "{file: /x, env: Y}", "password needs exactly one of"},
		{"password in the open", "{file: /etc/lifeboat/password}", "secret", "must be a mapping"},
		{"relative password file", "/etc/lifeboat/password", "password", `password file "password" is not absolute`},
		{"credential path", "{file: /etc/lifeboat/password}", "{credential: ../x}", "is a name, not a path"},
		{"relative directory", "url: /srv/lifeboat", "url: srv/lifeboat", `the directory "srv/lifeboat" is not absolute`},
		{"twice", "name: away", "name: main", "repository main is there twice; the first is in line 3"},
		{"name", "name: smt1", "name: 'a b'", `system name "a b" may only hold`},
		{"choice", "package-tree: true", "package-tree: yes", `package-tree: "yes" must be true or false`},
		{"cache", "repositories:\n  - name: main\n", "repositories:\n  - name: main\n    cache: {max: much}\n", `max: "much" is no number of bytes`},
		{"no cache", "repositories:\n  - name: main\n", "repositories:\n  - name: main\n    cache: {max: 0}\n", "cache: off"},
		{"cache elsewhere", "repositories:\n  - name: main\n", "repositories:\n  - name: main\n    cache: {dir: here}\n", `"here" is not absolute`},
		{"objective", "rto: 2h", "rto: soon", "rto"},
		{"negative objective", "rto: 2h", "rto: -2h", `"-2h" is no duration`},
		{"kit", "systems:", "kit: {elsewhere: [{what: CA password}]}\nsystems:", "who is missing"},
		{"state", "systems:", "state_dir: here\nsystems:", `state_dir "here" is not absolute`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(good, test.old, test.new, 1)
			if text == good {
				t.Fatal("the test changes nothing")
			}
			_, err := Parse("lifeboat.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want %q, got %v", test.want, err)
			}
		})
	}
}

func TestWriteThenLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "lifeboat.yaml")
	want := &Config{
		Repositories: []Repository{{Name: "main", URL: "/srv/a b: #c", Password: Password{File: "/etc/lifeboat/password"}, Cache: Cache{Off: true}}},
		Systems: []System{
			{Name: "smt", Profile: "smt", Repositories: []string{"main"}, Settings: map[string]string{"x": "yes", "y": "a: b # c\n"}, Components: map[string]bool{"package-tree": true}},
			{Name: "rmt", Profile: "rmt"},
		},
		Kit:      Kit{Elsewhere: []Elsewhere{{What: "CA password", Who: "Jürgen: room 3 # left"}}},
		StateDir: "/var/lib/lifeboat",
	}
	if err := Write(file, want); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	got, err := Load(file)
	if err != nil {
		text, _ := os.ReadFile(file)
		t.Fatalf("%v\n%s", err, text)
	}
	for i := range got.Repositories {
		got.Repositories[i].Line = 0
	}
	for i := range got.Systems {
		got.Systems[i].Line = 0
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := Write(file, want); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an existing file: %v", err)
	}
	if _, err := Parse("x", mustFormat(t, &Config{Repositories: want.Repositories, StateDir: "/x"})); err != nil {
		t.Errorf("without systems: %v", err)
	}
}

func mustFormat(t *testing.T, c *Config) []byte {
	t.Helper()
	text, err := Format(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	file := filepath.Join(dir, "lifeboat.yaml")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(good, 0o666)
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("writable by all: %v", err)
	}
	secret := strings.Replace(good, "sftp:backup@example.org:/lifeboat", "rest:https://me:secret@example.org/x", 1)
	write(secret, 0o644)
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "lifeboat.yaml:6:") || strings.Contains(err.Error(), "secret") {
		t.Errorf("password in the URL: %v", err)
	}
	write(secret, 0o600)
	if _, err := Load(file); err != nil {
		t.Errorf("password in the URL, private file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := Parse("fuzz.yaml", []byte(text)); (c == nil) == (err == nil) {
			t.Errorf("config %v, error %v", c, err)
		}
	})
}

func TestSavedElsewhere(t *testing.T) {
	with := func(text string) []byte {
		return []byte(strings.Replace(good, "profile: smt", "profile: smt\n    saved_elsewhere: "+text, 1))
	}
	c, err := Parse("lifeboat.yaml", with("[/mnt/share, /srv/other]"))
	if err != nil || len(c.Systems[0].SavedElsewhere) != 2 {
		t.Fatal(err)
	}
	again, err := Parse("again", mustFormat(t, c))
	if err != nil || !slices.Equal(again.Systems[0].SavedElsewhere, c.Systems[0].SavedElsewhere) {
		t.Error(err)
	}
	for _, text := range []string{"[share]", "[/]", "[/mnt/../etc]", "[/mnt/]"} {
		if _, err := Parse("lifeboat.yaml", with(text)); err == nil || !strings.Contains(err.Error(), "is no absolute path below /") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestObjectives(t *testing.T) {
	c, err := Parse("lifeboat.yaml", []byte(strings.Replace(good, "rpo: 24h", "rpo: 24h, drill: 3mo, kit: 1y, certificate: 6w, disk: 2.5%", 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := Objectives{RTO: 2 * time.Hour, RPO: 24 * time.Hour, Drill: Span{Months: 3}, Kit: Span{Years: 1}, Certificate: Span{Days: 42}, Disk: 0.025}
	if got := c.Systems[0].Objectives; got != want || got.Disk.String() != "2.5%" {
		t.Errorf("%+v", got)
	}
}
