package gather

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/rescue/configuration"
)

// planted stands wherever somebody may have written a secret. In every place another
// word follows it, so that a failure says where.
const planted = "planted-"

// yaml has a secret in each of its places.
const yaml = `# the password was planted-remark until May
state_dir: /var/lib/planted-state
repositories:
  - name: main
    url: URL
    password: {command: [printf, "%s", planted-password]}
STORE
  - {name: unused, url: /unused}
systems:
  - name: smt
    profile: smt
    settings: {password: planted-setting}
    hooks:
      before: [{command: [curl, -H, "Authorization: planted-before", "https://planted-host.example.com/"]}]
      after: [{command: [sh, -c, "echo planted-after"], on_failure: warn}]
      components:
        database: {before: [{command: [mysql, -pplanted-component]}]}
    saved_elsewhere: [/planted-elsewhere]
notices:
  - {name: chat, webhook: {url: "https://chat.example.com/planted-webhook", token: {command: [echo, planted-token]}}}
  - {name: watch, ping: {url: "https://ping.example.com/planted-ping"}}
`

const profile = `# planted-profile-remark
profile: site
title: planted-title
detect: {file: /}
quiesce: {stop: ["ctl --password planted-stop"], start: ["ctl planted-start"]}
components:
  - {name: documents, kind: files, importance: critical, capture: live, loss: All., paths: [/srv]}
recovery:
  restore: [{restore: documents}, {run: [mysql, -pplanted-run], repeat: safe}]
`

// store is what a store of a scheme may have.
func store(url string) string {
	switch scheme, _, _ := strings.Cut(url, ":"); scheme {
	case "rest":
		return "    rest: {user: planted-user, password: {command: [echo, planted-rest]}}"
	case "s3":
		return "    s3: {access_key: planted-access, secret_key: {command: [echo, planted-s3]}}"
	case "sftp":
		return "    sftp: {password: {command: [echo, planted-sftp]}}"
	}
	return "    # planted-nothing"
}

// gathered is what a host with files of all sorts gives.
func gathered(t *testing.T, url string) (*Gathered, map[string]string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lifeboat")
	files := map[string]string{
		"lifeboat.yaml":      strings.NewReplacer("URL", url, "STORE", store(url)).Replace(yaml),
		"profiles/site.yaml": profile, "profiles/old/site.yaml.bak": profile,
		"rescue.yaml": "# planted-medium\n", "password": planted + "file", "world-readable": planted + "readable",
		"agent/host.key": planted + "key", "hooks/dump.sh": "#!/bin/sh\ncurl planted-script\n", ".hidden": planted + "hidden",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "fleet"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fleet/age.key"), []byte("the server's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "lifeboat.yaml")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Gather(context.Background(), Source{
		Config: conf, File: file, Host: host.Local(),
		Password: func(_ context.Context, r config.Repository) ([]byte, error) {
			if r.Name != "main" {
				return nil, errors.New("not asked for")
			}
			return []byte(planted + "printed"), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, files
}

func TestNothingThatSomebodyWroteIsOpen(t *testing.T) {
	for url, location := range map[string]string{
		"/backup": "/backup",
		"rest:https://smt1:planted-url@backup.example.com/smt1/?key=planted-query": "rest:https://backup.example.com/smt1/",
		"rest:https://planted-bearer@backup.example.com/smt1/":                     "rest:https://backup.example.com/smt1/",
		"s3:https://s3.example.com/bucket/smt1":                                    "s3:https://s3.example.com/bucket/smt1",
		"sftp:backup@backup.example.com:/srv/smt1":                                 "sftp:backup@backup.example.com:/srv/smt1",
	} {
		g, files := gathered(t, url)
		g.Open.Format = configuration.Format
		text, err := g.Open.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(text, []byte(planted)); i >= 0 || len(g.Open.Files) > 0 {
			t.Errorf("%s: there is a secret in the open half: %s", url, text)
		}
		if got := g.Open.Repositories; len(got) != 1 || got[0].Location != location || g.Open.Systems[0].Digest != "" {
			t.Errorf("%+v %+v", got, g.Open.Systems)
		}
		if len(g.Missing) > 0 {
			t.Errorf("nothing is missing but %v", g.Missing)
		}
		if g.Secret.Passwords["main"] != planted+"printed" || len(g.Secret.Passwords) != 1 {
			t.Errorf("passwords: %v", g.Secret.Passwords)
		}
		for _, f := range g.Secret.Files {
			name, ours := strings.CutPrefix(f.Path, Home+"/")
			if !ours {
				continue
			}
			if name == "rescue.yaml" || files[name] != string(f.Content) || f.Mode&0o077 != 0 {
				t.Errorf("%s has %v and %q", f.Path, f.Mode, f.Content)
			}
			delete(files, name)
		}
		if delete(files, "rescue.yaml"); len(files) > 0 {
			t.Errorf("not in the secret half: %v", files)
		}
	}
}

func TestAHostWithoutSystemsHasNone(t *testing.T) {
	g, err := Gather(context.Background(), Source{Config: &config.Config{}, Host: host.Local()})
	if g != nil || err != nil {
		t.Error(g, err)
	}
}

// What a recovery would lack is told apart from the rest.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lifeboat.yaml")
	key := filepath.Join(dir, "elsewhere.key") // no place where a rescue system puts anything
	text := "repositories:\n  - name: main\n    url: sftp:backup@example.com:/srv\n    password: {command: [\"false\"]}\n    sftp: {key_file: " + key + "}\nsystems: [{name: smt, profile: smt}]\n"
	for name, content := range map[string]string{file: text, key: "key"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Gather(t.Context(), Source{
		Config: conf, File: file, Host: host.Local(),
		Password: func(context.Context, config.Repository) ([]byte, error) { return nil, errors.New("nobody says it") },
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(g.Missing, "\n"); len(g.Missing) != 2 || !strings.Contains(all, key+" is not in it: ") || !strings.Contains(all, "password of repository main is not in it: nobody says it") {
		t.Errorf("%q", g.Missing)
	}
}
