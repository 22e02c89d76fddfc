package gather

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/rescue/configuration"
)

const secret = "correct-horse-battery"

// gathered is what a host with files of all sorts gives.
func gathered(t *testing.T, url string) *Gathered {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lifeboat")
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	put("lifeboat.yaml", "repositories:\n  - name: main\n    url: "+url+"\n    password: {file: "+dir+"/password}\n  - {name: unused, url: /unused}\nsystems:\n  - {name: smt, profile: smt}\n", 0o600)
	put("password", secret, 0o600)
	put("profiles/site.yaml", "profile: site\n", 0o644)
	put("world-readable", secret, 0o644)
	put("agent/host.key", secret, 0o600)
	put("fleet/age.key", "the server's own", 0o600)
	file := filepath.Join(dir, "lifeboat.yaml")
	conf, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Gather(context.Background(), Source{
		Config: conf, File: file, Host: host.Local(),
		Digest: func(string) string { return "digest" },
		Password: func(_ context.Context, r config.Repository) ([]byte, error) {
			if r.Name != "main" {
				return nil, errors.New("not asked for")
			}
			return []byte(secret), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func paths(files []configuration.File) (list []string) {
	for _, f := range files {
		list = append(list, f.Path)
	}
	return list
}

func TestSecretsStayInTheSecretHalf(t *testing.T) {
	for _, url := range []string{"/backup", "rest:https://smt1:" + secret + "@backup.example.com/smt1/"} {
		g := gathered(t, url)
		g.Open.Format = configuration.Format
		text, err := g.Open.Encode()
		if err != nil {
			t.Fatal(err)
		}
		open, err := configuration.ParseOpen(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range open.Files {
			text = append(text, f.Content...) // in JSON they are base64
		}
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte("the server's own")) {
			t.Errorf("%s: there is a secret in the open half: %v", url, paths(open.Files))
		}
		if g.Secret.Passwords["main"] != secret || len(g.Secret.Passwords) != 1 {
			t.Errorf("passwords: %v", g.Secret.Passwords)
		}
		secrets := paths(g.Secret.Files)
		for _, want := range []string{"/etc/lifeboat/password", "/etc/lifeboat/world-readable", "/etc/lifeboat/agent/host.key"} {
			if !slices.Contains(secrets, want) {
				t.Errorf("%s is not among %v", want, secrets)
			}
		}
		for _, f := range g.Secret.Files {
			if f.Mode&0o077 != 0 || strings.Contains(f.Path, "/fleet/") {
				t.Errorf("%s has %v", f.Path, f.Mode)
			}
		}
		openly := slices.Contains(paths(g.Open.Files), "/etc/lifeboat/lifeboat.yaml")
		if openly != (url == "/backup") || openly == slices.Contains(secrets, "/etc/lifeboat/lifeboat.yaml") {
			t.Errorf("%s: lifeboat.yaml: open %t, secrets %v", url, openly, secrets)
		}
		if !slices.Contains(paths(g.Open.Files), "/etc/lifeboat/profiles/site.yaml") {
			t.Errorf("%v", paths(g.Open.Files))
		}
		if len(g.Open.Repositories) != 1 || g.Open.Systems[0].Digest != "digest" {
			t.Errorf("%+v %+v", g.Open.Repositories, g.Open.Systems)
		}
	}
}

func TestAHostWithoutSystemsHasNone(t *testing.T) {
	g, err := Gather(context.Background(), Source{Config: &config.Config{}, Host: host.Local()})
	if g != nil || err != nil {
		t.Error(g, err)
	}
}
