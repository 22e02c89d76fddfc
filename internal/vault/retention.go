package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
)

// ErrNoRules says that a retention without a rule was to be applied. It never
// means that everything may go.
var ErrNoRules = errors.New("no rule says which recovery points stay: nothing is removed")

// Verdict is what a retention says of one point.
type Verdict struct {
	Point   *Point
	Keep    bool
	Reasons []string // why it stays; empty when it goes
}

// Retain decides which points stay, each system of each host for itself: two
// servers may both be called smt in one repository. It changes nothing and reads
// nothing but its arguments. Days, weeks and hours begin as they do in
// now's time zone. ErrNoRules for rules that hold none.
//
// Only scheduled points can go. Manual, imported, pinned and damaged points, those
// made before an upgrade, and those with a time still to come stay and use up no
// place. Of one hour, day, week, month or year the newest complete point is taken.
// Where there are only incomplete ones the newest of these is, and is counted
// apart, so that incomplete points push no complete one out. The newest complete
// point of a system stays in any case, and so does the newest that can be restored.
func Retain(points []*Point, rules config.Retention, now time.Time) ([]Verdict, error) {
	if rules.IsZero() {
		return nil, ErrNoRules
	}
	verdicts := make([]Verdict, len(points))
	type machine struct{ system, host string }
	systems := map[machine][]*Verdict{}
	for i, p := range points {
		verdicts[i].Point = p
		key := machine{system: p.System()}
		if p.Snapshot != nil {
			key.host = p.Snapshot.Hostname
		}
		systems[key] = append(systems[key], &verdicts[i])
	}
	for _, all := range systems {
		retain(all, rules, now)
	}
	for i := range verdicts {
		verdicts[i].Keep = len(verdicts[i].Reasons) > 0
	}
	return verdicts, nil
}

func (v *Verdict) keep(reason string) {
	if !slices.Contains(v.Reasons, reason) {
		v.Reasons = append(v.Reasons, reason)
	}
}

func (p *Point) complete() bool   { return p.Damage == nil && !p.Manifest.Incomplete }
func (p *Point) restorable() bool { return p.Damage == nil && len(p.Manifest.Lacks()) == 0 }

// exempt says why no rule may remove a point; "" when one may.
func (p *Point) exempt(now time.Time) string {
	switch {
	case p.Pin != nil:
		return "pinned"
	case p.LostPin != nil:
		return "its pin vanished"
	case p.Damage != nil:
		return "damaged"
	case p.Trigger() != Scheduled:
		return cmp.Or(string(p.Trigger()), "no trigger")
	case p.Time().After(now):
		return "in the future"
	}
	return ""
}

// retain judges the points of one system.
func retain(all []*Verdict, rules config.Retention, now time.Time) {
	slices.SortFunc(all, func(a, b *Verdict) int { return newerFirst(a.Point, b.Point) })
	var judged []*Verdict // newest first
	for _, v := range all {
		if why := v.Point.exempt(now); why != "" {
			v.keep(why)
		} else {
			judged = append(judged, v)
		}
	}
	zone := now.Location()
	for i, r := range []struct {
		name   string
		n      int
		period func(time.Time) string
	}{
		{"last", rules.Last, nil},
		{"hourly", rules.Hourly, hour},
		{"daily", rules.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{"weekly", rules.Weekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, " ", w) }},
		{"monthly", rules.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{"yearly", rules.Yearly, func(t time.Time) string { return t.Format("2006") }},
	} {
		places := judged
		if i > 0 {
			places = perPeriod(judged, func(p *Point) string { return r.period(p.Time().In(zone)) })
		}
		fill(places, r.name, r.n)
	}
	if len(judged) > 0 && !rules.Within.IsZero() {
		// Counted from the newest point: when backups have stopped, nothing more goes.
		limit := rules.Within.Before(judged[0].Point.Time().In(zone))
		for _, v := range judged {
			if !v.Point.Time().Before(limit) {
				v.keep("within")
			}
		}
	}
	for _, v := range judged {
		for _, t := range rules.Tags {
			if slices.Contains(v.Point.Snapshot.Tags, t) {
				v.keep("tag " + t)
			}
		}
	}
	protect(all, now, "newest that can be restored", (*Point).restorable)
	protect(all, now, "newest complete", (*Point).complete)
}

// newerFirst orders points. Of two of one moment the complete one goes first, then
// the one finished later; the rest only makes the order the same every time.
func newerFirst(a, b *Point) int {
	rank := func(p *Point) (int, time.Time) {
		switch {
		case p.Damage != nil:
			return 0, time.Time{}
		case p.Manifest.Incomplete:
			return 1, p.Manifest.Finished
		}
		return 2, p.Manifest.Finished
	}
	ra, fa := rank(a)
	rb, fb := rank(b)
	return cmp.Or(b.Time().Compare(a.Time()), cmp.Compare(rb, ra), fb.Compare(fa), cmp.Compare(b.ID(), a.ID()))
}

// hour names an hour by its beginning: the hour that the end of summer time
// repeats is two.
func hour(t time.Time) string {
	return strconv.FormatInt(t.Unix()-int64(t.Minute()*60+t.Second()), 10)
}

// perPeriod takes one point of each period: the newest complete one, else the
// newest.
func perPeriod(newestFirst []*Verdict, period func(*Point) string) []*Verdict {
	var chosen []*Verdict
	last := ""
	for _, v := range newestFirst {
		switch at := period(v.Point); {
		case len(chosen) == 0 || at != last:
			chosen, last = append(chosen, v), at
		case v.Point.complete() && !chosen[len(chosen)-1].Point.complete():
			chosen[len(chosen)-1] = v
		}
	}
	return chosen
}

// fill keeps the first n complete points, and before the last of them up to n
// incomplete ones.
func fill(places []*Verdict, reason string, n int) {
	complete, incomplete := 0, 0
	for _, v := range places {
		if complete == n {
			return
		}
		if v.Point.complete() {
			complete++
		} else if incomplete++; incomplete > n {
			continue
		}
		v.keep(reason)
	}
}

// protect keeps the newest point of those that ok holds for. An imported point is
// older than it looks, and one in the future may be anything: neither replaces
// a point of the running system.
func protect(newestFirst []*Verdict, now time.Time, reason string, ok func(*Point) bool) {
	for _, v := range newestFirst {
		if ok(v.Point) && v.Point.Trigger() != Imported && !v.Point.Time().After(now) {
			v.keep(reason)
			return
		}
	}
}

// Examine looks whether all that points need is in the repository, as far as can be
// told without reading their content, and sets the Damage of those that lack
// something. Without that a point counts as whole when its
// manifest can be read. The caller holds a lock, or bears with what others change.
func (v *Vault) Examine(ctx context.Context, points []*Point) error {
	var whole []*Point
	var snapshots []*repository.Snapshot
	for _, p := range slices.Backward(points) { // the newest first
		if p.Damage == nil {
			whole, snapshots = append(whole, p), append(snapshots, p.Snapshot)
		}
	}
	lacks, err := v.repo.Lacking(ctx, snapshots)
	if err != nil {
		return fmt.Errorf("look whether the points are whole: %w", err)
	}
	for i, p := range whole {
		p.Damage = lacks[i]
	}
	return nil
}

// Forget removes the points that choose returns of all that the survey found, those
// that are Unread too. Nobody else writes meanwhile, so that what choose decides on
// stays true; it needs the repository to itself. A pinned point is ErrPinned, one whose
// pin vanished ErrUnpinned, and nothing is removed then. The data stays until a prune.
func (v *Vault) Forget(ctx context.Context, choose func(*Survey) ([]*Point, error)) error {
	err := v.remove(ctx, func(ctx context.Context) ([]repository.ID, error) {
		survey := v.Survey(ctx, Filter{})
		if _, err := survey.All(); err != nil {
			return nil, err
		}
		if survey.HeadError != nil {
			return nil, survey.HeadError
		}
		chosen, err := choose(survey)
		if err != nil {
			return nil, err
		}
		var ids []repository.ID
		for _, p := range chosen {
			switch {
			case p.Pin != nil:
				return nil, fmt.Errorf("%s: %w (lifeboat unpin%s %s first)", p.Short(), ErrPinned, v.repo.Flag(), p.Short())
			case p.LostPin != nil:
				return nil, fmt.Errorf("%s: %w (lifeboat unpin%s %s first if that is right, else pin it again)", p.Short(), ErrUnpinned, v.repo.Flag(), p.Short())
			}
			ids = append(ids, p.Snapshot.ID)
		}
		return ids, nil
	})
	if err != nil {
		return fmt.Errorf("forget recovery points: %w", err)
	}
	return nil
}
