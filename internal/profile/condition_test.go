package profile

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lifeboat/internal/host"

	"lifeboat/internal/host/hosttest"
)

// parse loads one condition by way of a whole profile.
func parse(t *testing.T, r *Registry, text string) Condition {
	t.Helper()
	p, err := r.Load("app.yaml", []byte(strings.Replace(good, "{any: [{file: /etc/app.conf}, {package: app}]}", text, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return *p.Detect
}

func TestConditions(t *testing.T) {
	h := hosttest.With(t, map[string]string{
		"/etc/app.conf": "port = 80\nname = x\n",
		"/etc/passwd":   "root:x:0:0::/root:/bin/sh\nsmt:x:480:8::/var/lib/smt:/bin/false\n",
		"/etc/group":    "www:x:8:\n",
		"/data/f":       "",
	})
	if err := os.Mkdir(filepath.Join(h.Root(), "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	scope := Scope{
		Host:     h,
		Settings: map[string]string{"root": "/data", "db": "app", "tree": "", "password": "secret", "dsn": "x"},
		Facts:    map[string]string{"version": "2.0.1"},
	}
	r := testRegistry()
	for text, want := range map[string]bool{
		"{file: /etc/app.conf}":                true,
		"{file: '${root}/f'}":                  true,
		"{file: /data}":                        false,
		"{file: /none}":                        false,
		"{dir: /data}":                         true,
		"{dir: {dir: /data, not_empty: true}}": true,
		"{dir: /empty, not_empty: true}":       false,
		"{dir: /etc/app.conf}":                 false,
		"{user: smt}":                          true,
		"{user: nobody-such}":                  false,
		"{group: www}":                         true,
		"{group: none}":                        false,
		"{package: app}":                       false,
		"{service: app}":                       false,
		"{lock: /run/none.pid}":                false,
		"{text: {file: /etc/app.conf, matches: '^name = \\w$'}}":      true,
		"{text: {file: /etc/app.conf, matches: '^80'}}":               false,
		"{text: {file: /none, matches: x}}":                           false,
		"{setting: db}":                                               true,
		"{setting: db, equals: app}":                                  true,
		"{setting: db, equals: other}":                                false,
		"{setting: db, matches: '^a.p$'}":                             true,
		"{setting: tree}":                                             false,
		"{command: [no-such-program]}":                                false,
		"{expr: 'at_least(facts.version, \"2.0\")'}":                  true,
		"{expr: 'settings.db == \"x\" or file(\"/etc/app.conf\")'}":   true,
		"{expr: 'program(\"none\") or unit(\"x\") or active(\"x\")'}": false,
		"{not: {file: /none}}":                                        true,
		"{any: [{file: /none}, {user: smt}]}":                         true,
		"{any: [{file: /none}, {file: /none2}]}":                      false,
		"{all: [{file: /etc/app.conf}, {not: {user: smt}}]}":          false,
		"{all: [{user: smt}, {any: [{group: www}]}]}":                 true,
	} {
		got, why, err := r.Holds(context.Background(), parse(t, r, text), scope)
		if err != nil || got != want || why == "" {
			t.Errorf("%s: %v (%s), %v", text, got, why, err)
		}
		if strings.Contains(why, "secret") {
			t.Errorf("%s tells a secret: %s", text, why)
		}
	}
}

// A condition that cannot be decided does not hide one that holds.
func TestAnyWithAnError(t *testing.T) {
	r := testRegistry()
	scope := Scope{Host: hosttest.With(t, map[string]string{"/etc/app.conf": ""})}
	c := parse(t, r, "{any: [{text: {file: /etc, matches: x}}, {file: /etc/app.conf}]}")
	if holds, _, err := r.Holds(context.Background(), c, scope); err != nil || !holds {
		t.Errorf("%v, %v", holds, err)
	}
	c = parse(t, r, "{any: [{text: {file: /etc, matches: x}}, {file: /none}]}")
	if holds, _, err := r.Holds(context.Background(), c, scope); err == nil || holds {
		t.Errorf("%v, %v", holds, err)
	}
	c = parse(t, r, "{not: {text: {file: /etc, matches: x}}}")
	if holds, _, err := r.Holds(context.Background(), c, scope); err == nil || holds {
		t.Errorf("not: %v, %v", holds, err)
	}
}

func TestConditionsOnThisMachine(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := testRegistry()
	scope := Scope{Host: host.Local()}
	for text, want := range map[string]bool{
		"{command: ['true']}":                              true,
		"{command: ['false']}":                             false,
		"{command: {run: [echo, hello], matches: '^hel'}}": true,
		"{command: {run: [echo, hello], matches: '^lo'}}":  false,
		"{lock: " + pid + "}":                              true,
		"{lock: " + pid + ", program: no-such-program}":    false,
	} {
		got, why, err := r.Holds(context.Background(), parse(t, r, text), scope)
		if err != nil || got != want {
			t.Errorf("%s: %v (%s), %v", text, got, why, err)
		}
	}
}

func TestCommands(t *testing.T) {
	scope := Scope{Settings: map[string]string{"db": "a b"}, Facts: map[string]string{"version": "1.0"}}
	list := []Command{
		{Run: []string{"app", "stop", "${db}"}},
		{Run: []string{"new"}, When: `at_least(facts.version, "2.0")`},
		{Run: []string{"old"}, When: `not at_least(facts.version, "2.0")`},
	}
	got, err := Commands(list, scope)
	if err != nil || len(got) != 2 || got[0][2] != "a b" || got[1][0] != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Commands([]Command{{Run: []string{"${none}"}}}, scope); err == nil {
		t.Error("a command without its setting must not run")
	}
	if _, err := Commands([]Command{{Run: []string{"x"}, When: "1"}}, scope); err == nil {
		t.Error("a command without a condition must not run")
	}
}
