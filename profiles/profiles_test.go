package profiles_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"lifeboat/internal/host"
	"lifeboat/internal/host/hosttest"
	"lifeboat/internal/profile"
	"lifeboat/profiles"
)

func load(t *testing.T, name string) (*profile.Registry, *profile.Profile) {
	t.Helper()
	r := registry()
	p, err := profile.Catalogue{Registry: r, Shipped: profiles.FS}.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

func TestShippedProfilesLoad(t *testing.T) {
	entries, err := profile.Catalogue{Registry: registry(), Shipped: profiles.FS}.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatal("the catalogue is empty")
	}
	for _, e := range entries {
		if e.Err != nil {
			t.Errorf("%s:\n%v", e.Name, e.Err)
			continue
		}
		for _, c := range e.Profile.Components {
			if c.Title == "" {
				t.Errorf("%s: component %s has no title", e.Name, c.Name)
			}
			if c.Importance == profile.Optional && c.Capture != profile.Live {
				t.Errorf("%s: %s is optional and yet keeps the system stopped", e.Name, c.Name)
			}
		}
	}
}

func TestShippedProfilesFitTheSchema(t *testing.T) {
	text, err := profile.Schema(registry())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("profile.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("profile.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no profiles: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := yaml.Load(text, &tree); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func resolve(t *testing.T, r *profile.Registry, p *profile.Profile, h *host.Host) profile.Scope {
	t.Helper()
	ctx := context.Background()
	scope := profile.Scope{Host: h}
	settings, err := r.Resolve(ctx, p, scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	scope.Settings = settings
	if scope.Facts, err = r.Facts(ctx, p, scope); err != nil {
		t.Fatal(err)
	}
	return scope
}

const smtConf = `[NU]
NUUrl=https://nu.novell.com/
NUUser=org
NUPass=p#;"x
[DB]
config=DBI:mysql:database=smt2;host=localhost;mysql_socket=/run/smt.sock
user=smtadm
pass=se=cret #1
[LOCAL]
MirrorTo=/data/htdocs
mirror_preunlock_hook=/opt/hooks/before --now
signingKeyID=
`

func TestSMTReadsTheSystem(t *testing.T) {
	r, p := load(t, "smt")
	h := hosttest.With(t, map[string]string{
		"/etc/smt.conf":                            smtConf,
		"/etc/smt.d/vhost-ssl.conf":                "<VirtualHost *:443>\n\tSSLCertificateFile /etc/ssl/own/cert.pem\n\tSSLCertificateKeyFile /etc/ssl/own/key.pem\n",
		"/usr/lib/perl5/vendor_perl/5.18.2/SMT.pm": "package SMT;\n$SCHEMA_VERSION = 3.09;\n",
		"/usr/sbin/smt-db-backup.sh":               "rcsmt stop\nmysqldump -uroot -psecret smt > /b/smt.sql\nrcsmt start\n",
	})
	scope := resolve(t, r, p, h)
	for name, want := range map[string]string{
		"mirror_to": "/data/htdocs", "db_name": "smt2", "db_socket": "/run/smt.sock", "db_port": "", "db_user": "smtadm",
		"db_password": "se=cret #1", "smt_user": "smt", "hook_before": "/opt/hooks/before", "hook_after": "",
		"server_certificate": "/etc/ssl/own/cert.pem", "server_key": "/etc/ssl/own/key.pem",
	} {
		if scope.Settings[name] != want {
			t.Errorf("%s is %q, want %q", name, scope.Settings[name], want)
		}
	}
	for name, want := range map[string]string{"line": "12", "schema": "3.09"} {
		if scope.Facts[name] != want {
			t.Errorf("fact %s is %q, want %q", name, scope.Facts[name], want)
		}
	}
	for name, value := range p.Public(scope.Settings) {
		if strings.Contains(value, "cret") {
			t.Errorf("the public setting %s holds a secret", name)
		}
	}
	notices, err := r.Notices(context.Background(), p, scope, false)
	if err != nil || len(notices) != 2 {
		t.Fatalf("notices: %q, %v", notices, err)
	}
	if !strings.Contains(notices[0], "000019508") || !strings.Contains(notices[1], "smt-db-backup.sh") {
		t.Errorf("notices: %q", notices)
	}
	found, _, err := r.Detect(context.Background(), p, profile.Scope{Host: h})
	if err != nil || !found {
		t.Errorf("detect: %v, %v", found, err)
	}
}

// Everything that article 7004986 names is in the profile, and in its order.
func TestSMTFollowsTheArticle(t *testing.T) {
	_, p := load(t, "smt")
	for name, importance := range map[string]profile.Importance{
		"certificate-authority": profile.Critical, "network": profile.Recommended, "apache": profile.Recommended,
		"configuration": profile.Critical, "credentials": profile.Critical, "database": profile.Critical,
		"cron-table": profile.Recommended, "package-tree": profile.Optional,
	} {
		c, ok := p.Component(name)
		if !ok || c.Importance != importance {
			t.Errorf("component %s: %v %s", name, ok, c.Importance)
		}
		if c.Capture == profile.Live != (name == "package-tree") {
			t.Errorf("component %s is captured %s", name, c.Capture)
		}
	}
	var order []string
	for _, stage := range p.Recovery.Stages() {
		for _, s := range stage.Steps {
			name := stage.Name + " " + s.Type + " " + s.ID
			if of := components(s); len(of) > 0 {
				name = stage.Name + " " + s.Type + " " + strings.Join(of, "")
			}
			order = append(order, strings.Join(strings.Fields(name), " "))
		}
	}
	at := -1
	for _, want := range []string{
		"prepare restore credentials", "prepare confirm registered", "prepare run updated", "prepare reboot",
		"prepare run installed", "prepare confirm wizard", "prepare run smt-updated",
		"restore restore certificate-authority", "restore confirm exported", "restore restore package-tree",
		"restore acl", "restore owner", "restore restore database", "restore merge configuration",
		"start system", "synchronize run", "verify run mirror", "verify confirm client",
	} {
		i := slices.Index(order, want)
		if i <= at {
			t.Errorf("%q is at %d, not after %d:\n%s", want, i, at, strings.Join(order, "\n"))
		}
		at = i
	}
}

func components(s profile.Step) []string {
	if d := registry().Steps[s.Type]; d.Components != nil && d.Restores {
		return d.Components(s.Options)
	}
	return nil
}

// Without systemd's smt.target it is rcsmt that stops and starts SMT.
func TestSMTBeforeSystemd(t *testing.T) {
	r, p := load(t, "smt")
	h := hosttest.With(t, map[string]string{"/etc/smt.conf": smtConf, "/etc/cron.d/novell.com-smt": "", "/sbin/chkconfig": ""})
	scope := resolve(t, r, p, h)
	for name, list := range map[string][]profile.Command{"rcsmt stop": p.Quiesce.Stop, "rcsmt start": p.Quiesce.Start} {
		got, err := profile.Commands(list, scope)
		if err != nil || len(got) != 1 || strings.Join(got[0], " ") != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if running, why, err := r.Holds(context.Background(), *p.Quiesce.Running, scope); err != nil || !running {
		t.Errorf("running: %v (%s), %v", running, why, err)
	}
}

func TestRMTReadsTheSystem(t *testing.T) {
	r, p := load(t, "rmt")
	h := hosttest.With(t, map[string]string{
		"/etc/rmt.conf": "database:\n  host: db.example\n  database: rmt\n  username: rmt\n  password: \"a: #b\"\nscc:\n  username:\n",
	})
	scope := resolve(t, r, p, h)
	for name, want := range map[string]string{"db_host": "db.example", "db_name": "rmt", "db_password": "a: #b", "db_port": ""} {
		if scope.Settings[name] != want {
			t.Errorf("%s is %q, want %q", name, scope.Settings[name], want)
		}
	}
	notices, err := r.Notices(context.Background(), p, scope, false)
	if err != nil || len(notices) != 1 || !strings.Contains(notices[0], "db.example") {
		t.Errorf("notices: %q, %v", notices, err)
	}
}

// The example in the guide is one that loads.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(guide), "```yaml\n")
	example, _, closed := strings.Cut(example, "```")
	if !ok || !closed {
		t.Fatal("the guide has no example")
	}
	if _, err := registry().Load("docs/profiles.md", []byte(example)); err != nil {
		t.Error(err)
	}
	for name := range registry().Predicates {
		if !strings.Contains(string(guide), "{"+name+":") {
			t.Errorf("the guide leaves out the predicate %s", name)
		}
	}
	for name := range profile.NewRegistry().Sources {
		if !strings.Contains(string(guide), "{"+name+":") {
			t.Errorf("the guide leaves out the source %s", name)
		}
	}
	for name := range registry().Steps {
		if !strings.Contains(string(guide), "`"+name+": ") {
			t.Errorf("the guide leaves out the step %s", name)
		}
	}
}
