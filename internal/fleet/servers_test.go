package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store/postgrestest"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

func TestLive(t *testing.T) {
	p := start(t, nil)
	a := p.join(t, wire.NewHost{Name: "smt1"})
	l := a.Live(context.Background())
	begin := time.Now()
	for i, e := range []runbook.Event{
		{Type: runbook.RunStarted, Kind: "backup"},
		{Type: runbook.StepStarted, Step: "one"},
		{Type: runbook.ValueKept, Value: json.RawMessage(`"kept to itself"`)},
		{Type: runbook.StepFinished, Step: "one"},
		{Type: runbook.RunFinished, State: runbook.StateDone},
	} {
		e.Run, e.System, e.Time = "run-1", "smt", begin.Add(time.Duration(i))
		l.Observe(e)
	}
	var events wire.List[record.Event]
	for len(events.Items) < 4 { // they come by themselves, before the run is told to have ended
		time.Sleep(100 * time.Millisecond) // the server bounds how often one may ask
		if err := p.administrator.Do(context.Background(), http.MethodGet, "/hosts/smt1/runs/run-1/events", nil, &events); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	if len(events.Items) != 4 {
		t.Fatalf("%+v", events)
	}
	runs := ask[wire.List[record.Run]](t, p.administrator, http.MethodGet, "/hosts/smt1/runs", nil)
	if len(runs.Items) != 1 || runs.Items[0].State != "done" || runs.Items[0].Kind != "backup" {
		t.Errorf("%+v", runs)
	}
}

// A server that is not there costs a run nothing.
func TestSilentServer(t *testing.T) {
	p := start(t, nil)
	a := p.join(t, wire.NewHost{Name: "smt1"})
	p.stop()
	spool := agent.NewSpool(t.TempDir())
	if err := spool.Add(report("run-1", time.Now())); err != nil {
		t.Fatal(err)
	}
	l := a.Live(context.Background())
	for i := range 5000 {
		l.Observe(runbook.Event{Run: "run-1", System: "smt", Type: runbook.StepLog, Time: time.Now(), Text: fmt.Sprint(i)})
	}
	l.Close()
	if sent, err := a.Send(context.Background(), spool); err == nil || sent.Waiting != 1 {
		t.Errorf("%+v %v", sent, err)
	}
}

// Two servers with one PostgreSQL database are one fleet; one of them is enough.
func TestTwoServers(t *testing.T) {
	f := newFleet(t)
	database := postgrestest.Start(t).Database(t)
	one, other := f.serve(t, database, nil), f.serve(t, database, nil)
	a := one.join(t, wire.NewHost{Name: "smt1"})
	spool := agent.NewSpool(t.TempDir())
	r := report("run-1", time.Now())
	r.Configuration = sealed(t, a, "password")
	send(t, a, spool, r)
	if d := ask[wire.HostDetail](t, other.administrator, http.MethodGet, "/hosts/smt1", nil); d.Configuration != 1 || len(d.Protections) != 1 {
		t.Errorf("%+v", d)
	}
	one.stop()
	if _, status := other.fetch(t, "id=smt1", strings.Repeat("ab", configuration.NonceSize), ""); status != http.StatusOK {
		t.Errorf("%d", status)
	}
	host := other.hostClient(t, a)
	if again := ask[wire.Receipt](t, host, http.MethodPut, "/agent/reports/run-1", r.RunReport); again.New {
		t.Error("a report that the other server has taken was taken again")
	}
	if again := ask[wire.Receipt](t, host, http.MethodPut, "/agent/reports/run-2", report("run-2", time.Now()).RunReport); !again.New {
		t.Error("a new report was not")
	}
	do(t, other.administrator, http.MethodPost, "/hosts/smt1/revoke", nil)
	refused(t, 401, host, http.MethodPut, "/agent/reports/run-3", report("run-3", time.Now()).RunReport)
	if state := ask[wire.AuditState](t, other.administrator, http.MethodGet, "/audit/verification", nil); !state.Whole {
		t.Errorf("%+v", state)
	}
}

func TestWindow(t *testing.T) {
	p := start(t, nil)
	p.join(t, wire.NewHost{Name: "rear1"})
	get := func(want int) {
		t.Helper()
		resp, err := p.http(t).Get(p.url + "/rear/rear1.rear_config.tgz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d, not %d", resp.StatusCode, want)
		}
	}
	get(http.StatusForbidden)
	ask[wire.Window](t, p.administrator, http.MethodPost, "/hosts/rear1/window", wire.OpenWindow{Valid: "10min"})
	get(http.StatusNotFound) // it is let in, and the host has sent no files
	do(t, p.administrator, http.MethodDelete, "/hosts/rear1/window", nil)
	get(http.StatusForbidden)
	refused(t, 422, p.administrator, http.MethodPost, "/hosts/rear1/window", wire.OpenWindow{Valid: "100d"})
}
