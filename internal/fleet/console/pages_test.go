package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/a-h/templ/generator"
	"github.com/a-h/templ/parser/v2"
	gofumpt "mvdan.cc/gofumpt/format"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

// What the pages are made of is made of the templates that stand here.
func TestTemplatesAreGenerated(t *testing.T) {
	templates, err := filepath.Glob("*.templ")
	if err != nil || len(templates) == 0 {
		t.Fatal(templates, err)
	}
	for _, name := range templates {
		file, err := parser.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := generator.Generate(file, &b, generator.WithVersion(templ.Version()), generator.WithFileName(name)); err != nil {
			t.Fatal(err)
		}
		want, err := format.Source(b.Bytes())
		if err == nil {
			want, err = gofumpt.Source(want, gofumpt.Options{LangVersion: "go1.26", ModulePath: "lifeboat"})
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(strings.TrimSuffix(name, ".templ") + "_templ.go")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s was changed since its Go file was made; run: go generate ./internal/fleet/console", name)
		}
	}
}

func TestIssueCode(t *testing.T) {
	f := newFleet(t)
	host, _ := f.showcase()
	b := f.browser("otto")
	path := deskURL(host) + "/code"
	status, page := b.post(path, nil)
	if status != 422 || !strings.Contains(page, "No code was made") || !strings.Contains(page, `aria-describedby="sure-error"`) {
		t.Errorf("without the confirmation: %d\n%s", status, page)
	}
	status, page = b.post(path, url.Values{"sure": {"yes"}})
	var groups []string
	for _, m := range regexp.MustCompile(`<span>([0-9A-Z]{3,8})</span>`).FindAllStringSubmatch(page, -1) {
		groups = append(groups, m[1])
	}
	code, err := typed.ParseCode(strings.Join(groups, "-"))
	if status != 200 || err != nil || len(groups) < 4 {
		t.Fatalf("%d, code %v: %v\n%s", status, groups, err, page)
	}
	var kept record.Code
	err = f.Store.Read(t.Context(), func(r record.Reader) (err error) { kept, err = r.Code(configuration.Lookup(code)); return err })
	if err != nil || kept.Host != host || kept.By != "user:otto" || kept.Version != 2 {
		t.Fatalf("%+v, %v", kept, err)
	}
	secret, err := configuration.OpenWithCode(kept.Sealed, code, host, 2)
	if err != nil || secret.Passwords["main"] != "sesame" {
		t.Errorf("what the code opens: %+v, %v", secret, err)
	}
	if strings.Contains(page, "sesame") || !strings.Contains(page, "10:00 UTC") || !strings.Contains(page, "lifeboat recover") {
		t.Errorf("the page:\n%s", page)
	}
	// It is shown once.
	_, page = b.get(deskURL(host))
	if strings.Contains(page, groups[0]) || !strings.Contains(page, ">open<") || !strings.Contains(page, "Withdraw all codes") {
		t.Errorf("afterwards:\n%s", page)
	}
	if _, page := b.get("/audit"); !strings.Contains(page, "code.issue") || !strings.Contains(page, "user:otto") || strings.Contains(page, groups[0]) {
		t.Errorf("the audit log:\n%s", page)
	}
	if status, _ := b.post(deskURL(host)+"/withdraw", nil); status != 200 {
		t.Errorf("withdrawing: %d", status)
	}
	if _, page := b.get(deskURL(host)); strings.Contains(page, ">open<") {
		t.Error("a withdrawn code is open")
	}
	// A host without a configuration gets none, with the reason.
	if status, page := b.post(deskURL(hostID(3))+"/code", url.Values{"sure": {"yes"}}); status != 422 || !strings.Contains(page, "no recovery configuration") {
		t.Errorf("%d\n%s", status, page)
	}
	if status, _ := b.post(deskURL("nobody")+"/code", url.Values{"sure": {"yes"}}); status != 404 {
		t.Errorf("no such host: %d", status)
	}
}

func TestHosts(t *testing.T) {
	f := newFleet(t)
	b := f.browser("anna")
	b.get("/") // the fleet was looked at, and is looked at anew
	for _, c := range []struct{ form, want string }{
		{"name=no+name%21", "is no name of a host"}, {"name=smt1&macs=zz", "is no MAC address"}, {"name=smt1&group=%00", "control characters"},
	} {
		form, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		if status, page := b.post("/hosts", form); status != 422 || !strings.Contains(page, c.want) || !strings.Contains(page, `value="`+form.Get("name")+`"`) {
			t.Errorf("%s: %d\n%s", c.form, status, page)
		}
	}
	status, page := b.post("/hosts", url.Values{"name": {"smt1"}, "group": {"smt"}, "macs": {"52:54:00:00:00:01, 52:54:00:00:00:02"}})
	if status != 200 || !strings.Contains(page, "lifeboat join https://fleet.example.com:8444 lfj") {
		t.Errorf("%d\n%s", status, page)
	}
	if status, page := b.post("/hosts", url.Values{"name": {"smt1"}}); status != 422 || !strings.Contains(page, "of that name already") {
		t.Errorf("twice: %d\n%s", status, page)
	}
	_, page = b.get("/?name=52:54:00:00:00:02")
	if names := hostsOn(page); len(names) != 1 || names[0] != "smt1" || !strings.Contains(page, ">not joined<") {
		t.Errorf("hosts %v", names)
	}
	id := regexp.MustCompile(`/hosts/([0-9a-f]{32})`).FindStringSubmatch(page)[1]
	if status, page := b.post("/hosts/"+id+"/enrol", nil); status != 200 || !strings.Contains(page, "lifeboat join") {
		t.Errorf("another token: %d", status)
	}
	if status, page := b.post("/hosts/"+id+"/revoke", url.Values{"name": {"another"}}); status != 422 || !strings.Contains(page, "not this host") {
		t.Errorf("the wrong name: %d", status)
	}
	if status, page := b.post("/hosts/"+id+"/revoke", url.Values{"name": {"smt1"}}); status != 200 || !strings.Contains(page, ">revoked<") {
		t.Errorf("revoking: %d\n%s", status, page)
	}
	if _, page := b.get("/"); len(hostsOn(page)) != 0 {
		t.Error("a revoked host is on the first page")
	}
}

func TestAudit(t *testing.T) {
	f := newFleet(t)
	b := f.browser("anna")
	if _, page := b.get("/audit"); !strings.Contains(page, "Nothing was logged") || !strings.Contains(page, "not checked") {
		t.Errorf("empty:\n%s", page)
	}
	for i := range 120 {
		err := f.Store.Change(t.Context(), func(record.Tx) ([]record.Entry, error) {
			return []record.Entry{{Time: now, Actor: "user:anna", Action: "test.act", Object: fmt.Sprintf("object-%03d", i+1)}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	object := regexp.MustCompile(`object-(\d+)`)
	path, seen := "/audit", ""
	for range 3 {
		_, page := b.get(path)
		for _, m := range object.FindAllStringSubmatch(page, -1) {
			seen += m[1] + " "
		}
		path = ""
		if m := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(page); m != nil {
			path = m[1]
		}
	}
	if path != "" || !strings.HasPrefix(seen, "120 119 ") || !strings.HasSuffix(seen, " 002 001 ") || strings.Count(seen, " ") != 120 {
		t.Errorf("next %q, seen %s", path, seen)
	}
	if _, page := b.post("/audit/check", nil); !strings.Contains(page, ">intact<") || !strings.Contains(page, "121 entries, the newest signed by this fleet") {
		t.Errorf("checked:\n%s", page)
	}
}

func TestConfiguration(t *testing.T) {
	f := newFleet(t)
	host, _ := f.showcase()
	b := f.browser("vera")
	_, page := b.get(versionURL(host, 2) + "?against=1")
	for _, want := range []string{`<ins>+ `, `s3:s3.example.com/smt1`, "What changed since version 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "sesame") {
		t.Error("a secret is shown")
	}
	// Backwards what came goes.
	if _, page := b.get(versionURL(host, 1) + "?against=2"); !strings.Contains(page, "<del>- ") || strings.Contains(page, "<ins>") {
		t.Errorf("backwards:\n%s", page)
	}
	if _, page := b.get(versionURL(host, 2) + "?against=2"); !strings.Contains(page, "Nothing that is open") {
		t.Errorf("the same:\n%s", page)
	}
	for _, path := range []string{versionURL(host, 9), versionURL(host, 0), hostURL(host) + "/configuration/x", versionURL("nobody", 1), versionURL(host, 1) + "?against=9"} {
		if status, _ := b.get(path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	old := []byte(`{"format":1,"identity":{"hostname":"smt1"},"systems":[{"name":"smt","profile":"smt","digest":"","repositories":["main"]}],"repositories":[{"name":"main","location":"/backup"}],"files":[{"path":"/etc/lifeboat/lifeboat.yaml","mode":384,"content":"c2VzYW1l"}]}`)
	if lines, err := readable(old); err != nil || !strings.Contains(strings.Join(lines, "\n"), `"hostname": "smt1"`) || strings.Contains(strings.Join(lines, "\n"), "c2VzYW1l") {
		t.Errorf("%q, %v", lines, err)
	}
	if _, err := readable(bytes.Repeat([]byte{' '}, maxShown+1)); err == nil {
		t.Error("an endless one is shown")
	}
	if _, refused := compare(make([]string, maxLines+1), nil); refused == "" {
		t.Error("endless ones are compared")
	}
}

func TestReportedRun(t *testing.T) {
	f := newFleet(t)
	host := f.add(1, "smt1", "")
	f.change(func(tx record.Tx) error {
		r := record.Report{
			ID: "r1", Host: host, System: "smt", Kind: "backup", State: "failed", Started: ago(time.Hour), Ended: now, Received: now,
			Detail: json.RawMessage(`{"facts":["x"],"problems":["the disk <b>is</b> full"],"next":["make room"],"gaps":null}`),
		}
		if _, err := tx.AddReport(r, record.Protection{Host: host, System: "smt", LastState: "failed", LastAt: now}); err != nil {
			return err
		}
		return tx.PutRun(record.Run{ID: "r1", Host: host, System: "smt", Kind: "backup", State: "failed", Started: r.Started, Updated: now})
	})
	_, page := f.browser("vera").get(runURL(host, "r1"))
	for _, want := range []string{"the disk &lt;b&gt;is&lt;/b&gt; full", "make room", "its report is all there is", "1:00 h", ">failed<"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

func TestHostPage(t *testing.T) {
	f := newFleet(t)
	host, _ := f.showcase()
	b := f.browser("vera")
	_, page := b.get(hostURL(host))
	for _, want := range []string{
		"sles: the newest recovery point is 31 hours old", "drill of <bdi>smt</bdi>", `role="img" aria-label="RTO: 9 drills`, "objective 45 minutes",
		"Compare with version 1", "/etc/cron.d/mirror-extra", "2 files a recovery would likely miss", "52:54:00:00:00:01",
		"sda  238.5 GiB  QEMU &lt;HARDDISK&gt;  gpt",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, not := range []string{"Revoke this host", "Let it join again", "Recover this host"} {
		if strings.Contains(page, not) {
			t.Errorf("a viewer is offered %q", not)
		}
	}
	for _, path := range []string{hostURL("nobody"), hostURL(host) + "/runs/none", hostURL(host) + "?runs=none"} {
		if status, _ := b.get(path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	f.change(func(tx record.Tx) error {
		for i := range 50 {
			if err := tx.PutRun(record.Run{ID: fmt.Sprintf("many%02d", i), Host: host, System: "smt", Kind: "verify", State: "done", Started: ago(time.Duration(i) * time.Minute), Updated: now}); err != nil {
				return err
			}
		}
		return nil
	})
	seen := map[string]int{}
	for path, n := hostURL(host), 0; path != "" && n < 10; n++ {
		_, page := b.get(path)
		for _, m := range regexp.MustCompile(`runs/(many\d\d)"`).FindAllStringSubmatch(page, -1) {
			seen[m[1]]++
		}
		path = ""
		if m := regexp.MustCompile(`rel="next" href="([^"#]+)#runs"`).FindStringSubmatch(page); m != nil {
			path = m[1]
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d runs on all pages", len(seen))
	}
}

func TestFold(t *testing.T) {
	v := newRunView(record.Run{})
	seq := int64(0)
	add := func(e any) {
		seq++
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		v.add(record.Event{Seq: seq, Time: now, Data: data})
	}
	outline := []runbook.Outline{{Name: "s", Title: "Stage", Steps: []runbook.OutlineStep{{ID: "a", Title: "First"}, {ID: "b"}}}}
	add(runbook.Event{Type: runbook.RunStarted, Outline: outline})
	add(runbook.Event{Type: runbook.StepStarted, Stage: "s", Step: "a"})
	add(runbook.Event{Type: runbook.StepFinished, Stage: "s", Step: "a", Seconds: 3})
	add(runbook.Event{Type: runbook.StepFailed, Stage: "s", Step: "b", Error: "no"})
	add(runbook.Event{Type: runbook.RunFinished, State: runbook.StateFailed, Error: "the run failed"})
	if a, b := v.steps["a"], v.steps["b"]; a.State != "finished" || a.Seconds != 3 || b.State != "failed" || b.Error != "no" || b.Title != "b" {
		t.Errorf("%+v %+v", a, b)
	}
	// A resumed run keeps what was done, and tries again what was not.
	add(runbook.Event{Type: runbook.RunResumed, Outline: outline})
	if v.steps["a"].State != "finished" || v.steps["a"].Title != "First" {
		t.Errorf("resumed: %+v", v.steps["a"])
	}
	add(runbook.Event{Type: runbook.StepStarted, Stage: "s", Step: "b"})
	if b := v.steps["b"]; b.State != "running" || b.Error != "" {
		t.Errorf("again: %+v", b)
	}
	add(runbook.Event{Type: runbook.StepSkipped, Stage: "new", Step: "c", Title: "Third", Blocked: true})
	if len(v.Stages) != 2 || v.steps["c"].State != "blocked" {
		t.Errorf("a step that no outline had: %+v", v.steps["c"])
	}
	if done, all := v.done(); done != 1 || all != 3 {
		t.Errorf("%d of %d", done, all)
	}
	// Foreign programs tell their log as they like.
	add("plain text")
	add(map[string]any{"text": "in an object"})
	add(map[string]any{"type": "log", "text": "ReaR's line"}) // as fleet/rear stores it
	v.add(record.Event{Seq: 90, Time: now, Data: []byte(`not JSON`)})
	var lines []string
	for _, l := range v.Log {
		lines = append(lines, l.Text)
	}
	if got := strings.Join(lines, "|"); got != "the run failed|resumed|plain text|in an object|ReaR's line|not JSON" || v.Seq != 90 {
		t.Errorf("log %q", got)
	}
	// Nothing of it is endless.
	for i := range 5000 {
		add(runbook.Event{Type: runbook.StepLog, Stage: fmt.Sprint("stage", i), Step: fmt.Sprint("step", i), Text: "line"})
	}
	if len(v.Log) != maxLog || len(v.Stages) > maxStages || len(v.steps) > maxSteps || v.Lost == 0 {
		t.Errorf("%d lines, %d stages, %d steps", len(v.Log), len(v.Stages), len(v.steps))
	}
}

func FuzzFold(f *testing.F) {
	f.Add([]byte(`{"type":"run.started","outline":[{"name":"s","steps":[{"id":"a"}]}]}`), []byte(`{"type":"step.progress","step":"a","bytes":-5,"total":1}`))
	f.Add([]byte(`"text"`), []byte(`{"type":"step.check","step":"x","check":null}`))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		p := &runPageView{runView: newRunView(record.Run{State: "running", Started: now, Updated: now})}
		p.add(record.Event{Seq: 1, Time: now, Data: one})
		p.add(record.Event{Seq: 2, Time: now, Data: two})
		v := &visit{Console: &Console{Options: Options{Name: "x"}}, At: now}
		var b bytes.Buffer
		if err := runPage(v, p).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	})
}

func TestChart(t *testing.T) {
	var reports []record.Report
	for i := range 40 {
		reports = append(reports, record.Report{ID: fmt.Sprint(i), System: "s", Kind: "drill", State: "done", Started: ago(time.Duration(i) * day), RTO: float64(60 * (i + 1)), RPO: 0})
	}
	charts := drillCharts(reports, []record.Protection{{System: "s", Objectives: record.Objectives{RTO: 10 * time.Minute}}})
	if len(charts) != 1 || len(charts[0].Drills) != chartDrills || charts[0].Drills[chartDrills-1].Run != "0" {
		t.Fatalf("%+v", charts)
	}
	for _, p := range charts[0].Plots {
		for _, b := range p.Bars {
			if b.X < chartLeft || b.X+b.Width > chartWidth || b.Y < chartTop || b.Y+b.Height > chartBottom+0.2 || b.Height < 1 {
				t.Errorf("%s: a bar at %+v", p.Name, b)
			}
		}
		if n := len(p.Ticks); n < 2 || n > 7 {
			t.Errorf("%s: %d lines", p.Name, n)
		}
	}
	if s := charts[0].Plots[0].Summary; s != "24 drills, the last 1:00 min, 10 passed within the objective of 10 minutes" {
		t.Error(s)
	}
	for _, d := range []time.Duration{0, 1, time.Second, 50 * time.Hour, 400 * day, 100000 * day} {
		if step := roundStep(d); step <= 0 || d/6 > step {
			t.Errorf("a step of %v for %v", step, d)
		}
	}
}
