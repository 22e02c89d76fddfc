package routine

import (
	"fmt"
	"path/filepath"
	"time"

	"lifeboat/internal/config"
)

// Verified is what is remembered of a verify that found a repository whole.
type Verified struct {
	Time   time.Time `json:"time"`
	Points int       `json:"points"` // of the system
	Bytes  int64     `json:"bytes"`  // of all packs
	Read   int64     `json:"bytes_read"`
}

// Verified reads when a system's points in a repository were last found whole; the
// zero value if never.
func (b Book) Verified(system, repository string) (Verified, error) {
	var v Verified
	return v, b.read(filepath.Join("verified", plain(system), plain(repository)+".json"), &v)
}

// SetVerified remembers that.
func (b Book) SetVerified(system, repository string, v Verified) error {
	return b.write(filepath.Join("verified", plain(system), plain(repository)+".json"), v)
}

// Store is how one repository of a system stands.
type Store struct {
	Name       string    `json:"name"`
	Error      string    `json:"error,omitempty"` // it could not be looked at
	Points     int       `json:"points"`
	Newest     string    `json:"newest,omitempty"`
	Time       time.Time `json:"time,omitzero"` // of the newest
	Incomplete bool      `json:"incomplete,omitempty"`
	Damaged    bool      `json:"damaged,omitempty"` // the newest cannot be read
	Lacks      int       `json:"lacks,omitempty"`   // points of the first one that it would keep
	Verified   Verified  `json:"verified,omitzero"`
	Doubts     []string  `json:"doubts,omitempty"` // what changed behind this machine's back
}

// Status is how a system's protection stands.
type Status struct {
	System     string   `json:"system"`
	Stores     []Store  `json:"repositories"`         // the first is backed up into
	Unfinished []string `json:"unfinished,omitempty"` // runs that wait for somebody
	Held       bool     `json:"held,omitempty"`       // a backup that died has left services stopped
	Failed     []string `json:"failed,omitempty"`     // jobs whose last run failed
}

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

// Measure is an age with its bounds.
type Measure struct {
	Name           string
	Age, Warn, Bad time.Duration
}

// The usual bounds: a nightly backup may take its time, a monthly verify come late.
const (
	usualRPO    = 26 * time.Hour
	usualVerify = 35 * 24 * time.Hour
	usualCopy   = 48 * time.Hour
)

// Judge tells what is wrong with a system's protection. What is older than its bound
// is a warning, older than twice that critical.
func Judge(s Status, o config.Objectives, now time.Time) (findings []Finding, measures []Measure) {
	add := func(l Level, format string, args ...any) {
		findings = append(findings, Finding{l, l.String(), s.System + ": " + fmt.Sprintf(format, args...)})
	}
	age := func(name string, since time.Time, bound time.Duration) (Level, string) {
		m := Measure{Name: name, Age: max(now.Sub(since), 0), Warn: bound, Bad: 2 * bound}
		measures = append(measures, m)
		text := m.Age.Truncate(time.Minute).String()
		switch {
		case m.Age > m.Bad:
			return Critical, text
		case m.Age > m.Warn:
			return Warning, text
		}
		return OK, text
	}
	if s.Held {
		add(Critical, "an interrupted backup has left services stopped; lifeboat resume-services starts them")
	}
	for i, r := range s.Stores {
		what, bound, todo := "newest recovery point", o.RPO, "lifeboat backup "+s.System
		if bound == 0 {
			bound = usualRPO
		}
		if i > 0 {
			what, bound, todo = "newest copy in "+r.Name, orElse(o.Copy, usualCopy, now), "lifeboat copy "+s.System+" --to "+r.Name
		}
		switch {
		case r.Error != "":
			add(Warning, "repository %s cannot be looked at: %s", r.Name, r.Error)
		case r.Points == 0:
			add(Critical, "there is no recovery point in repository %s; %s", r.Name, todo)
		default:
			if l, text := age(s.System+" "+r.Name+" point", r.Time, bound); l != OK {
				add(l, "the %s is %s old; %s", what, text, todo)
			}
		}
		switch {
		case r.Damaged:
			add(Critical, "the %s cannot be read; lifeboat verify %s --repository %s says more", what, s.System, r.Name)
		case r.Incomplete && i == 0:
			add(Warning, "the %s is incomplete; lifeboat show %s says what it lacks", what, s.System)
		}
		for _, doubt := range r.Doubts {
			add(Critical, "repository %s: %s; lifeboat verify --repository %s says more", r.Name, doubt, r.Name)
		}
		verify := "lifeboat verify " + s.System + " --repository " + r.Name
		if r.Verified.Time.IsZero() {
			if r.Points > 0 {
				add(Warning, "repository %s was never verified here; %s", r.Name, verify)
			}
		} else if l, text := age(s.System+" "+r.Name+" verify", r.Verified.Time, orElse(o.Verify, usualVerify, now)); l != OK {
			add(l, "repository %s was last verified %s ago; %s", r.Name, text, verify)
		}
	}
	for _, run := range s.Unfinished {
		add(Warning, "run %s is unfinished; lifeboat runs list says how to go on", run)
	}
	for _, job := range s.Failed {
		add(Warning, "the last %s by schedule failed; lifeboat schedule run %s %s tries again and says why", job, s.System, job)
	}
	return findings, measures
}

func orElse(span config.Span, usual time.Duration, now time.Time) time.Duration {
	if span.IsZero() {
		return usual
	}
	return now.Sub(span.Before(now))
}
