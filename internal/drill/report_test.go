package drill

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// point holds one component of each importance and one that failed.
func point() *vault.Point {
	record := func(name, importance string, status component.Status) component.Record {
		return component.Record{Name: name, Kind: "files", Importance: "critical", Status: status, Bytes: 10, Items: 1, Paths: []string{"/" + name}}
	}
	m := &vault.Manifest{Identity: map[string]string{}, Moment: time.Now().Add(-time.Hour), Components: []component.Record{
		record("data", "critical", component.StatusCaptured),
		record("looked-at", "recommended", component.StatusCaptured),
		record("broken", "recommended", component.StatusFailed),
	}}
	return &vault.Point{Manifest: m}
}

// steps of a run, by id and state.
func ran(state runbook.State, list ...*runbook.StepReport) *runbook.Run {
	return &runbook.Run{State: state, Steps: list}
}

func TestWhatWasPromisedIsMissed(t *testing.T) {
	restores := map[string]string{"restore/data": "data"}
	read := &runbook.StepReport{ID: proofStage + "/read-looked-at", Stage: proofStage, State: runbook.StepStateFinished}
	for name, test := range map[string]struct {
		state runbook.StepState
		err   string
		want  string // in the findings; "" for none
	}{
		"restored":             {runbook.StepStateFinished, "", ""},
		"seen done":            {runbook.StepStateAlreadyDone, "", ""},
		"left out":             {runbook.StepStateSkipped, "", "component data is in the recovery point and was not restored"},
		"borne with":           {runbook.StepStateWarned, "", "disk full"},
		"failed":               {runbook.StepStateFailed, "it failed", "the recovery failed: it failed"},
		"never come to":        {runbook.StepStatePending, "it failed before", "it failed before"},
		"blocked by a warning": {runbook.StepStateBlocked, "", "was not restored"},
	} {
		t.Run(name, func(t *testing.T) {
			step := &runbook.StepReport{ID: "restore/data", Stage: "restore", Title: "Restore data", State: test.state}
			if test.state == runbook.StepStateWarned {
				step.Error = "disk full"
			}
			o := &outcome{Run: ran(runbook.StateDone, step, read), Restores: restores, Error: test.err}
			d := &drill{Options: Options{Point: point(), Depth: Full}}
			r := &Report{State: Passed}
			r.judge(o)
			d.account(r, o)
			r.settle()
			text := strings.Join(r.Findings, "\n")
			if (test.want == "") != (text == "") || !strings.Contains(text, test.want) {
				t.Errorf("found %q, want %q", text, test.want)
			}
			if (test.want != "") != (r.State == Failed) {
				t.Errorf("state %s", r.State)
			}
			if r.Components[1].State != ReadOnly || r.Components[2].State != NotInPoint {
				t.Errorf("components %+v", r.Components)
			}
		})
	}
}

func TestSkippedCheck(t *testing.T) {
	o := &outcome{Run: ran(runbook.StateDone)}
	r := &Report{State: Passed, Checks: []runbook.Check{{Name: "authority", Skipped: true, Found: EncryptedKey}}}
	r.judge(o)
	r.unexercised(o)
	r.settle()
	if r.State != Passed || len(r.Findings) > 0 || len(r.NotExercised) != 1 {
		t.Errorf("%+v", r)
	}
}

// A warning of a check is one of the drill; what the point itself lacks fails it.
func TestWarningsOfChecks(t *testing.T) {
	for want, check := range map[State]runbook.Check{
		Passed:   {Name: "tables", OK: true, Warning: true, Lacking: true},
		Warnings: {Name: "tables", Warning: true},
		Failed:   {Name: "tables", Warning: true, Lacking: true},
	} {
		r := &Report{State: Passed, Checks: []runbook.Check{check}}
		r.judge(&outcome{Run: ran(runbook.StateDone)})
		r.settle()
		if r.State != want || (want == Failed) != (len(r.Findings) > 0) {
			t.Errorf("%+v: %s, %q", check, r.State, r.Findings)
		}
	}
}

func TestObjectives(t *testing.T) {
	for name, test := range map[string]struct {
		report Report
		want   State
		met    bool
	}{
		"none":       {Report{RTO: time.Hour, RPO: time.Hour}, Passed, true},
		"met":        {Report{RTO: time.Hour, RPO: time.Hour, TargetRTO: 2 * time.Hour, TargetRPO: time.Hour}, Passed, true},
		"slow":       {Report{RTO: 3 * time.Hour, TargetRTO: 2 * time.Hour}, Warnings, false},
		"old":        {Report{RTO: 1, RPO: 25 * time.Hour, TargetRPO: 24 * time.Hour}, Warnings, false},
		"unfinished": {Report{TargetRTO: 2 * time.Hour, Findings: []string{"it failed"}}, Failed, false},
	} {
		r := test.report
		r.State = Passed
		r.settle()
		if r.State != test.want || r.Met() != test.met {
			t.Errorf("%s: %s, met %v", name, r.State, r.Met())
		}
	}
}

// What was replaced is named only where it would have been done.
func TestNotExercised(t *testing.T) {
	o := &outcome{
		Run: ran(runbook.StateDone,
			&runbook.StepReport{ID: "a", State: runbook.StepStateFinished},
			&runbook.StepReport{ID: "b", State: runbook.StepStateSkipped},
			&runbook.StepReport{ID: "c", State: runbook.StepStateSkipped}),
		Replaced: []recovery.Replaced{{Step: "a", Title: "A", By: "a look"}, {Step: "b", Title: "B", By: "a look"}, {Step: "c", Title: "C"}, {Step: "d", Title: "D"}},
	}
	r := &Report{}
	r.unexercised(o)
	if len(r.NotExercised) != 2 || r.NotExercised[0].What != "A" || r.NotExercised[1].What != "C" {
		t.Errorf("%+v", r.NotExercised)
	}
}

func TestSignature(t *testing.T) {
	keeper := head.New(t.TempDir())
	body, err := json.Marshal(&Report{Format: Format, System: "smt", State: Passed})
	if err != nil {
		t.Fatal(err)
	}
	signature, key, err := keeper.Sign(signedAs, body)
	if err != nil {
		t.Fatal(err)
	}
	other, otherKey, err := head.New(t.TempDir()).Sign(signedAs, body)
	if err != nil {
		t.Fatal(err)
	}
	wrong, _, err := keeper.Sign("something else", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		sealed
		want Signature
	}{
		"genuine":            {sealed{body, key, signature}, SignedOther},
		"of another key":     {sealed{body, otherKey, other}, SignedOther},
		"altered":            {sealed{bytes.Replace(body, []byte("passed"), []byte("failed"), 1), key, signature}, SignedNobody},
		"of something else":  {sealed{body, key, wrong}, SignedNobody},
		"with a foreign key": {sealed{body, otherKey, signature}, SignedNobody},
		"without a key":      {sealed{body, nil, signature}, SignedNobody},
	} {
		text, err := json.Marshal(test.sealed)
		if err != nil {
			t.Fatal(err)
		}
		k, err := decode(text)
		if err != nil || k.Signature != test.want {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	if _, err := decode([]byte(`{"report":{"format":99},"key":"","signature":""}`)); err == nil {
		t.Error("a report of a later format was read")
	}
}

// The page shows everything as text, whatever the names are.
func TestPage(t *testing.T) {
	const hostile = `<script>alert("x")</script>`
	r := &Report{
		System: hostile, Title: hostile, State: Failed, Findings: []string{hostile}, Started: time.Now(), RTO: time.Minute, TargetRTO: time.Hour,
		Components: []Component{{Name: hostile, State: Missing}}, Steps: []Step{{Title: hostile, Error: hostile}}, Warnings: []string{hostile},
		Checks:       []runbook.Check{{Name: hostile, Found: hostile}, {OK: true}, {Warning: true}},
		NotExercised: []Unexercised{{What: hostile}}, Tools: map[string]string{hostile: hostile}, Identity: map[string]string{"a": hostile},
	}
	var b bytes.Buffer
	if err := r.HTML(&b, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	var paper bytes.Buffer
	if err := r.PDF(&paper); err != nil || !bytes.HasPrefix(paper.Bytes(), []byte("%PDF-")) {
		t.Errorf("%.20q, %v", paper.Bytes(), err)
	}
	text := b.String()
	for _, want := range []string{"1m0s", "1h0m0s", "0102", "&lt;script&gt;", "NOT OK"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, "http://") || strings.Contains(text, "https://") {
		t.Error("the page has a script in it, or needs something from elsewhere")
	}
}
