package profile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/strict"
)

// testFiles and the like stand for kinds and step types of other packages.
type testFiles struct {
	Paths   []string `yaml:"paths" jsonschema:"required"`
	Exclude []string `yaml:"exclude,omitempty"`
	InPlace bool     `yaml:"in_place,omitempty"`
}

type testDatabase struct {
	Database string `yaml:"database" jsonschema:"required"`
	Password string `yaml:"password,omitempty"`
}

type testRestore struct {
	Component string `yaml:"component" short:"true" jsonschema:"required"`
}

type testRun struct {
	Command []string `yaml:"command" short:"true" jsonschema:"required"`
	Log     string   `yaml:"log,omitempty"`
}

type testCheck struct {
	FilesEqual []string   `yaml:"files_equal,omitempty"`
	Condition  *Condition `yaml:"condition,omitempty"`
}

type testConfirm struct {
	Text string `yaml:"text" short:"true" jsonschema:"required"`
}

func testRegistry() *Registry {
	r := NewRegistry()
	r.Kinds["files"] = Definition{Summary: "files", Options: func() any { return new(testFiles) }}
	r.Kinds["mysql"] = Definition{Summary: "a database", Options: func() any { return new(testDatabase) }}
	r.Steps["restore"] = Definition{
		Options:    func() any { return new(testRestore) },
		Components: func(o any) []string { return []string{o.(*testRestore).Component} },
		Restores:   true,
	}
	r.Steps["run"] = Definition{Options: func() any { return new(testRun) }}
	r.Steps["check"] = Definition{Options: func() any { return new(testCheck) }}
	r.Steps["confirm"] = Definition{Options: func() any { return new(testConfirm) }}
	r.Compares["app-schema"] = "compares schemas"
	return r
}

const good = `
profile: app
title: The application
detect: {any: [{file: /etc/app.conf}, {package: app}]}
settings:
  root: {ini: /etc/app.conf, section: MAIN, key: Root, default: /srv/app}
  tree: {value: "${root}/tree"}
  dsn: {ini: {file: /etc/app.conf, section: DB, key: config}, default: "dbi:mysql:database=app"}
  db: {dsn: "${dsn}", part: database, default: app}
  password: {ini: /etc/app.conf, section: DB, key: pass, default: "", secret: true}
identity:
  facts:
    version: {package: app, matches: '^[0-9]+\.[0-9]+'}
    schema: {first: [{text: /usr/lib/app/VERSION, matches: 'schema=(\S+)'}, {value: "1"}]}
  must_match: [hostname, version]
  warn: [os]
  compare: {schema: app-schema}
quiesce:
  running: {service: app}
  wait_for:
    - {lock: /run/app.pid, program: app-job, title: a running job, timeout: 2h}
    - {process: app-import}
  stop:
    - app stop ${db}
    - run: [app, "stop all"]
      when: at_least(facts.version, "2.0")
  start: [app start]
  hold: [systemctl mask app]
  release: [systemctl unmask app]
components:
  - name: files
    kind: files
    importance: critical
    paths: ["${tree}/$RCE", /etc/app.conf]
    loss: Everything.
  - name: database
    kind: mysql
    importance: critical
    database: ${db}
    password: ${password}
    loss: All records.
    needs: [files]
  - name: logs
    kind: files
    importance: optional
    capture: live
    paths: [/var/log/app]
    loss: Old logs.
    regain: They are written again.
    when: settings.root != ""
notices:
  - when: {text: {file: /etc/app.conf, matches: old}}
    say: The configuration under ${root} is old.
    hint: Renew it.
recovery:
  prepare:
    - confirm: Install the application.
      done: {package: app}
  restore:
    - restore: files
    - restore: {component: database}
      id: db
      needs: []
      repeat: safe
  verify:
    - check: {files_equal: [/etc/app.conf, "${root}/app.conf"]}
    - id: job
      run: [app, list]
      when: point.captured.database == true and not file("/etc/skip")
      warn: true
      drill: {run: [app, list, --offline]}
`

func TestLoad(t *testing.T) {
	p, err := testRegistry().Load("app.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "app" || len(p.Components) != 3 || p.Source != "app.yaml" || len(p.Digest()) != 64 {
		t.Errorf("profile: %+v", p)
	}
	files := p.Components[0].Options.(*testFiles)
	if files.Paths[0] != "${tree}/$RCE" || p.Components[0].Capture != Quiesced {
		t.Errorf("component: %+v %+v", p.Components[0], files)
	}
	if c, ok := p.Component("logs"); !ok || c.Capture != Live || c.Line == 0 {
		t.Errorf("logs: %+v", c)
	}
	restore := p.Recovery.Restore[1]
	if restore.Needs == nil || len(restore.Needs) != 0 || restore.Options.(*testRestore).Component != "database" {
		t.Errorf("restore: %+v", restore)
	}
	if p.Recovery.Restore[0].Needs != nil {
		t.Error("a step without needs must keep nil needs")
	}
	if got := strings.Join(p.Quiesce.Stop[0].Run, "|"); got != "app|stop|${db}" {
		t.Errorf("stop: %s", got)
	}
	if got := p.Quiesce.Stop[1]; len(got.Run) != 2 || got.When == "" {
		t.Errorf("stop: %+v", got)
	}
	if got := p.Recovery.Verify[1].Drill; got == nil || got.Type != "run" {
		t.Errorf("drill: %+v", got)
	}
}

// A profile may be about upgrades alone, and then of what the registry knows of them.
func TestLoadUpgrade(t *testing.T) {
	r := testRegistry()
	type section struct {
		Ways []string `yaml:"ways" jsonschema:"required"`
	}
	r.Upgrade.Options = func() any { return new(section) }
	const head = "profile: os\ntitle: A system\ndetect: {file: /etc/os-release}\n"
	p, err := r.Load("os.yaml", []byte(head+"upgrade: {ways: [one]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := p.Upgrade.Options.(*section); !ok || len(got.Ways) != 1 || p.Protects() {
		t.Errorf("got %+v, protects %v", p.Upgrade, p.Protects())
	}
	for text, want := range map[string]string{
		head:                             "os.yaml:1: components is missing\nos.yaml:1: recovery is missing",
		head + "upgrade: {way: [one]}\n": "os.yaml:4: unknown key way; did you mean ways?",
	} {
		if _, err := r.Load("os.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := testRegistry().Load("os.yaml", []byte(head+"upgrade: {ways: [one]}\n")); err == nil {
		t.Error("an upgrade was taken although nothing reads it")
	}
}

func TestLoadReportsEverything(t *testing.T) {
	tests := []struct {
		name, old, new string
		want           []string // problems that must be among those reported
	}{
		{"unknown top key", "title: The", "titel: The", []string{"app.yaml:3: unknown key titel; did you mean title?", "title is missing"}},
		{"unknown component key", "importance: optional", "importence: optional", []string{"unknown key importence; did you mean importance?", "importance is missing"}},
		{"unknown kind", "kind: mysql", "kind: mysq", []string{"unknown kind mysq; did you mean mysql?"}},
		{"unknown option of a kind", "paths: [/var/log/app]", "path: [/var/log/app]", []string{"unknown key path; did you mean paths?"}},
		{"unknown step type", "- restore: files", "- restor: files", []string{"unknown step type restor; did you mean restore?", "no recovery step restores the critical component files"}},
		{"two step types", "- restore: files", "- {restore: files, run: [x]}", []string{"a step has one type, not both restore and run"}},
		{"unknown step key", "repeat: safe", "repeet: safe", []string{"unknown key repeet; did you mean repeat?"}},
		{"unknown predicate", "done: {package: app}", "done: {pakage: app}", []string{"unknown predicate pakage; did you mean package?"}},
		{"unknown predicate option", "done: {package: app}", "done: {package: app, at_lest: 1.2}", []string{"unknown key at_lest; did you mean at_least?"}},
		{"unknown source", "{value: \"${root}/tree\"}", "{valu: \"${root}/tree\"}", []string{"unknown source valu; did you mean value?"}},
		{"elsewhere", "loss: ", "saved_elsewhere: [share]\n    loss: ", []string{`saved_elsewhere: "share" is no absolute path below /`}},
		{"unknown setting", "${tree}/$RCE", "${tre}/$RCE", []string{"unknown setting ${tre}; did you mean tree?"}},
		{"unclosed brace", "${tree}/$RCE", "${tree/$RCE", []string{"has no closing brace"}},
		{"shell expansion", "${tree}/$RCE", "${TREE:-x}", []string{"${TREE:-x} is no setting name"}},
		{"secret in a command", "app stop ${db}", "app stop ${password}", []string{"the secret setting ${password} may only be used by components"}},
		{"secret in a setting", `tree: {value: "${root}/tree"}`, `tree: {value: "${password}/tree"}`, []string{"setting tree is made of the secret setting password"}},
		{"circle of settings", "default: /srv/app}", "default: \"${tree}\"}", []string{"settings need each other in a circle: root → tree → root"}},
		{"circle of components", "    loss: Everything.\n", "    loss: Everything.\n    needs: [database]\n", []string{"components need each other in a circle: files → database → files"}},
		{"needs an unknown component", "needs: [files]", "needs: [file]", []string{"component database needs the unknown component file; did you mean files?"}},
		{"component twice", "name: logs", "name: files", []string{"component files is there twice; the first is in line"}},
		{"relative path", "[/var/log/app]", "[var/log/app]", []string{`paths: path "var/log/app" is not absolute`}},
		{"path that climbs", "[/var/log/app]", "[/var/log/../lib]", []string{`has .. in it`}},
		{"path that climbs from a setting", "${tree}/$RCE", "${tree}/../x", []string{`has .. in it`}},
		{"path in a check", "files_equal: [/etc/app.conf", "files_equal: [etc/app.conf", []string{`files_equal: path "etc/app.conf" is not absolute`}},
		{"importance", "importance: optional", "importance: optinal", []string{`importance: "optinal" is none of critical, recommended, optional; did you mean optional?`}},
		{"capture", "capture: live", "capture: alive", []string{`capture: "alive" is none of quiesced, live; did you mean live?`}},
		{"repeat", "repeat: safe", "repeat: always", []string{`repeat: "always" is none of ask, safe`}},
		{"duration", "timeout: 2h", "timeout: 2 hours", []string{`timeout: "2 hours" is no duration`}},
		{"no loss", "    loss: All records.\n", "", []string{"loss is missing"}},
		{"empty loss", "loss: All records.", "loss: \"  \"", []string{"loss is empty"}},
		{"step after an unknown component", "repeat: safe", "repeat: safe\n      follows: [fils]", []string{"follows refers to the unknown component fils; did you mean files?"}},
		{"step for an unknown component", "- restore: files", "- restore: fils", []string{"restore refers to the unknown component fils; did you mean files?", "no recovery step restores the critical component files"}},
		{"expression", `settings.root != ""`, `settings.rot != ""`, []string{"unknown field rot"}},
		{"expression of a command", `at_least(facts.version, "2.0")`, `at_leas(facts.version, "2.0")`, []string{"unknown name at_leas"}},
		{"expression that is no condition", `settings.root != ""`, `settings.root`, []string{"expected bool"}},
		{"fact", "warn: [os]", "warn: [oss]", []string{"identity: unknown fact oss; did you mean os?"}},
		{"comparison", "schema: app-schema", "schema: app-shema", []string{"unknown comparison app-shema; did you mean app-schema?"}},
		{"shell in a command", "app stop ${db}", "\"app stop; rm x\"", []string{"needs a shell or quotes"}},
		{"key twice", "title: The application", "title: The application\ntitle: Again", []string{"title is given twice; the first is in line 3"}},
		{"pattern", `'^[0-9]+\.[0-9]+'`, `'^[0-9+'`, []string{"is no regular expression"}},
		{"hold without release", "  release: [systemctl unmask app]\n", "", []string{"hold without release"}},
		{"restored before what it needs", "    - restore: files\n    - restore: {component: database}\n", "    - restore: database\n    - restore: {component: files}\n", []string{"database is restored here, but files, which it needs, is not restored before it"}},
		{"dsn part", "part: database", "part: databse", []string{`part: "databse" is none of`, "did you mean database?"}},
		{"step needs", "needs: []", "needs: [dbs]", []string{"step needs dbs, but no step in restore has that id; did you mean db?"}},
		{"no YAML", "title: The", "title: [The", []string{"app.yaml:"}},
		{"alias", "title: The application", "title: &x The application\nsummary: *x", []string{"anchors and aliases are not allowed"}},
		{"value missing", "title: The application", "title:", []string{"title: has no value"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(good, test.old, test.new, 1)
			if text == good {
				t.Fatal("the test changes nothing")
			}
			_, err := testRegistry().Load("app.yaml", []byte(text))
			var problems strict.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("no problems: %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("missing %q in:\n%v", want, err)
				}
			}
			for _, p := range problems {
				if p.File != "app.yaml" || p.Line == 0 {
					t.Errorf("no place: %+v", p)
				}
			}
		})
	}
}

func TestLoadStepCircle(t *testing.T) {
	text := strings.Replace(good, "    - restore: files\n    - restore: {component: database}\n      id: db\n      needs: []\n",
		"    - {id: first, restore: files, needs: [db]}\n    - restore: {component: database}\n      id: db\n", 1)
	_, err := testRegistry().Load("app.yaml", []byte(text))
	if err == nil || !strings.Contains(err.Error(), "steps need each other in a circle: first → db → first") {
		t.Errorf("got %v", err)
	}
}

func TestLoadTellsAllAtOnce(t *testing.T) {
	text := strings.NewReplacer("kind: mysql", "kind: mysq", "importance: optional", "importance: optinal", "title:", "titel:").Replace(good)
	_, err := testRegistry().Load("app.yaml", []byte(text))
	var problems strict.Problems
	if !errors.As(err, &problems) || len(problems) < 4 {
		t.Fatalf("got %v", err)
	}
	for i := 1; i < len(problems); i++ {
		if problems[i].Line < problems[i-1].Line {
			t.Errorf("not in the order of lines:\n%v", err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(good)
	f.Add("profile: x\ncomponents: [{kind: files, paths: {}}]\n")
	f.Add("{detect: {not: {not: {any: []}}}, recovery: {verify: [{drill: {drill: {}}}]}}")
	r := testRegistry()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := r.Load("fuzz.yaml", []byte(text))
		if (p == nil) == (err == nil) {
			t.Errorf("profile %v, error %v", p, err)
		}
	})
}

// A wrong condition is named by its own line, which may be far below the name of
// what it belongs to.
func TestLoadNamesTheLineOfACondition(t *testing.T) {
	for _, wrong := range []string{"database == true and not file(", "settings.root !=", "at_least(facts.version"} {
		text := strings.Replace(good, wrong, "nonsense "+wrong, 1)
		text = strings.Replace(text, "    kind: mysql\n", "    kind: mysql\n    when: |-\n      nonsense\n", 1)
		_, err := testRegistry().Load("app.yaml", []byte(text))
		for _, at := range []string{"nonsense " + wrong, "when: |-"} {
			line := 1 + strings.Count(text[:strings.Index(text, at)], "\n")
			if want := fmt.Sprintf("app.yaml:%d: when: ", line); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("missing %q in:\n%v", want, err)
			}
		}
	}
}
