package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
)

// Report is the n-th report of a host.
func Report(host record.HostID, n int) record.Report {
	return record.Report{
		ID: fmt.Sprintf("run-%06d", n), Host: host, System: "smt", Kind: "backup", State: "done",
		Started: at(60 * n), Ended: at(60*n + 30), Received: at(60*n + 31), Point: fmt.Sprintf("point-%d", n),
		Bytes: 1 << 40, RTO: 12.5, RPO: 0.25, Detail: json.RawMessage(`{"b": 1,  "a": "ü"}`),
	}
}

// Protection is what stands after it.
func Protection(host record.HostID, n int) record.Protection {
	return record.Protection{
		Host: host, System: "smt", Profile: "smt", Point: fmt.Sprintf("point-%d", n), PointAt: at(60 * n),
		LastState: "done", LastAt: at(60*n + 30), LastError: "none",
		Objectives: record.Objectives{RPO: 24 * time.Hour, Verify: time.Minute},
	}
}

func reports(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	one, two := Host(1).ID, Host(2).ID
	addOne := func(r record.Report, p record.Protection) (added bool) {
		Change(t, s, func(tx record.Tx) (err error) {
			added, err = tx.AddReport(r, p)
			return err
		})
		return added
	}
	for n := 1; n <= 12; n++ {
		if !addOne(Report(one, n), Protection(one, n)) {
			t.Errorf("report %d is not new", n)
		}
	}
	// The same again changes nothing, whatever it says.
	changed, protection := Report(one, 5), Protection(one, 99)
	changed.State = "failed"
	if addOne(changed, protection) {
		t.Error("a report was taken twice")
	}
	same(t, Get(t, s, func(r record.Reader) (record.Report, error) { return r.Report(one, "run-000005") }), Report(one, 5))
	// Another host may have a run of the same name.
	if !addOne(Report(two, 5), Protection(two, 5)) {
		t.Error("a host keeps another one from reporting")
	}
	other := Protection(one, 3)
	other.System, other.Objectives, other.DrillAt = "opsi", record.Objectives{}, at(5)
	r := Report(one, 13)
	r.System, r.Detail, r.Point = "opsi", nil, ""
	addOne(r, other)
	same(t, Get(t, s, func(q record.Reader) (record.Report, error) { return q.Report(one, r.ID) }), r)
	same(t, Get(t, s, func(q record.Reader) ([]record.Protection, error) { return q.Protections(one) }),
		[]record.Protection{other, Protection(one, 12)})
	if n := len(Get(t, s, func(q record.Reader) ([]record.Protection, error) { return q.Protections("") })); n != 3 {
		t.Errorf("%d systems in the fleet, want 3", n)
	}

	var got []string
	for after := ""; ; {
		page := Get(t, s, func(q record.Reader) ([]record.Report, error) {
			return q.Reports(one, record.Page{After: after, Limit: 5})
		})
		for _, r := range page {
			got = append(got, r.ID)
		}
		if len(page) < 5 {
			break
		}
		after = page[4].ID
	}
	if len(got) != 13 || !slices.IsSortedFunc(got, func(a, b string) int { return -strings.Compare(a, b) }) {
		t.Errorf("reports are paged as %v", got)
	}
	lacks(t, s, func(q record.Reader) ([]record.Report, error) {
		return q.Reports(one, record.Page{After: "gone", Limit: 5})
	})
	lacks(t, s, func(q record.Reader) (record.Report, error) { return q.Report(two, "run-000001") })
}

func runs(t *testing.T, s *store.Store) {
	add(t, s, 1, 3)
	run := func(host, n int) record.Run {
		return record.Run{
			ID: fmt.Sprintf("run-%03d", n), Host: Host(host).ID, System: "smt", Kind: "drill", State: "running",
			Started: at(n / 3), Updated: at(n), // several begin at one time
		}
	}
	for host := 1; host <= 3; host++ {
		Change(t, s, func(tx record.Tx) error {
			for n := range 10 {
				if err := tx.PutRun(run(host, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	done := run(1, 4)
	done.State, done.Updated = "done", at(99)
	Change(t, s, func(tx record.Tx) error { return tx.PutRun(done) })
	same(t, Get(t, s, func(r record.Reader) (record.Run, error) { return r.Run(done.Host, done.ID) }), done)
	lacks(t, s, func(r record.Reader) (record.Run, error) { return r.Run(done.Host, "gone") })

	for host, want := range map[record.HostID]int{"": 30, Host(2).ID: 10} {
		seen := map[string]bool{}
		var last time.Time
		for after, pages := "", 0; ; pages++ {
			page := Get(t, s, func(r record.Reader) ([]record.Run, error) {
				return r.Runs(host, record.Page{After: after, Limit: 4})
			})
			for _, r := range page {
				if !last.IsZero() && r.Started.After(last) {
					t.Errorf("run %s comes after an older one", r.ID)
				}
				last = r.Started
				seen[string(r.Host)+r.ID] = true
				if after = r.ID; host == "" {
					after = string(r.Host) + "/" + r.ID
				}
			}
			if len(page) < 4 || pages > want {
				break
			}
		}
		if len(seen) != want {
			t.Errorf("%d runs of host %q, want %d", len(seen), host, want)
		}
	}
	lacks(t, s, func(r record.Reader) ([]record.Run, error) { return r.Runs("", record.Page{After: "x", Limit: 4}) })
}

func events(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	one, two := Host(1).ID, Host(2).ID
	Change(t, s, func(tx record.Tx) error {
		for _, host := range []record.HostID{one, two} {
			if err := tx.PutRun(record.Run{ID: "run", Host: host, Started: at(0), Updated: at(0)}); err != nil {
				return err
			}
		}
		return nil
	})
	event := func(host record.HostID, n int, text string) record.Event {
		return record.Event{Run: "run", Host: host, Seq: int64(n), Time: at(n), Data: json.RawMessage(fmt.Sprintf(`{"n": %d, "t": %q}`, n, text))}
	}
	var list, late []record.Event
	for n := 1; n <= 300; n++ {
		if n%7 == 0 {
			late = append(late, event(one, n, "first"))
		}
		list = append(list, event(one, n, "first"))
	}
	slices.Reverse(late)
	Change(t, s, func(tx record.Tx) error { return tx.AddEvents(late) }) // out of order
	again := slices.Clone(list)
	for i := range again {
		if again[i].Seq%7 == 0 {
			again[i] = event(one, int(again[i].Seq), "second")
		}
	}
	Change(t, s, func(tx record.Tx) error { return tx.AddEvents(again) })
	Change(t, s, func(tx record.Tx) error { return tx.AddEvents([]record.Event{event(two, 1, "other")}) })
	Change(t, s, func(tx record.Tx) error { return tx.AddEvents(nil) })

	var got []record.Event
	for {
		var after int64
		if len(got) > 0 {
			after = got[len(got)-1].Seq
		}
		page := Get(t, s, func(r record.Reader) ([]record.Event, error) { return r.Events(one, "run", after, 64) })
		got = append(got, page...)
		if len(page) < 64 {
			break
		}
	}
	same(t, got, list)
	var every []record.Event
	for after := (record.Event{}); ; after = every[len(every)-1] {
		page := Get(t, s, func(r record.Reader) ([]record.Event, error) { return r.AllEvents(after, 64) })
		if every = append(every, page...); len(page) < 64 {
			break
		}
	}
	same(t, every, append([]record.Event{event(two, 1, "other")}, list...)) // its id comes first
	other := event(two, 1, "another")
	Change(t, s, func(tx record.Tx) error { return tx.PutEvent(other) })
	if err := s.Compact(t.Context()); err != nil {
		t.Error(err)
	}
	same(t, Get(t, s, func(r record.Reader) ([]record.Event, error) { return r.Events(two, "run", 0, 64) }), []record.Event{other})
	other.Seq = 2
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error { return tx.PutEvent(other) })
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error {
		return tx.AddEvents([]record.Event{{Run: "gone", Host: one, Seq: 1}})
	})
}
