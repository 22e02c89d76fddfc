package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/config/calendar"
	"lifeboat/internal/strict"
)

// Schedule is what is done for a system by itself: jobs by name. A job's name is
// what it does, with more behind a hyphen where there are several: backup,
// backup-large.
type Schedule map[string]Job

// The jobs that there are.
const (
	JobBackup = "backup"
	JobVerify = "verify"
	JobDrill  = "drill"
	JobPrune  = "prune" // forget --prune
	JobCopy   = "copy"
	JobStatus = "status" // status --notify
)

var jobKinds = []string{JobBackup, JobVerify, JobDrill, JobPrune, JobCopy, JobStatus}

// Job says when and how one thing is done. A plain value is its time.
type Job struct {
	At string `yaml:"at" short:"true" jsonschema:"required"` // as calendar.Parse reads it

	// Components of a backup are captured by the jobs that name them and left out
	// by the other ones.
	Components []string `yaml:"components,omitempty"`
	// ReadData of a verify is how much data is read: all, or a part as in 5% or 1/7.
	ReadData string `yaml:"read_data,omitempty"`
	// Depth of a drill is how much is rehearsed; full unless RandomSubset, a share
	// of the files of optional components that are only read, is given.
	Depth        string `yaml:"depth,omitempty" jsonschema:"enum=quick,enum=full"`
	RandomSubset Share  `yaml:"random_subset,omitempty"`

	RandomDelay time.Duration `yaml:"random_delay,omitempty"` // at most so much later
	Persistent  *bool         `yaml:"persistent,omitempty"`   // a missed run is caught up; default yes

	Nice   int    `yaml:"nice,omitempty"` // as nice(1)
	IONice string `yaml:"ionice,omitempty" jsonschema:"enum=low,enum=idle"`
	Limit  Limit  `yaml:"limit,omitempty"` // default the repository's
}

func handleSchedule(doc *strict.Document) {
	strict.Handle(doc, func(node *yaml.Node, j *Job) {
		if node.Kind == yaml.ScalarNode {
			doc.Decode(node, &j.At)
			if err := j.Validate(); err != nil {
				doc.Problem(node, "%v", err)
			}
			return
		}
		doc.Fill(node, j)
	})
}

// jobMore tells several jobs of a kind apart. It has no dot: units are called by
// system, dot, job.
var jobMore = regexp.MustCompile(`^[a-z0-9-]+$`)

// JobKind is what a job of this name does; "" if nothing does.
func JobKind(name string) string {
	kind, more, several := strings.Cut(name, "-")
	if !slices.Contains(jobKinds, kind) || several && !jobMore.MatchString(more) || len(name) > 60 {
		return ""
	}
	return kind
}

// Calendar is when the job is done.
func (j Job) Calendar() (calendar.Calendar, error) { return calendar.Parse(j.At) }

// CatchesUp tells whether a run that was missed, as the machine was off, is made
// as soon as it can be.
func (j Job) CatchesUp() bool { return j.Persistent == nil || *j.Persistent }

// Validate checks what every job has.
func (j *Job) Validate() error {
	_, err := j.Calendar()
	errs := []error{named("at", err)}
	if j.Nice < -20 || j.Nice > 19 {
		errs = append(errs, fmt.Errorf("nice: %d is not between -20 and 19", j.Nice))
	}
	if j.RandomDelay > 24*time.Hour {
		errs = append(errs, errors.New("random_delay: more than 24h"))
	}
	return errors.Join(errs...)
}

// checkSchedule finds what is wrong with the jobs beyond each one's own keys.
func checkSchedule(s System) error {
	var errs []error
	for name, job := range s.Schedule {
		kind := JobKind(name)
		if kind == "" {
			errs = append(errs, fmt.Errorf("system %s: schedule: there is no job %q%s; a job is called %s, with more behind a hyphen if need be (backup-large)",
				s.Name, name, strict.Suggest(name, jobKinds), strings.Join(jobKinds, ", ")))
			continue
		}
		if len(job.Components) > 0 && kind != JobBackup {
			errs = append(errs, fmt.Errorf("system %s: schedule: %s: components are of a backup", s.Name, name))
		}
		if job.ReadData != "" && kind != JobVerify {
			errs = append(errs, fmt.Errorf("system %s: schedule: %s: read_data is of a verify", s.Name, name))
		}
		if (job.Depth != "" || job.RandomSubset != 0) && kind != JobDrill {
			errs = append(errs, fmt.Errorf("system %s: schedule: %s: depth and random_subset are of a drill", s.Name, name))
		}
		if job.Depth != "" && job.RandomSubset != 0 {
			errs = append(errs, fmt.Errorf("system %s: schedule: %s: depth and random_subset exclude each other", s.Name, name))
		}
		if job.ReadData != "" && !partOfData(job.ReadData) {
			errs = append(errs, fmt.Errorf("system %s: schedule: %s: read_data: %q is no part: write all, 5%% or 1/7", s.Name, name, job.ReadData))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func partOfData(text string) bool {
	if text == "all" {
		return true
	}
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.ParseFloat(percent, 64)
		return err == nil && n > 0 && n <= 100
	}
	n, of, ok := strings.Cut(text, "/")
	part, err := strconv.ParseUint(n, 10, 16)
	parts, err2 := strconv.ParseUint(of, 10, 16)
	return ok && err == nil && err2 == nil && part >= 1 && part <= parts
}

// DefaultBackup is when a system is backed up unless the configuration says
// otherwise: when SUSE's article for SMT has its script run.
const DefaultBackup = "22 2 * * *"

// ScheduleOf is the schedule of a system; without one in the configuration it is
// backed up every night, and once a week checked and rid of what its retention
// does not keep. A drill is never among it unasked: it takes disk, processor and the
// installed product, and which hour bears that its owner knows.
func (c *Config) ScheduleOf(s System) Schedule {
	if s.Schedule != nil {
		return s.Schedule
	}
	jobs := Schedule{JobBackup: {At: DefaultBackup}, JobVerify: {At: "Sun 04:22", ReadData: "5%"}}
	for _, r := range c.RepositoriesOf(s) {
		if !c.Retention(s, r.Name).IsZero() {
			jobs[JobPrune] = Job{At: "Sun 06:22"}
		}
	}
	return jobs
}

// Choice is what a backup job of the schedule takes in (true) and leaves out, on
// top of the system's own components.
func (s Schedule) Choice(name string) map[string]bool {
	choice := map[string]bool{}
	for other, job := range s {
		if JobKind(other) != JobBackup {
			continue
		}
		for _, component := range job.Components {
			choice[component] = slices.Contains(s[name].Components, component)
		}
	}
	return choice
}
