package fleet

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/wire"
)

// A server that is put back to an earlier day gives no number a second time.
func TestNumbersAfterTheServerWasPutBack(t *testing.T) {
	f := newFleet(t)
	p := f.serve(t, "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"), nil)
	a := p.join(t, wire.NewHost{Name: "smt1"})
	state := t.TempDir()
	spool := agent.NewSpool(state)
	backup := func(run, password string) int64 {
		t.Helper()
		r := report(run, time.Now())
		r.Configuration = sealed(t, a, password)
		return send(t, a, spool, r).Accepted.Configuration
	}
	if first, second := backup("run-1", "one"), backup("run-2", "two"); first != 1 || second != 2 {
		t.Fatal(first, second)
	}
	// The records of before the second: the host, and its first version.
	host, err := p.Desk.Host(t.Context(), "smt1")
	if err != nil {
		t.Fatal(err)
	}
	var old record.Version
	err = p.Desk.Store.Read(t.Context(), func(r record.Reader) (err error) { old, err = r.Version(host.ID, 1); return err })
	if err != nil {
		t.Fatal(err)
	}
	database := "sqlite:" + filepath.Join(t.TempDir(), "earlier.db")
	earlier, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer earlier.Close()
	err = earlier.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) {
		if err := tx.PutHost(host); err != nil {
			return nil, err
		}
		_, err := tx.AddVersion(old)
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(state, "fleet/newest-version")); err != nil || string(text) != "2" {
		t.Fatalf("the host knows of version %s, %v", text, err)
	}
	desk := action.New(earlier, f.keys)
	for n, run := range []string{"run-3", "run-4"} {
		r := report(run, time.Now())
		r.Configuration = sealed(t, a, "one")
		r.Configuration.After = int64(2 + n) // the same content as that of version 1
		if got, err := desk.AddReport(t.Context(), host, "", run, r.RunReport); err != nil || got.Configuration != 3 {
			t.Errorf("%s: %+v, %v", run, got, err)
		}
	}
}
