// Package metrics writes how protected the systems are in the text form of
// Prometheus. What is told is what status looks at; nothing is judged here, and no
// secret and no path is in it.
package metrics

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"lifeboat/internal/routine"
)

// Job is a job of a system's schedule.
type Job struct {
	Name    string
	Last    routine.Record
	Running bool
	Next    time.Time // zero while the schedule is off
}

// Run is the last run of a kind that has ended: backup, recover.
type Run struct {
	Kind     string
	Finished time.Time
	Seconds  float64
	Exit     int
}

// System is all that is told of one.
type System struct {
	routine.Status
	Findings []routine.Finding
	Jobs     []Job
	Runs     []Run
}

// Notice is one of the configuration.
type Notice struct {
	Name string
	routine.Told
}

// families are collected in the order in which they were first named.
type families struct {
	list  []*dto.MetricFamily
	names map[string]*dto.MetricFamily
}

// add puts in a value. labels are names and values in turn.
func (f *families) add(name, help string, value float64, labels ...string) {
	family := f.names[name]
	if family == nil {
		kind := dto.MetricType_GAUGE
		family = &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}
		f.names[name] = family
		f.list = append(f.list, family)
	}
	m := &dto.Metric{Gauge: &dto.Gauge{Value: &value}}
	for pair := range slices.Chunk(labels, 2) {
		// A name from a repository may hold anything.
		text := strings.ToValidUTF8(pair[1], "\uFFFD")
		m.Label = append(m.Label, &dto.LabelPair{Name: &pair[0], Value: &text})
	}
	family.Metric = append(family.Metric, m)
}

// moment puts in a time, unless it is none.
func (f *families) moment(name, help string, t time.Time, labels ...string) {
	if !t.IsZero() {
		f.add(name, help, float64(t.UnixMilli())/1000, labels...)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Value is one value, as --json shows it.
type Value struct {
	Type   string            `json:"type"`
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`
}

// Set is what is told at one time.
type Set struct{ families families }

// Write writes it in the text form that Prometheus reads.
func (s *Set) Write(out io.Writer) error {
	for _, family := range s.families.list {
		if _, err := expfmt.MetricFamilyToText(out, family); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}

// Values lists it.
func (s *Set) Values() []Value {
	var values []Value
	for _, family := range s.families.list {
		for _, m := range family.Metric {
			v := Value{Type: "metric", Name: family.GetName(), Value: m.GetGauge().GetValue(), Labels: map[string]string{}}
			for _, label := range m.Label {
				v.Labels[label.GetName()] = label.GetValue()
			}
			values = append(values, v)
		}
	}
	return values
}

// Collect makes the metrics of the systems and notices. Not ages are told but the
// times since when: a file that is read later would tell wrong ones.
func Collect(version string, now time.Time, systems []System, notices []Notice) *Set {
	set := &Set{families{names: map[string]*dto.MetricFamily{}}}
	f := &set.families
	f.add("lifeboat_info", "Version of the program that wrote this.", 1, "version", version)
	f.moment("lifeboat_written_timestamp_seconds", "When this was written.", now)
	for _, s := range systems {
		for i, r := range s.Stores {
			f.store(s.System, r, i > 0)
		}
		f.system(s)
	}
	for _, n := range notices {
		f.moment("lifeboat_notice_sent_timestamp_seconds", "When the notice arrived last.", n.Sent, "notice", n.Name)
		f.add("lifeboat_notice_failing", "1 while the notice does not get through.", number(!n.Failed.IsZero()), "notice", n.Name)
	}
	return set
}

const newestPoint = "When the newest recovery point was made, or the newest known of where the repository cannot be looked at; its age is time() minus this."

func (f *families) store(system string, r routine.Store, further bool) {
	at := []string{"system", system, "repository", r.Name}
	f.add("lifeboat_repository_up", "1 if the repository could be looked at.", number(r.Error == ""), at...)
	f.moment("lifeboat_verify_timestamp_seconds", "When the points were last found whole.", r.Verified.Time, at...)
	if !r.Verified.Time.IsZero() {
		f.add("lifeboat_verify_read_bytes", "How much data that verify has read.", float64(r.Verified.Read), at...)
	}
	if r.Error != "" {
		// Its age goes on growing, so an alarm for it is not lost with the repository.
		f.moment("lifeboat_point_timestamp_seconds", newestPoint, r.Known.Time, at...)
		return
	}
	f.add("lifeboat_points", "How many recovery points there are.", float64(r.Points), at...)
	if r.Newest != "" {
		f.moment("lifeboat_point_timestamp_seconds", newestPoint, r.Time, at...)
		f.add("lifeboat_point_bytes", "What the newest recovery point protects.", float64(r.Bytes), at...)
		f.add("lifeboat_point_incomplete", "1 if the newest recovery point lacks something.", number(r.Incomplete), at...)
		f.add("lifeboat_point_damaged", "1 if the newest recovery point cannot be read.", number(r.Damaged), at...)
	}
	if further {
		f.add("lifeboat_copy_lacking_points", "How many points of the first repository this one lacks and would keep.", float64(r.Lacks), at...)
	}
	if r.Space != nil {
		f.add("lifeboat_repository_free_bytes", "Room in the file system of the repository.", float64(r.Space.Free), at...)
		f.add("lifeboat_repository_size_bytes", "Size of the file system of the repository.", float64(r.Space.Total), at...)
	}
	f.add("lifeboat_repository_doubts", "How many things changed behind this machine's back.", float64(len(r.Doubts)), at...)
}

func (f *families) system(s System) {
	of := []string{"system", s.System}
	for _, level := range []routine.Level{routine.Warning, routine.Critical} {
		n := 0
		for _, finding := range s.Findings {
			if finding.Level == level {
				n++
			}
		}
		f.add("lifeboat_findings", "What somebody should look at, as lifeboat status says it.", float64(n), "system", s.System, "level", strings.ToLower(level.String()))
	}
	f.add("lifeboat_unfinished_runs", "Runs that wait for somebody.", float64(len(s.Unfinished)), of...)
	f.add("lifeboat_services_stopped", "1 if an interrupted backup has left services stopped.", number(s.Held), of...)
	for _, r := range s.Runs {
		of := []string{"system", s.System, "kind", r.Kind}
		f.moment("lifeboat_run_timestamp_seconds", "When the last run of this kind ended.", r.Finished, of...)
		f.add("lifeboat_run_duration_seconds", "How long it took.", r.Seconds, of...)
		f.add("lifeboat_run_exit_code", "How it ended: 0 done, 3 with warnings, else not.", float64(r.Exit), of...)
	}
	f.moment("lifeboat_drill_timestamp_seconds", "When the newest drill that passed was made.", s.Drill.Passed, of...)
	f.moment("lifeboat_drill_failed_timestamp_seconds", "When a drill failed that none has made up for.", s.Drill.Failed, of...)
	if !s.Drill.Passed.IsZero() {
		f.add("lifeboat_drill_rpo_seconds", "Age of the newest recovery point when that drill began.", s.Drill.RPO.Seconds(), of...)
	}
	if s.Drill.RTO > 0 {
		f.add("lifeboat_drill_rto_seconds", "How long the recovery took in the newest full drill, else in the newest that passed.", s.Drill.RTO.Seconds(), of...)
	}
	if s.Kit != nil {
		f.moment("lifeboat_kit_timestamp_seconds", "When the recovery kit was made.", s.Kit.Created, of...)
		f.add("lifeboat_kit_broken", "1 if the kit leads to no recovery point any more.", number(s.Kit.Problem != ""), of...)
	}
	for _, j := range s.Jobs {
		of := []string{"system", s.System, "job", j.Name}
		f.moment("lifeboat_job_next_timestamp_seconds", "When the job is due.", j.Next, of...)
		f.add("lifeboat_job_running", "1 while it runs.", number(j.Running), of...)
		f.moment("lifeboat_job_started_timestamp_seconds", "When the job began last.", j.Last.Started, of...)
		f.moment("lifeboat_job_succeeded_timestamp_seconds", "When the job last ended well, with warnings or without.", j.Last.Succeeded, of...)
		if !j.Last.Finished.IsZero() {
			f.add("lifeboat_job_duration_seconds", "How long the last run took.", j.Last.Finished.Sub(j.Last.Started).Seconds(), of...)
			f.add("lifeboat_job_exit_code", "How it ended: 0 done, 3 with warnings, else not.", float64(j.Last.Exit), of...)
		}
	}
}
