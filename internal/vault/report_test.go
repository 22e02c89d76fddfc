package vault_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

func keepReport(t *testing.T, v *vault.Vault, system, state string, at time.Time) *vault.Report {
	t.Helper()
	r := &vault.Report{Kind: "drill", System: system, State: state, Time: at, Host: "smt1", Version: "test"}
	if err := v.SaveReport(t.Context(), r, vault.ReportFile{Name: "report.json", Text: []byte(`{"of":"` + system + `"}`)}, vault.ReportFile{Name: "report.html", Text: []byte("page")}); err != nil {
		t.Fatal(err)
	}
	return r
}

// A report is found again and is nothing else: no point, no newest, nothing that a
// retention, a look, an unpin or a copy would take.
func TestReportIsNoPoint(t *testing.T) {
	s := backuptest.New(t, "")
	s.Vault.Remember(head.New(t.TempDir()))
	first, second := backUp(t, s), backUp(t, s)
	now := time.Now().Add(time.Hour) // newer than all points
	keepReport(t, s.Vault, "app", "passed", now.Add(time.Minute))
	kept := keepReport(t, s.Vault, "app", "failed", now)
	keepReport(t, s.Vault, "other", "passed", now)

	reports, err := s.Vault.Reports(t.Context(), "drill", "app")
	if err != nil || len(reports) != 2 || reports[0].State != "failed" || reports[1].State != "passed" || reports[0].Host != "smt1" || reports[0].Version != "test" || reports[0].ID != kept.ID {
		t.Fatalf("%+v, %v", reports, err)
	}
	if text, err := s.Vault.ReportText(t.Context(), reports[0], "report.json"); err != nil || string(text) != `{"of":"app"}` {
		t.Errorf("%q, %v", text, err)
	}
	for _, name := range []string{"../manifest.json", "none.json", ""} {
		if _, err := s.Vault.ReportText(t.Context(), reports[0], name); err == nil {
			t.Errorf("%q was read", name)
		}
	}
	if other, err := s.Vault.Reports(t.Context(), "upgrade", ""); err != nil || len(other) != 0 {
		t.Errorf("%v, %v", other, err)
	}

	points := pointsOf(t, s.Vault)
	if len(points) != 2 {
		t.Errorf("%d points", len(points))
	}
	l, err := s.Vault.Latest(t.Context(), vault.Filter{}, host.Facts{})
	if err != nil || l.Point.ID() != second.ID() || l.Doubt() != nil {
		t.Errorf("latest %v, %v", l, err)
	}
	if _, err := s.Vault.Find(t.Context(), kept.ID.String(), vault.Filter{}); err == nil {
		t.Error("a report was found as a point")
	}
	if _, err := s.Vault.Unpin(t.Context(), kept.ID.String()); err == nil {
		t.Error("a report was unpinned")
	}
	verdicts, err := vault.Retain(points, config.Retention{Last: 1}, time.Now())
	if err != nil || len(verdicts) != 2 {
		t.Errorf("%v, %v", verdicts, err)
	}
	result, err := s.Vault.Verify(t.Context(), vault.VerifyOptions{})
	if err != nil || !result.OK() || len(result.Points) != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	if survey := s.Vault.Survey(t.Context(), vault.Filter{}); len(survey.Points) != 2 || survey.HeadError != nil || len(survey.Warnings()) != 0 {
		t.Errorf("%+v %v", survey, survey.Warnings())
	}

	// All points go; the reports stay, and a prune keeps what is in them.
	if err := s.Vault.Forget(t.Context(), func(s *vault.Survey) ([]*vault.Point, error) { return s.Points, nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Vault.Repository().Prune(t.Context(), repository.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if reports, err = s.Vault.Reports(t.Context(), "", ""); err != nil || len(reports) != 3 {
		t.Fatalf("%v, %v", reports, err)
	}
	for _, r := range reports {
		if text, err := s.Vault.ReportText(t.Context(), r, "report.html"); err != nil || string(text) != "page" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if !slices.Contains(first.Snapshot.Tags, "system:app") {
		t.Error("points are no longer known by their tag; reports must not have it")
	}
}

// A file's name leads nowhere else.
func TestReportNames(t *testing.T) {
	s := backuptest.New(t, "")
	for _, name := range []string{"../x", "/x", "", ".x", "a/b", strings.Repeat("x", 100)} {
		err := s.Vault.SaveReport(t.Context(), &vault.Report{Kind: "drill", System: "app"}, vault.ReportFile{Name: name})
		if err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if reports, err := s.Vault.Reports(t.Context(), "", ""); err != nil || len(reports) != 0 {
		t.Errorf("%v, %v", reports, err)
	}
}
