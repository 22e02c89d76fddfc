package metrics

import (
	"bytes"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lifeboat/internal/routine"
	"lifeboat/internal/storage"
)

// Prometheus' own parser reads what is written, and finds the values in it.
func TestPrometheusReadsIt(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	hostile := "away\"\n\\\xff"
	set := Collect("1.0", now, []System{
		{
			Status: routine.Status{
				System: "smt", Unfinished: []string{"a", "b"}, Held: true,
				Stores: []routine.Store{
					{Name: "main", Points: 7, Newest: "1a2b", Time: now.Add(-time.Hour), Bytes: 123456789012, Incomplete: true, Verified: routine.Verified{Time: now, Read: 5}, Space: &storage.Space{Free: 1, Total: 3}},
					{Name: hostile, Points: 5, Newest: "3c4d", Time: now.Add(-2 * time.Hour), Lacks: 2},
					{Name: "gone", Error: "it did not answer"},
				},
				Drill: routine.Drill{Passed: now.Add(-24 * time.Hour), RTO: 90 * time.Second, RPO: time.Minute},
			},
			Findings: []routine.Finding{{Level: routine.Critical}, {Level: routine.Warning}, {Level: routine.Warning}},
			Jobs:     []Job{{Name: "backup", Last: routine.Record{Started: now.Add(-time.Minute), Finished: now, Exit: 3, Succeeded: now}, Next: now.Add(time.Hour)}, {Name: "verify"}},
			Runs:     []Run{{Kind: "backup", Finished: now, Seconds: 61.5, Exit: 3}},
		},
		{Status: routine.Status{System: "opsi"}},
	}, []Notice{{Name: "admins", Told: routine.Told{Sent: now}}, {Name: "chat", Told: routine.Told{Failed: now, Error: "401"}}})
	var text bytes.Buffer
	if err := set.Write(&text); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	read, err := parser.TextToMetricFamilies(bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	value := func(name string, labels ...string) float64 {
		t.Helper()
		for _, m := range read[name].GetMetric() {
			if fits(m, labels) {
				return m.GetGauge().GetValue()
			}
		}
		t.Errorf("there is no %s of %v", name, labels)
		return -1
	}
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "lifeboat_info", []string{"1.0"}},
		{float64(now.Add(-time.Hour).Unix()), "lifeboat_point_timestamp_seconds", []string{"smt", "main"}},
		{123456789012, "lifeboat_point_bytes", []string{"smt", "main"}},
		{1, "lifeboat_point_incomplete", []string{"smt", "main"}},
		{2, "lifeboat_copy_lacking_points", []string{"smt", "away\"\n\\\uFFFD"}},
		{0, "lifeboat_repository_up", []string{"smt", "gone"}},
		{1, "lifeboat_repository_free_bytes", []string{"smt", "main"}},
		{float64(now.Unix()), "lifeboat_verify_timestamp_seconds", []string{"smt", "main"}},
		{90, "lifeboat_drill_rto_seconds", []string{"smt"}},
		{60, "lifeboat_drill_rpo_seconds", []string{"smt"}},
		{2, "lifeboat_findings", []string{"smt", "warning"}},
		{1, "lifeboat_findings", []string{"smt", "critical"}},
		{0, "lifeboat_findings", []string{"opsi", "critical"}},
		{2, "lifeboat_unfinished_runs", []string{"smt"}},
		{1, "lifeboat_services_stopped", []string{"smt"}},
		{61.5, "lifeboat_run_duration_seconds", []string{"smt", "backup"}},
		{60, "lifeboat_job_duration_seconds", []string{"smt", "backup"}},
		{3, "lifeboat_job_exit_code", []string{"smt", "backup"}},
		{float64(now.Add(time.Hour).Unix()), "lifeboat_job_next_timestamp_seconds", []string{"smt", "backup"}},
		{0, "lifeboat_notice_failing", []string{"admins"}},
		{1, "lifeboat_notice_failing", []string{"chat"}},
	} {
		if got := value(c.name, c.labels...); got != c.want {
			t.Errorf("%s of %q is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, absent := range []string{`lifeboat_points{system="smt",repository="gone"}`, `lifeboat_job_duration_seconds{system="smt",job="verify"}`, `lifeboat_drill_timestamp_seconds{system="opsi"}`, "401"} {
		if strings.Contains(text.String(), absent) {
			t.Errorf("%s is told", absent)
		}
	}
	if values := set.Values(); len(values) < 30 || values[0].Name != "lifeboat_info" || values[0].Labels["version"] != "1.0" || values[0].Value != 1 {
		t.Errorf("%d values: %+v", len(values), values[0])
	}
}

// fits tells whether a metric's labels have exactly these values.
func fits(m *dto.Metric, labels []string) bool {
	if len(m.Label) != len(labels) {
		return false
	}
	for i, l := range m.Label {
		if l.GetValue() != labels[i] {
			return false
		}
	}
	return true
}
