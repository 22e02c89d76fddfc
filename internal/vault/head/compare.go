package head

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// settle finds out what became of removals that were cut short, and returns the
// points that are gone. What is there was not removed: it is as before.
func (r *record) settle(view View) []Point {
	there := func(id string) bool {
		_, unreadable := view.Unreadable[id]
		return unreadable || slices.ContainsFunc(view.Points, func(p Point) bool { return p.ID == id }) ||
			slices.ContainsFunc(view.Pins, func(p Pin) bool { return p.ID == id })
	}
	var settled []Point
	var gone, kept []string
	note := func(id string) bool {
		if there(id) {
			kept = append(kept, id)
			return false
		}
		gone = append(gone, id)
		return true
	}
	for _, p := range r.Points {
		if p.Going && note(p.ID) {
			settled = append(settled, p)
		}
	}
	for _, p := range r.Pins {
		if p.Going {
			note(p.ID)
		}
	}
	r.mark(false, kept)
	r.forget(gone...)
	return settled
}

func (r *record) forgot(id string) bool {
	return slices.ContainsFunc(r.Forgotten, func(f forgotten) bool { return f.ID == id })
}

// compare lists what is not as it was.
func (f *Findings) compare(r *record, view View) {
	present, successors := map[string]Point{}, map[string]Point{}
	for _, p := range view.Points {
		present[p.ID] = p
		if p.Original != "" && p.Original != p.ID {
			successors[p.Original] = p
		}
	}
	known := map[string]bool{}
	var vanished []Point
	for _, p := range r.Points {
		known[p.ID] = true
		now, there := present[p.ID]
		broken, unreadable := view.Unreadable[p.ID]
		next, rewritten := successors[p.ID]
		switch {
		case unreadable:
			f.report(Altered, p, adviceAltered, "its snapshot is not what was written: %v", broken)
		case there && now.Tree != p.Tree:
			f.report(Altered, p, adviceAltered, "it holds tree %s and held %s", short(now.Tree), short(p.Tree))
		case there:
		case rewritten && next.Tree == p.Tree:
			f.report(Altered, p, adviceAltered, "snapshot %s stands in its place, with the same content", short(next.ID))
		case rewritten:
			f.report(Altered, p, adviceAltered, "snapshot %s stands in its place, with other content", short(next.ID))
		default:
			vanished = append(vanished, p)
		}
	}
	for _, p := range vanished {
		f.report(Vanished, p, adviceGone, "it was there when this machine last looked, and this machine did not forget it")
	}
	f.rolledBack(r, view, vanished)
	for _, p := range view.Points {
		switch {
		case known[p.ID]:
		case r.forgot(p.ID):
			f.report(Returned, p, adviceReturned, "it was forgotten by this machine and is there again")
		default:
			f.New++
		}
	}
}

// rolledBack tells of systems whose newest points are gone: an older state of the
// repository lies there, or somebody wants the newest ones away. Points that were
// made since do not hide it.
func (f *Findings) rolledBack(r *record, view View, vanished []Point) {
	left := map[string]time.Time{}
	for _, p := range view.Points {
		if p.Time.After(left[p.System]) {
			left[p.System] = p.Time
		}
	}
	for _, p := range vanished {
		if _, told := r.RolledBack[p.System]; !told && p.Time.After(left[p.System]) {
			if r.RolledBack == nil {
				r.RolledBack = map[string]time.Time{}
			}
			r.RolledBack[p.System] = left[p.System]
		}
	}
	for _, system := range slices.Sorted(maps.Keys(r.RolledBack)) {
		last := r.RolledBack[system]
		if !slices.ContainsFunc(vanished, func(p Point) bool { return p.System == system && p.Time.After(last) }) {
			delete(r.RolledBack, system) // they are back
			continue
		}
		text := fmt.Sprintf("all points of %s that this machine knew are gone", system)
		if !last.IsZero() {
			text = fmt.Sprintf("all points of %s after %s were gone, as in an older state of the repository", system, last.Local().Format(time.DateTime))
		}
		f.Problems = append(f.Problems, Problem{Kind: RolledBack, Advice: adviceRollback, Text: text})
	}
}

// comparePins lists pins that are not as they were, and remembers the present ones.
// A point that was pinned again has lost nothing.
func (f *Findings) comparePins(r *record, view View) {
	present, pinned, points := map[string]bool{}, map[string]bool{}, map[string]Point{}
	for _, p := range view.Pins {
		present[p.ID], pinned[p.Tree] = true, true
	}
	for _, p := range view.Points {
		points[p.Tree] = p
	}
	var known []Pin
	for _, p := range r.Pins {
		broken, unreadable := view.Unreadable[p.ID]
		problem := Problem{Kind: Unpinned, Pin: &p, Advice: adviceUnpinned, Text: "its pin" + p.noted() + " is gone, and this machine did not unpin it"}
		switch {
		case present[p.ID]:
			known = append(known, p)
			continue
		case pinned[p.Tree]:
			continue
		case unreadable:
			problem.Kind, problem.Advice, problem.Text = Altered, adviceAltered, fmt.Sprintf("its pin%s is not what was written: %v", p.noted(), broken)
		}
		known = append(known, p)
		if point, there := points[p.Tree]; there {
			problem.Point = &point
		} else {
			problem.Text = "a point of " + p.System + " is gone, and " + problem.Text
		}
		f.Problems = append(f.Problems, problem)
	}
	r.Pins = known
	for _, p := range view.Pins {
		r.addPin(p)
	}
}

func (p Pin) noted() string {
	if p.Note == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", p.Note)
}

func (f *Findings) report(kind Kind, p Point, advice, format string, args ...any) {
	f.Problems = append(f.Problems, Problem{Kind: kind, Point: &p, Text: fmt.Sprintf(format, args...), Advice: advice})
}
