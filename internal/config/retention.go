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
)

// Retention says which of the scheduled recovery points of one system stay. A
// point stays when any of its rules wants it. The zero value has no rule; it
// never means that everything may go.
type Retention struct {
	Last    int      `yaml:"last,omitempty" json:"last,omitempty"`
	Hourly  int      `yaml:"hourly,omitempty" json:"hourly,omitempty"` // newest of each of so many hours that have a point
	Daily   int      `yaml:"daily,omitempty" json:"daily,omitempty"`
	Weekly  int      `yaml:"weekly,omitempty" json:"weekly,omitempty"`
	Monthly int      `yaml:"monthly,omitempty" json:"monthly,omitempty"`
	Yearly  int      `yaml:"yearly,omitempty" json:"yearly,omitempty"`
	Within  Span     `yaml:"within,omitempty" json:"within,omitzero"` // before the newest point
	Tags    []string `yaml:"tags,omitempty" json:"tags,omitempty"`    // any of them
}

// IsZero tells that there is no rule.
func (r Retention) IsZero() bool {
	return r.Last == 0 && r.Hourly == 0 && r.Daily == 0 && r.Weekly == 0 && r.Monthly == 0 && r.Yearly == 0 && r.Within.IsZero() && len(r.Tags) == 0
}

// Validate refuses negative numbers, empty tags, and a retention without any rule.
func (r *Retention) Validate() error {
	if r.IsZero() {
		return errors.New("retention has no rule; name at least one of last, hourly, daily, weekly, monthly, yearly, within, tags, or leave it out to keep everything")
	}
	for _, rule := range []struct {
		name string
		n    int
	}{{"last", r.Last}, {"hourly", r.Hourly}, {"daily", r.Daily}, {"weekly", r.Weekly}, {"monthly", r.Monthly}, {"yearly", r.Yearly}} {
		if rule.n < 0 {
			return fmt.Errorf("retention: %s: %d is negative", rule.name, rule.n)
		}
	}
	if slices.Contains(r.Tags, "") {
		return errors.New("retention: an empty tag")
	}
	return nil
}

// String writes the rules as a person says them.
func (r Retention) String() string {
	var rules []string
	for _, rule := range []struct {
		name string
		n    int
	}{{"last", r.Last}, {"hourly", r.Hourly}, {"daily", r.Daily}, {"weekly", r.Weekly}, {"monthly", r.Monthly}, {"yearly", r.Yearly}} {
		if rule.n != 0 {
			rules = append(rules, fmt.Sprintf("%s %d", rule.name, rule.n))
		}
	}
	if !r.Within.IsZero() {
		rules = append(rules, "within "+r.Within.String())
	}
	if len(r.Tags) > 0 {
		rules = append(rules, "tags "+strings.Join(r.Tags, " "))
	}
	return strings.Join(rules, ", ")
}

// Span is a length of time in the calendar's units: a month is not always as
// many days. Written 1y6mo14d12h, and w for weeks. A lone m, which is months to restic,
// is minutes wherever this program reads a time, so it is refused here.
type Span struct {
	Years, Months, Days, Hours int
}

// maxSpan bounds each unit; a longer memory than that is a mistake.
const maxSpan = 100_000

var (
	spanForm = regexp.MustCompile(`^([0-9]+[a-z]+)+$`)
	spanPart = regexp.MustCompile(`([0-9]+)([a-z]+)`)
)

// ParseSpan reads a span. Each unit stands once, in any order.
func ParseSpan(text string) (Span, error) {
	var s Span
	wrong := fmt.Errorf("%q is no span of time; write one like 14d, 8w, 6mo or 1y6mo (h hours, d days, w weeks, mo months, y years)", text)
	if !spanForm.MatchString(text) {
		return Span{}, wrong
	}
	seen := map[string]bool{}
	for _, part := range spanPart.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(part[1])
		unit := part[2]
		if err != nil || n > maxSpan || seen[unit] {
			return Span{}, wrong
		}
		seen[unit] = true
		switch unit {
		case "y":
			s.Years = n
		case "mo":
			s.Months = n
		case "w":
			s.Days += 7 * n
		case "d":
			s.Days += n
		case "h":
			s.Hours = n
		case "m":
			return Span{}, fmt.Errorf("%q: m is minutes everywhere; for months write %dmo", text, n)
		default:
			return Span{}, wrong
		}
	}
	if s.IsZero() {
		return Span{}, wrong
	}
	return s, nil
}

// IsZero tells that the span has no length.
func (s Span) IsZero() bool { return s == Span{} }

// Before is the moment so long before t, by the calendar of t's time zone.
func (s Span) Before(t time.Time) time.Time {
	return t.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

func (s Span) String() string {
	text := ""
	for _, part := range []struct {
		n    int
		unit string
	}{{s.Years, "y"}, {s.Months, "mo"}, {s.Days, "d"}, {s.Hours, "h"}} {
		if part.n != 0 {
			text += strconv.Itoa(part.n) + part.unit
		}
	}
	return text
}

// Set makes a Span a flag of the command line.
func (s *Span) Set(text string) (err error) {
	*s, err = ParseSpan(text)
	return err
}

// Type names the flag's value.
func (*Span) Type() string { return "span" }

// MarshalText writes a span into JSON.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML writes a span into a configuration.
func (s Span) MarshalYAML() (any, error) { return s.String(), nil }

// UnmarshalYAML reads a span from a configuration.
func (s *Span) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return errors.New("must be a single value like 14d")
	}
	return s.Set(node.Value)
}

// Retention is what applies to a system in a repository: its own, else the
// repository's. The zero value keeps everything.
func (c *Config) Retention(s System, repository string) Retention {
	if s.Retention != nil {
		return *s.Retention
	}
	if r, ok := c.Repository(repository); ok && r.Retention != nil {
		return *r.Retention
	}
	return Retention{}
}

// RepositoriesOf lists the repositories of a system: the first, which is backed
// up into, then those that hold a copy. A system that names none has the first of all.
func (c *Config) RepositoriesOf(s System) []Repository {
	names := s.Repositories
	if len(names) == 0 && len(c.Repositories) > 0 {
		names = []string{c.Repositories[0].Name}
	}
	var list []Repository
	for _, name := range names {
		if r, ok := c.Repository(name); ok {
			list = append(list, r)
		}
	}
	return list
}
