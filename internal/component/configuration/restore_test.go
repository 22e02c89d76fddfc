package configuration_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/component/configuration"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

// machine is a root directory with some files, as a host.
func machine(t *testing.T, texts map[string]string) *host.Host {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, texts)
	h, err := host.At(dir)
	must(t, err)
	return h
}

func make1(t *testing.T, h *host.Host, secret bool, o configuration.Options) *configuration.Component {
	t.Helper()
	c, err := configuration.Kind().New(component.Env{Host: h, Run: "r1", State: filepath.Join(t.TempDir(), "s")},
		profile.Component{Name: "settings", Kind: "configuration", Secret: secret, Options: &o})
	must(t, err)
	return c.(*configuration.Component)
}

// captured stores the component and returns the point.
func captured(t *testing.T, c *configuration.Component) (component.Source, component.Record) {
	t.Helper()
	var record component.Record
	source := componenttest.NewStore(t).Save(t, func(ctx context.Context, sink component.Sink) error {
		got, err := c.Capture(ctx, sink)
		if err != nil {
			return err
		}
		record.Paths, record.Streams = got.Paths, got.Streams
		record.Detail, err = json.Marshal(got.Detail)
		return err
	})
	return source, record
}

func read(t *testing.T, h *host.Host, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Root(), path))
	if os.IsNotExist(err) {
		return "absent"
	}
	must(t, err)
	return string(text)
}

func TestThreeWay(t *testing.T) {
	status := "Package: smt\nConffiles:\n /etc/plain.xml 5d41402abc4b2a76b9719d911017c592\n /etc/mine.xml 00000000000000000000000000000000\nDescription: x\n"
	old := machine(t, map[string]string{
		"etc/smt.conf": "[DB]\npass=s3cret\nuser=smt\n", "etc/plain.xml": "hello", "etc/mine.xml": "<mine/>\n", "etc/both.xml": "saved\npassword=s3cret\n",
		"etc/default.conf": "[a]\nx=1\ny=mine\n", "usr/share/default.conf": "[a]\nx=1\ny=1\n", "etc/smt.d/added.conf": "added\n", "etc/smt.d/same.conf": "same\n",
		"etc/cron.d/smt": "* * * * * root old\n", "var/lib/dpkg/status": status,
	})
	fresh := machine(t, map[string]string{
		"etc/smt.conf": "# smt\n[DB]\nuser=smt\npass=w1zard\nnew=1\n", "etc/plain.xml": "newer", "etc/mine.xml": "<fresh/>\n", "etc/both.xml": "fresh\n",
		"etc/default.conf": "[a]\nx=2\ny=1\n", "usr/share/default.conf": "[a]\nx=2\ny=1\n", "etc/smt.d/only-fresh.conf": "fresh\n", "etc/smt.d/same.conf": "same\n",
		"etc/cron.d/smt":      "* * * * * root fresh\n",
		"var/lib/dpkg/status": "Package: smt\nConffiles:\n /etc/mine.xml 7b64238377b270e57b01e782f63d51db\n",
	})
	options := configuration.Options{
		Paths:   []string{"/etc/*.conf", "/etc/*.xml", "/etc/smt.d", "/etc/cron.d/smt"},
		Shipped: map[string]string{"/etc/default.conf": "/usr/share/default.conf"},
	}
	source, record := captured(t, make1(t, old, false, options))
	c := make1(t, fresh, false, options)

	lines, err := c.Plan(t.Context(), source, record)
	must(t, err)
	plan := strings.Join(lines, "\n")
	for _, want := range []string{
		"/etc/plain.xml: keep fresh", "/etc/smt.conf: merge", "/etc/both.xml: saved, both were changed", "/etc/smt.d/added.conf: add",
		`[DB] pass: saved "••••", fresh "••••": saved`, "-fresh", "+saved",
	} {
		if !strings.Contains(plan, want) {
			t.Errorf("plan does not tell %q", want)
		}
	}
	for _, never := range []string{"s3cret", "w1zard", "same.conf"} {
		if strings.Contains(plan, never) {
			t.Errorf("plan tells %q", never)
		}
	}
	if t.Failed() {
		t.Log("\n" + plan)
	}
	if got := read(t, fresh, "etc/smt.conf"); !strings.Contains(got, "w1zard") {
		t.Fatal("Plan changed something")
	}

	var warnings []string
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record, Warn: func(m string) { warnings = append(warnings, m) }}))
	for path, want := range map[string]string{
		"etc/smt.conf":                       "# smt\n[DB]\nuser=smt\npass=s3cret\nnew=1\n",
		"etc/smt.conf.lifeboat-fresh":        "# smt\n[DB]\nuser=smt\npass=w1zard\nnew=1\n",
		"etc/plain.xml":                      "newer", // the saved one was as shipped
		"etc/plain.xml.lifeboat-fresh":       "absent",
		"etc/mine.xml":                       "<mine/>\n",
		"etc/mine.xml.lifeboat-fresh":        "absent",
		"etc/both.xml":                       "saved\npassword=s3cret\n",
		"etc/both.xml.lifeboat-fresh":        "fresh\n",
		"etc/default.conf":                   "[a]\nx=2\ny=mine\n",
		"etc/default.conf.lifeboat-fresh":    "absent", // the fresh one is as shipped
		"etc/smt.d/added.conf":               "added\n",
		"etc/smt.d/only-fresh.conf":          "fresh\n",
		"etc/smt.d/same.conf":                "same\n",
		"etc/cron.d/smt":                     "* * * * * root old\n",
		"etc/cron.d/smt.lifeboat-fresh":      "absent", // cron would run it
		"etc/cron.d/.smt.lifeboat-fresh":     "* * * * * root fresh\n",
		"etc/smt.d/same.conf.lifeboat-fresh": "absent",
	} {
		if got := read(t, fresh, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if all := strings.Join(warnings, "\n"); strings.Contains(all, "s3cret") || !strings.Contains(all, "both.xml") {
		t.Errorf("warnings: %s", all)
	}
	checks, err := c.Check(t.Context(), record)
	must(t, err)
	decided := ""
	for _, check := range checks {
		if !check.OK {
			t.Errorf("check after restore: %+v", check)
		}
		decided += check.Name + " " + check.Found + "\n"
	}
	if want := "settings: /etc/smt.conf saved: [DB] pass; the fresh file is kept as /etc/smt.conf.lifeboat-fresh"; !strings.Contains(decided, want) || strings.Contains(decided, "s3cret") {
		t.Errorf("the checks do not tell %q:\n%s", want, decided)
	}
	must(t, os.WriteFile(filepath.Join(fresh.Root(), "etc/smt.conf"), []byte("changed"), 0o600))
	checks, err = c.Check(t.Context(), record)
	must(t, err)
	if checks[1].OK || !strings.Contains(checks[1].Hint, "/etc/smt.conf") {
		t.Errorf("a changed file passes: %+v", checks)
	}
}

func TestSecretComponentShowsNothing(t *testing.T) {
	options := configuration.Options{Paths: []string{"/etc"}}
	source, record := captured(t, make1(t, machine(t, map[string]string{"etc/a": "[a]\nx=hidden1\n", "etc/b": "hidden2\n"}), true, options))
	fresh := make1(t, machine(t, map[string]string{"etc/a": "[a]\nx=hidden3\n", "etc/b": "hidden4\n"}), true, options)
	lines, err := fresh.Plan(t.Context(), source, record)
	must(t, err)
	if plan := strings.Join(lines, "\n"); strings.Contains(plan, "hidden") || !strings.Contains(plan, "/etc/b") {
		t.Errorf("plan of a secret component:\n%s", plan)
	}
}

// A link of the machine in the place of a directory stays; what it leads to is adapted.
func TestLinkedDirectory(t *testing.T) {
	old := machine(t, map[string]string{"/etc/dhcp/dhcpd.conf": "saved\n"})
	o := configuration.Options{Paths: []string{"/etc/dhcp"}}
	source, record := captured(t, make1(t, old, false, o))
	h := machine(t, map[string]string{"/srv/dhcp/dhcpd.conf": "fresh\n", "/etc/hostname": "new\n"})
	must(t, os.Symlink("/srv/dhcp", filepath.Join(h.Root(), "/etc/dhcp")))
	c := make1(t, h, false, o)
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record}))
	if to, err := os.Readlink(filepath.Join(h.Root(), "/etc/dhcp")); err != nil || to != "/srv/dhcp" || read(t, h, "/srv/dhcp/dhcpd.conf") != "saved\n" {
		t.Errorf("the link leads to %q (%v), behind it is %q", to, err, read(t, h, "/srv/dhcp/dhcpd.conf"))
	}
	must(t, c.Rollback(t.Context()))
	if got := read(t, h, "/srv/dhcp/dhcpd.conf"); got != "fresh\n" {
		t.Errorf("rolled back: %q", got)
	}
}
