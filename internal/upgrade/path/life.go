package path

import "time"

// Stage is where a release stands in its life.
type Stage string

// The stages. The names of the first three columns of a support table are the stages
// that they speak of.
const (
	Unpublished Stage = "unpublished" // not yet out
	Recent      Stage = "recent"      // in general support
	Previous    Stage = "previous"    // only with long-term support, while its version is in general support
	Extended    Stage = "extended"    // only with long-term support, after that
	Ended       Stage = "ended"       // no support at all
	Unknown     Stage = "unknown"     // not all days were published
)

// Standing is where a release stands on a day, and what support it gets then.
type Standing struct {
	Release   Release `json:"release"`
	Codename  string  `json:"codename,omitempty"`
	Published Date    `json:"published"`
	General   Date    `json:"general"`  // last day of general support
	Extended  Date    `json:"extended"` // last day of long-term support, which takes a contract of its own
	Source    Source  `json:"source"`

	Stage Stage `json:"stage"`
	// Year of its version's life, from 1; 0 when that is not out, or its day not known.
	Year int `json:"year,omitempty"`
	// Newest says that no later service pack of its version is out.
	Newest bool `json:"newest"`
	// Column is the part of the support table that speaks of it, nil where none does.
	Column *Column `json:"column,omitempty"`
	Levels []Given `json:"levels,omitempty"`

	Cycle       *Cycle  `json:"cycle,omitempty"` // of its product
	CycleSource *Source `json:"cycle_source,omitempty"`
	LevelSource *Source `json:"level_source,omitempty"`
}

// Given is what there is of a service.
type Given struct {
	Service string `json:"service"`
	Given   string `json:"given"`
}

// Standing says where a release stands on a day. It must be one of the catalogue.
func (c *Catalogue) Standing(r Release, now time.Time) Standing {
	e, _ := c.Edition(r)
	s := Standing{
		Release: r, Codename: e.Codename, Published: e.Published, General: e.General, Extended: e.Extended,
		Source: c.source(e.Source), Newest: true,
	}
	if p, ok := c.Product(r.Product); ok && p.Cycle != nil {
		source := c.source(p.Cycle.Source)
		s.Cycle, s.CycleSource = p.Cycle, &source
	}
	var last Date // of its version's general support
	for _, other := range c.order[r.Product] {
		o := c.releases[other]
		if other.Version != r.Version {
			continue
		}
		if other.SP == 0 && !o.Published.IsZero() && !now.Before(o.Published.Time) {
			s.Year = years(o.Published.Time, now)
		}
		if other.SP > r.SP && !o.Published.IsZero() && !now.Before(o.Published.Time) {
			s.Newest = false
		}
		if o.General.After(last.Time) {
			last = o.General
		}
	}
	s.Stage = stage(e, last, now)
	for i := range c.Support.Columns {
		column := &c.Support.Columns[i]
		if column.Stage == s.Stage && s.Year >= column.From && s.Year <= column.To {
			source := c.source(c.Support.Source)
			s.Column, s.LevelSource = column, &source
			for _, l := range c.Support.Levels {
				s.Levels = append(s.Levels, Given{l.Service, l.Given[i]})
			}
		}
	}
	return s
}

func stage(e Edition, last Date, now time.Time) Stage {
	switch {
	case e.Published.IsZero() || e.General.IsZero():
		return Unknown
	case now.Before(e.Published.Time):
		return Unpublished
	case !e.General.over(now):
		return Recent
	case e.Extended.IsZero() || e.Extended.over(now):
		return Ended
	case !last.over(now):
		return Previous
	}
	return Extended
}

// years counts the years that have begun.
func years(since, now time.Time) int {
	n := 0
	for !now.Before(since.AddDate(n, 0, 0)) {
		n++
	}
	return n
}
