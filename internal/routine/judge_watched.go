package routine

import (
	"time"

	"github.com/dustin/go-humanize"
)

// What is critical where a bound is missed: a third of what is to be free, and twice
// the time that a recovery may take.
const (
	fullest = 3
	slowest = 2
)

// space judges how full the file system of a repository is.
func (j *judgement) space(r Store) {
	if r.Space == nil {
		return
	}
	bound := float64(j.o.Disk)
	if bound == 0 {
		bound = usualDisk
	}
	free := r.Space.Share()
	j.measures = append(j.measures, Measure{Name: j.System + " " + r.Name + " free", Unit: "%", Value: 100 * free, Warn: 100 * bound, Bad: 100 * bound / fullest, Least: true})
	level := OK
	switch {
	case free < bound/fullest:
		level = Critical
	case free < bound:
		level = Warning
	}
	if level != OK {
		j.add(level, "the disk of repository %s has %.1f %% free (%s of %s); give it more room, or keep less: lifeboat forget %s --prune --repository %s",
			r.Name, 100*free, humanize.IBytes(uint64(r.Space.Free)), humanize.IBytes(uint64(r.Space.Total)), j.System, r.Name)
	}
}

// drill judges what rehearsals have shown. Where nobody ever made one or asked for
// them, none is missed.
func (j *judgement) drill() {
	d := j.Drill
	todo := "lifeboat drill " + j.System
	if !d.Failed.IsZero() {
		finding := ""
		if d.Finding != "" {
			finding = ": " + short(d.Finding)
		}
		j.add(Critical, "the drill of %s failed%s; repair that, then lifeboat backup %s and %s", date(d.Failed), finding, j.System, todo)
	}
	if !d.Invalid.IsZero() {
		j.add(Warning, "the drill of %s proved nothing, as packages were changed meanwhile; %s", date(d.Invalid), todo)
	}
	switch {
	case !d.Passed.IsZero():
		if l, text := j.age("drill", d.Passed, j.orElse(j.o.Drill, usualDrill)); l != OK {
			j.add(l, "the recovery was last rehearsed %s ago; %s", text, todo)
		}
	case d.Failed.IsZero() && !d.Unknown && (d.Scheduled || !j.o.Drill.IsZero()):
		j.add(Warning, "the recovery was never rehearsed; %s", todo)
	}
	if j.o.RTO > 0 && d.RTO > 0 {
		j.measures = append(j.measures, Measure{Name: j.System + " rto", Unit: "s", Value: d.RTO.Seconds(), Warn: j.o.RTO.Seconds(), Bad: slowest * j.o.RTO.Seconds()})
		level := Warning
		if d.RTO > slowest*j.o.RTO {
			level = Critical
		}
		if d.RTO > j.o.RTO {
			j.add(level, "a recovery takes %s, as the last drill measured, and may take %s; lifeboat drill history %s has the trend",
				d.RTO.Round(time.Second), j.o.RTO, j.System)
		}
	}
}

// longest is how much of what a report says is repeated, in characters.
const longest = 200

func short(text string) string {
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// kit judges the paper in the safe. Where none was ever made, none is missed unless
// it is asked for.
func (j *judgement) kit() {
	const todo = "lifeboat kit --output DIR"
	switch k := j.Kit; {
	case k == nil && !j.o.Kit.IsZero():
		j.add(Warning, "there is no recovery kit; %s makes one", todo)
	case k == nil:
	case k.Problem != "":
		j.add(Warning, "recovery kit %s %s; %s makes another one", k.ID, k.Problem, todo)
	default:
		if l, text := j.age("kit", k.Created, j.orElse(j.o.Kit, usualKit)); l != OK {
			j.add(l, "recovery kit %s is %s old, and people and passwords may have changed; %s makes another one", k.ID, text, todo)
		}
	}
}

// certificates judges what ends soon: of this machine, and what a recovery would
// bring back.
func (j *judgement) certificates() {
	bound := j.orElse(j.o.Certificate, usualCertificate)
	for _, c := range j.Certificates {
		left := c.Until.Sub(j.now)
		if left > bound {
			continue
		}
		level, ends := Warning, "ends on "+date(c.Until)
		if left <= 0 {
			level, ends = Critical, "ended on "+date(c.Until)
		}
		what, whose := "certificate", "renew it"
		if c.Authority {
			what, whose = "certificate of the authority", "renew it, and have its clients trust the new one"
		}
		switch {
		case c.Here:
			j.add(level, "the %s %s (%s) %s; %s, then lifeboat backup %s", what, c.Path, c.Subject, ends, whose, j.System)
		case c.Renewed:
			j.add(Warning, "the newest recovery point has the %s %s that %s, and this machine a newer one; lifeboat backup %s", what, c.Path, ends, j.System)
		default:
			j.add(Warning, "the newest recovery point has the %s %s (%s), which %s and is not on this machine any more; lifeboat backup %s", what, c.Path, c.Subject, ends, j.System)
		}
	}
}
