package upgrade

import (
	"context"
	"testing"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/preflight"
)

// menu stands for the boot menu, which upgrade/boot tries.
type menu struct{ added, removed *int }

func (m menu) Add(context.Context, Request) (string, error) { *m.added++; return "an entry", nil }
func (m menu) Try(context.Context, Request) error           { return nil }
func (m menu) Remove(context.Context) error                 { *m.removed++; return nil }

// Across the installer's edge the upgrade is prepared and handed over; afterwards it is
// verified, or taken back.
func TestHandedOverToTheInstaller(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES11SP3)
	for _, accept := range []string{"release-notes=" + preflight.ReleaseWord(s.req.To), "transaction-unknown", "repositories-missing"} {
		if err := s.req.Accept.Add(accept); err != nil {
			t.Fatal(err)
		}
	}
	before := s.fingerprint()
	var m menu
	m.added, m.removed = new(int), new(int)
	u := s.upgrade()
	u.Entry, u.Medium = m, t.TempDir()
	run, err := u.Start(t.Context(), s.engine())
	if runbook.ExitCode(run, err) != runbook.ExitWaiting || *m.added != 1 || *m.removed != 0 {
		t.Fatalf("%v, entry added %d times, removed %d\n%s", err, *m.added, *m.removed, steps(run))
	}
	s.same(before)
	if run, err = u.Resume(t.Context(), s.engine(), run); runbook.ExitCode(run, err) != runbook.ExitWaiting {
		t.Fatalf("before the installer has run: %v\n%s", err, steps(run))
	}

	// What the installer does.
	for _, r := range append(s.lab.Source, s.lab.Acme) {
		zypperDo(t, s.lab, "modifyrepo", "--disable", r.Alias)
	}
	for _, r := range s.lab.Target {
		zypperDo(t, s.lab, "addrepo", "--refresh", r.URL, r.Alias)
	}
	zypperDo(t, s.lab, "refresh")
	zypperDo(t, s.lab, "dist-upgrade", "--no-recommends", "--download", "in-advance")

	if run, err = u.Resume(t.Context(), s.engine(), run); err != nil {
		t.Fatalf("%v\n%s", err, steps(run))
	}
	if out := readJSON[Outcome](t, run, outcomeName); out.Release != "SLES 12" || *m.removed == 0 {
		t.Errorf("%+v, entry removed %d times", out, *m.removed)
	}
	if run, err = u.Rollback(t.Context(), s.engine(), run); err != nil {
		t.Fatalf("%v\n%s", err, steps(run))
	}
	s.same(before)
}
