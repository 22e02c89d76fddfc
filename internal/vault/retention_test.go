package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
)

// parsePoint makes a point of a line such as "smt scheduled 2026-11-21T08:00:00Z
// incomplete"; further words are incomplete, lacking, damaged, pinned,
// @HOST and #TAG.
func parsePoint(t *testing.T, line string) *Point {
	t.Helper()
	words := strings.Fields(line)
	at, err := time.Parse(time.RFC3339, words[2])
	if err != nil {
		t.Fatal(err)
	}
	tree := repository.ID(sha256.Sum256([]byte(line)))
	p := &Point{
		Snapshot: &repository.Snapshot{ID: tree, Time: at, Tree: &tree, Tags: []string{tagSystem + words[0]}},
		Manifest: &Manifest{System: words[0], Moment: at, Finished: at},
	}
	if words[1] != "-" {
		p.Snapshot.Tags = append(p.Snapshot.Tags, tagTrigger+words[1])
	}
	for _, word := range words[3:] {
		switch {
		case word == "incomplete":
			p.Manifest.Incomplete = true
		case word == "lacking":
			p.Manifest.Incomplete = true
			p.Manifest.Components = []component.Record{{Name: "database", Importance: profile.Critical, Status: component.StatusSkipped}}
		case word == "damaged":
			p.Manifest, p.Damage = nil, errors.New("damaged")
		case word == "pinned":
			p.Pin = &Pin{Tree: tree}
		case strings.HasPrefix(word, "@"):
			p.Snapshot.Hostname = word[1:]
		case strings.HasPrefix(word, "#"):
			p.Snapshot.Tags = append(p.Snapshot.Tags, word[1:])
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return p
}

func parsePoints(t *testing.T, text string) (points []*Point, lines []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			points, lines = append(points, parsePoint(t, line)), append(lines, line)
		}
	}
	return points, lines
}

// Every line is a point, and after an arrow why it stays; a point without an
// arrow goes.
func TestRetain(t *testing.T) {
	daily := config.Retention{Daily: 2}
	tests := []struct {
		name  string
		rules config.Retention
		zone  string // "" is UTC
		want  string
	}{
		{"last", config.Retention{Last: 2}, "", `
			smt scheduled 2026-11-19T08:00:00Z
			smt scheduled 2026-11-20T08:00:00Z -> last
			smt scheduled 2026-11-20T09:00:00Z -> last, newest that can be restored, newest complete`},
		{"two hosts with a system of the same name", config.Retention{Last: 1}, "", `
			smt scheduled 2026-11-18T08:00:00Z @one
			smt scheduled 2026-11-19T08:00:00Z @one -> last, newest that can be restored, newest complete
			smt scheduled 2026-11-20T08:00:00Z @two
			smt scheduled 2026-11-21T08:00:00Z @two -> last, newest that can be restored, newest complete`},
		{"the newest of each period", config.Retention{Hourly: 1, Daily: 2, Weekly: 2, Monthly: 2, Yearly: 2}, "", `
			smt scheduled 2025-06-01T08:00:00Z
			smt scheduled 2025-12-31T08:00:00Z -> yearly
			smt scheduled 2026-10-30T08:00:00Z -> monthly
			smt scheduled 2026-11-14T08:00:00Z
			smt scheduled 2026-11-15T08:00:00Z -> weekly
			smt scheduled 2026-11-19T08:00:00Z
			smt scheduled 2026-11-20T08:00:00Z
			smt scheduled 2026-11-20T09:00:00Z -> daily
			smt scheduled 2026-11-21T08:00:00Z
			smt scheduled 2026-11-21T08:59:00Z -> hourly, daily, weekly, monthly, yearly, newest that can be restored, newest complete`},
		{"days without a point take no place", daily, "", `
			smt scheduled 2026-03-01T08:00:00Z
			smt scheduled 2026-03-02T08:00:00Z -> daily
			smt scheduled 2026-11-20T09:00:00Z -> daily, newest that can be restored, newest complete`},
		{"what a person or an upgrade made", daily, "", `
			smt manual 2026-11-01T08:00:00Z -> manual
			smt before-upgrade 2026-11-02T08:00:00Z -> before-upgrade
			smt imported 2026-11-03T08:00:00Z -> imported
			smt from-mars 2026-11-04T08:00:00Z -> from-mars
			smt - 2026-11-05T08:00:00Z -> no trigger
			smt scheduled 2026-11-06T08:00:00Z pinned -> pinned
			smt scheduled 2026-11-07T08:00:00Z
			smt scheduled 2026-11-08T08:00:00Z -> daily
			smt scheduled 2026-11-09T08:00:00Z -> daily, newest that can be restored, newest complete
			smt scheduled 2026-11-09T07:00:00Z damaged -> damaged`},
		{"those use up no place", daily, "", `
			smt scheduled 2026-11-06T08:00:00Z
			smt scheduled 2026-11-07T08:00:00Z -> daily
			smt scheduled 2026-11-08T08:00:00Z -> daily
			smt manual 2026-11-08T09:00:00Z -> manual
			smt scheduled 2026-11-10T08:00:00Z pinned -> pinned
			smt manual 2026-11-11T09:00:00Z -> manual, newest that can be restored, newest complete`},
		{"each system for itself", config.Retention{Last: 1}, "", `
			smt scheduled 2026-11-06T08:00:00Z
			rmt scheduled 2026-01-07T08:00:00Z -> last, newest that can be restored, newest complete
			smt scheduled 2026-11-08T08:00:00Z -> last, newest that can be restored, newest complete`},
		{"an incomplete point pushes no complete one out", daily, "", `
			smt scheduled 2026-11-01T08:00:00Z
			smt scheduled 2026-11-02T08:00:00Z incomplete
			smt scheduled 2026-11-03T08:00:00Z -> daily
			smt scheduled 2026-11-04T08:00:00Z -> daily, newest complete
			smt scheduled 2026-11-05T08:00:00Z incomplete
			smt scheduled 2026-11-06T08:00:00Z incomplete -> daily
			smt scheduled 2026-11-07T08:00:00Z incomplete -> daily, newest that can be restored`},
		{"the complete one of a day, though older", daily, "", `
			smt scheduled 2026-11-20T08:00:00Z -> daily, newest complete
			smt scheduled 2026-11-20T09:00:00Z incomplete
			smt scheduled 2026-11-20T10:00:00Z lacking
			smt scheduled 2026-11-20T09:30:00Z incomplete -> newest that can be restored`},
		{"never a complete one", daily, "", `
			smt scheduled 2026-11-17T08:00:00Z incomplete
			smt scheduled 2026-11-18T08:00:00Z incomplete
			smt scheduled 2026-11-19T08:00:00Z incomplete -> daily, newest that can be restored
			smt scheduled 2026-11-20T08:00:00Z lacking -> daily`},
		{"by rules that want only tagged ones the newest stays", config.Retention{Tags: []string{"audit"}}, "", `
			smt scheduled 2026-11-17T08:00:00Z #audit -> tag audit
			smt scheduled 2026-11-18T08:00:00Z -> newest that can be restored, newest complete
			smt scheduled 2026-11-19T08:00:00Z lacking`},
		{"an imported point replaces none of the running system", config.Retention{Tags: []string{"audit"}}, "", `
			smt scheduled 2026-11-18T08:00:00Z -> newest that can be restored, newest complete
			smt imported 2026-11-19T08:00:00Z -> imported`},
		{"in the future", config.Retention{Last: 1}, "", `
			smt scheduled 2026-11-17T08:00:00Z
			smt scheduled 2026-11-18T08:00:00Z -> last, newest that can be restored, newest complete
			smt scheduled 2036-11-18T08:00:00Z -> in the future`},
		{"at one moment", config.Retention{Last: 1}, "", `
			smt scheduled 2026-11-18T08:00:00Z incomplete
			smt scheduled 2026-11-18T08:00:00Z -> last, newest that can be restored, newest complete
			smt scheduled 2026-11-18T09:00:00+01:00 lacking`},
		{"within, from the newest point on", config.Retention{Within: config.Span{Months: 1}}, "", `
			smt scheduled 2025-02-27T08:00:00Z
			smt scheduled 2025-02-28T07:59:59Z
			smt scheduled 2025-02-28T08:00:00Z -> within
			smt scheduled 2025-03-28T08:00:00Z -> within
			smt manual 2026-11-01T08:00:00Z -> manual, newest that can be restored, newest complete`},
		{"days begin at midnight of this place", daily, "America/New_York", `
			smt scheduled 2026-11-18T04:30:00Z -> daily
			smt scheduled 2026-11-18T05:30:00Z
			smt scheduled 2026-11-19T04:30:00Z -> daily, newest that can be restored, newest complete`},
		{"wherever the points were made", daily, "Asia/Kolkata", `
			smt scheduled 2026-11-18T19:00:00+01:00 -> daily
			smt scheduled 2026-11-18T13:31:00-05:00
			smt scheduled 2026-11-19T12:00:00+09:00 -> daily, newest that can be restored, newest complete`},
		{"the hour that summer time's end repeats is two", config.Retention{Hourly: 3}, "Europe/Berlin", `
			smt scheduled 2025-10-26T01:59:00+02:00
			smt scheduled 2025-10-26T02:10:00+02:00
			smt scheduled 2025-10-26T02:50:00+02:00 -> hourly
			smt scheduled 2025-10-26T02:10:00+01:00
			smt scheduled 2025-10-26T02:50:00+01:00 -> hourly
			smt scheduled 2025-10-26T03:00:00+01:00 -> hourly, newest that can be restored, newest complete`},
		{"a day of 23 hours and one of 25", daily, "Europe/Berlin", `
			smt scheduled 2025-10-25T23:59:59+02:00 -> daily
			smt scheduled 2025-10-26T00:00:00+02:00
			smt scheduled 2025-10-26T23:59:59+01:00 -> daily, newest that can be restored, newest complete`},
		{"weeks belong to the year of their Thursday", config.Retention{Weekly: 2}, "", `
			smt scheduled 2024-12-29T08:00:00Z -> weekly
			smt scheduled 2024-12-30T08:00:00Z
			smt scheduled 2025-01-05T08:00:00Z -> weekly, newest that can be restored, newest complete`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			want := map[string]string{}
			for line := range strings.Lines(test.want) {
				point, reasons, _ := strings.Cut(strings.TrimSpace(line), " -> ")
				want[point] = reasons
				fmt.Fprintln(&text, point)
			}
			points, lines := parsePoints(t, text.String())
			zone, err := time.LoadLocation(test.zone)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC).In(zone)
			// The order in which the points come makes no difference.
			for range 2 {
				verdicts, err := Retain(points, test.rules, now)
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range verdicts {
					if v.Point != points[i] || v.Keep != (len(v.Reasons) > 0) {
						t.Fatalf("verdict %d: %+v", i, v)
					}
					if got := strings.Join(v.Reasons, ", "); got != want[lines[i]] {
						t.Errorf("%s\n got %q\nwant %q", lines[i], got, want[lines[i]])
					}
				}
				slices.Reverse(points)
				slices.Reverse(lines)
			}
		})
	}
}

func TestRetainWithoutRules(t *testing.T) {
	points, _ := parsePoints(t, "smt scheduled 2026-11-17T08:00:00Z")
	if verdicts, err := Retain(points, config.Retention{}, time.Now()); !errors.Is(err, ErrNoRules) || verdicts != nil {
		t.Errorf("%v, %v", verdicts, err)
	}
}

// Once a retention was applied, applying it again removes nothing more.
func TestRetainTwice(t *testing.T) {
	var text strings.Builder
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 600 {
		fmt.Fprintf(&text, "smt scheduled %s%s\n", at.Add(time.Duration(i)*37*time.Hour).Format(time.RFC3339), []string{"", "", " incomplete", "", " lacking"}[i%5])
	}
	points, _ := parsePoints(t, text.String())
	rules := config.Retention{Last: 3, Hourly: 5, Daily: 7, Weekly: 5, Monthly: 12, Yearly: 3, Within: config.Span{Days: 10}}
	first := kept(t, points, rules)
	if second := kept(t, first, rules); !slices.Equal(first, second) || len(first) < 20 || len(first) > 60 {
		t.Errorf("%d stay of %d, then %d", len(first), len(points), len(second))
	}
}

func kept(t *testing.T, points []*Point, rules config.Retention) (stay []*Point) {
	t.Helper()
	verdicts, err := Retain(points, rules, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Keep {
			stay = append(stay, v.Point)
		}
	}
	return stay
}

// What a second repository lacks: not what it has forgotten by its own rules, and
// nothing damaged.
func TestMissing(t *testing.T) {
	points, lines := parsePoints(t, `
		smt scheduled 2026-11-15T08:00:00Z
		smt scheduled 2026-11-16T08:00:00Z
		smt manual 2026-11-17T08:00:00Z
		smt scheduled 2026-11-18T08:00:00Z
		smt scheduled 2026-11-18T09:00:00Z damaged
		smt scheduled 2026-11-19T08:00:00Z`)
	name := map[*Point]string{}
	for i, p := range points {
		name[p] = lines[i][len("smt "):]
	}
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		rules config.Retention
		there []*Point
		want  string
	}{
		{config.Retention{}, nil, "scheduled 2026-11-15T08:00:00Z, scheduled 2026-11-16T08:00:00Z, manual 2026-11-17T08:00:00Z, scheduled 2026-11-18T08:00:00Z, scheduled 2026-11-19T08:00:00Z"},
		{config.Retention{}, points[:5], "scheduled 2026-11-19T08:00:00Z"},
		{config.Retention{}, points, ""},
		{config.Retention{Last: 2}, nil, "manual 2026-11-17T08:00:00Z, scheduled 2026-11-18T08:00:00Z, scheduled 2026-11-19T08:00:00Z"},
		{config.Retention{Last: 2}, points[3:4], "manual 2026-11-17T08:00:00Z, scheduled 2026-11-19T08:00:00Z"},
	} {
		var got []string
		for _, p := range Missing(points, test.there, test.rules, now) {
			got = append(got, name[p])
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%v, %d there:\n got %s\nwant %s", test.rules, len(test.there), strings.Join(got, ", "), test.want)
		}
	}
}
