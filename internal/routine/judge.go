package routine

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"lifeboat/internal/config"
)

// Level is how bad something is, as the exit code of a plugin says it (monitoring
// plugins' development guidelines).
type Level int

// The levels.
const (
	OK Level = iota
	Warning
	Critical
	Unknown
)

func (l Level) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[l] }

// Finding is something to be done.
type Finding struct {
	Level Level  `json:"-"`
	Word  string `json:"level"`
	Text  string `json:"text"` // with what to do
}

// Measure is a number with its bounds, for graphs.
type Measure struct {
	Name             string
	Unit             string // s or %
	Value, Warn, Bad float64
	Least            bool // the bounds are the least that is good
}

// String is the measure as a plugin prints it: what is below a bound with a colon is
// bad, and what is above one without (monitoring plugins' development guidelines).
func (m Measure) String() string {
	number := func(x float64) string { return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64) }
	colon := ""
	if m.Least {
		colon = ":"
	}
	return fmt.Sprintf("'%s'=%s%s;%s%s;%s%s;0", m.Name, number(m.Value), m.Unit, number(m.Warn), colon, number(m.Bad), colon)
}

// The usual bounds: a nightly backup may take its time, a monthly verify come late, a
// drill each quarter and a kit each year too.
const (
	usualRPO         = 26 * time.Hour
	usualVerify      = 35 * 24 * time.Hour
	usualCopy        = 48 * time.Hour
	usualDrill       = 100 * 24 * time.Hour
	usualKit         = 400 * 24 * time.Hour
	usualCertificate = 30 * 24 * time.Hour
	usualDisk        = 0.1
)

// judgement is what is found out about one system.
type judgement struct {
	Status
	o        config.Objectives
	now      time.Time
	findings []Finding
	measures []Measure
}

// Judge tells what is wrong with a system's protection. What is older than its bound
// is a warning, older than twice that critical.
func Judge(s Status, o config.Objectives, now time.Time) ([]Finding, []Measure) {
	j := &judgement{Status: s, o: o, now: now}
	if s.Orphaned {
		j.add(Warning, "%s", OrphanText(s.System))
		return j.findings, nil
	}
	if s.Held {
		j.add(Critical, "an interrupted backup has left services stopped; lifeboat resume-services starts them")
	}
	for i, r := range s.Stores {
		j.store(i, r)
	}
	for _, run := range s.Unfinished {
		j.add(Warning, "run %s is unfinished; lifeboat runs list says how to go on", run)
	}
	for _, text := range s.Unread {
		j.add(Warning, "%s", text)
	}
	for _, text := range s.Schedule.Problems(s.System) {
		j.add(Warning, "%s", text)
	}
	j.jobs()
	j.drill()
	j.kit()
	j.certificates()
	return j.findings, j.measures
}

// OrphanText says what a schedule comes to whose system the configuration has no longer.
func OrphanText(system string) string {
	return "its schedule is on, but the configuration has no such system any more, so its jobs fail each time; lifeboat schedule off " + system + " ends that"
}

func (j *judgement) add(l Level, format string, args ...any) {
	j.findings = append(j.findings, Finding{l, l.String(), j.System + ": " + fmt.Sprintf(format, args...)})
}

// age measures how long ago something was.
func (j *judgement) age(name string, since time.Time, bound time.Duration) (Level, string) {
	age := max(j.now.Sub(since), 0)
	j.measures = append(j.measures, Measure{Name: j.System + " " + name, Unit: "s", Value: math.Trunc(age.Seconds()), Warn: bound.Seconds(), Bad: 2 * bound.Seconds()})
	text := config.Words(age.Truncate(time.Minute))
	switch {
	case age > 2*bound:
		return Critical, text
	case age > bound:
		return Warning, text
	}
	return OK, text
}

func (j *judgement) orElse(span config.Span, usual time.Duration) time.Duration {
	if span.IsZero() {
		return usual
	}
	return j.now.Sub(span.Before(j.now))
}

// store judges one repository; the first, number 0, is backed up into.
func (j *judgement) store(number int, r Store) {
	what, bound, todo := "newest recovery point", j.o.RPO, "lifeboat backup "+j.System
	if bound == 0 {
		bound = usualRPO
	}
	if number > 0 {
		what, bound, todo = "newest copy in "+r.Name, j.orElse(j.o.Copy, usualCopy), "lifeboat copy "+j.System+" --to "+r.Name
	}
	switch {
	case r.Error != "":
		j.unseen(r, what, bound, todo)
	case r.Points == 0:
		j.add(Critical, "there is no recovery point in repository %s; %s", r.Name, todo)
	default:
		if l, text := j.age(r.Name+" point", r.Time, bound); l != OK {
			j.add(l, "the %s is %s old; %s", what, text, todo)
		}
	}
	switch {
	case r.Damaged:
		j.add(Critical, "the %s cannot be read; lifeboat verify %s --repository %s says more", what, j.System, r.Name)
	case r.Incomplete && number == 0:
		j.add(Warning, "the %s is incomplete; lifeboat show %s says what it lacks", what, j.System)
	}
	for _, doubt := range r.Doubts {
		j.add(Critical, "repository %s: %s; lifeboat verify --repository %s says more", r.Name, doubt, r.Name)
	}
	verify := "lifeboat verify " + j.System + " --repository " + r.Name
	if r.Verified.Time.IsZero() {
		if r.Points > 0 {
			j.add(Warning, "repository %s was never verified here; %s", r.Name, verify)
		}
	} else if l, text := j.age(r.Name+" verify", r.Verified.Time, j.orElse(j.o.Verify, usualVerify)); l != OK {
		j.add(l, "repository %s was last verified %s ago; %s", r.Name, text, verify)
	}
	j.space(r)
}

// unseen judges a repository that cannot be looked at by what it is known to have
// held: what is not there when it is needed grows old all the same.
func (j *judgement) unseen(r Store, what string, bound time.Duration, todo string) {
	if r.Gone && (r.Known.Point != "" || r.Verified.Points > 0) {
		j.add(Critical, "repository %s is lost, and recovery points were known in it: %s", r.Name, r.Error)
	} else {
		j.add(Warning, "repository %s cannot be looked at: %s", r.Name, r.Error)
	}
	if r.Known.Time.IsZero() {
		return
	}
	if l, text := j.age(r.Name+" point", r.Known.Time, bound); l != OK {
		j.add(l, "the %s that is known of is %s old; when repository %s can be reached again: %s", what, text, r.Name, todo)
	}
}

func (j *judgement) jobs() {
	backup := false
	for _, job := range j.Failed {
		kind := config.JobKind(job)
		if kind == config.JobDrill && !j.Drill.Failed.IsZero() {
			continue // the drill itself says what it found
		}
		backup = backup || kind == config.JobBackup
		j.add(Warning, "the last %s by schedule failed; lifeboat schedule run %s %s tries again and says why", job, j.System, job)
	}
	if b := j.Broken; b != nil && b.Sealed {
		todo := "lifeboat runs show " + b.Run + " says why"
		if len(j.Stores) > 1 {
			todo += "; lifeboat copy " + j.System + " makes the copies that are missing"
		}
		j.add(Warning, "the last backup, of %s, made its recovery point, but did not come to its end (%s); %s", date(b.Time), b.State, todo)
		return
	}
	if b := j.Broken; b != nil && !backup { // which would be the same one
		if b.Run == "" {
			j.add(Warning, "the last backup, of %s, came to no recovery point (%s: %s); lifeboat backup %s tries again", date(b.Time), b.State, short(b.Error), j.System)
			return
		}
		j.add(Warning, "the last backup, of %s, came to no recovery point (%s); lifeboat runs show %s says why", date(b.Time), b.State, b.Run)
	}
}

func date(t time.Time) string { return t.Local().Format(time.DateOnly) }
