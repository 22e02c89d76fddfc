package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseRetention(t *testing.T) {
	with := func(text string) string {
		return strings.Replace(good, "profile: smt", "profile: smt\n    retention: "+text, 1)
	}
	c, err := Parse("lifeboat.yaml", []byte(with("{last: 3, hourly: 24, daily: 7, weekly: 5, monthly: 12, yearly: 3, within: 1y6mo2w1d12h, tags: [audit]}")))
	if err != nil {
		t.Fatal(err)
	}
	want := Retention{Last: 3, Hourly: 24, Daily: 7, Weekly: 5, Monthly: 12, Yearly: 3, Within: Span{Years: 1, Months: 6, Days: 15, Hours: 12}, Tags: []string{"audit"}}
	if got := *c.Systems[0].Retention; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, test := range []struct{ text, want string }{
		{"{dayly: 7}", "lifeboat.yaml:12: unknown key dayly; did you mean daily?"},
		{"{daily: -7}", "lifeboat.yaml:12: retention: daily: -7 is negative"},
		{"{daily: often}", `lifeboat.yaml:12: daily: "often" must be a whole number`},
		{"{daily: 0}", "lifeboat.yaml:12: retention has no rule"},
		{"{}", "lifeboat.yaml:12: retention has no rule"},
		{"", "not nothing"},
		{"7", "must be a mapping"},
		{"{within: 14}", `lifeboat.yaml:12: within: "14" is no span of time`},
		{"{within: 0d}", "is no span of time"},
		{"{within: 1d2d}", "is no span of time"},
		{"{within: 6m}", `within: "6m": m is minutes everywhere; for months write 6mo`},
		{"{within: 1y6m}", "for months write 6mo"},
		{"{within: 6min}", "is no span of time"},
		{"{within: 1mo2mo}", "is no span of time"},
		{"{within: [1d]}", "must be a single value"},
		{"{within: 99999999d}", "is no span of time"},
		{"{tags: ['']}", "an empty tag"},
		{"{tags: audit}", "must be a list"},
	} {
		if _, err := Parse("lifeboat.yaml", []byte(with(test.text))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("retention: %s: want %q, got %v", test.text, test.want, err)
		}
	}
}

func TestRetentionOf(t *testing.T) {
	text := strings.Replace(good, "password: {command", "retention: {weekly: 4}\n    password: {command", 1)
	c, err := Parse("lifeboat.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Systems[0]
	if r := c.Retention(s, "main"); !r.IsZero() {
		t.Errorf("main: %v", r)
	}
	if r := c.Retention(s, "away"); r.String() != "weekly 4" {
		t.Errorf("away: %v", r)
	}
	s.Retention = &Retention{Last: 2, Within: Span{Days: 14}}
	if r := c.Retention(s, "away"); r.String() != "last 2, within 14d" {
		t.Errorf("the system's own: %v", r)
	}
	if list := c.RepositoriesOf(s); len(list) != 2 || list[0].Name != "main" || list[1].Name != "away" {
		t.Errorf("repositories: %v", list)
	}
	s.Repositories = nil
	if list := c.RepositoriesOf(s); len(list) != 1 || list[0].Name != "main" {
		t.Errorf("without names: %v", list)
	}
}

func TestRepositoryNamedTwice(t *testing.T) {
	_, err := Parse("lifeboat.yaml", []byte(strings.Replace(good, "[main, away]", "[main, main]", 1)))
	if err == nil || !strings.Contains(err.Error(), "repository main is named twice") {
		t.Error(err)
	}
}

// A month before the last of March is no day; the calendar says which.
func TestSpanBefore(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 31, 12, 0, 0, 0, zone)
	for text, want := range map[string]string{
		"3d":  "2026-03-28T12:00:00+01:00", // over the change of clocks, the same hour
		"1mo": "2026-03-03T12:00:00+01:00", // the 31st of February
		"48h": "2026-03-29T12:00:00+02:00",
		"1y":  "2025-03-31T12:00:00+02:00",
	} {
		s, err := ParseSpan(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Before(at).Format(time.RFC3339); got != want {
			t.Errorf("%s before: %s, want %s", text, got, want)
		}
	}
}

func TestWriteRetention(t *testing.T) {
	want := &Config{
		Repositories: []Repository{{Name: "main", URL: "/srv/x", Password: Password{File: "/p"}, Retention: &Retention{Daily: 7, Within: Span{Days: 14, Hours: 1}}}},
		Systems:      []System{{Name: "smt", Profile: "smt", Repositories: []string{"main"}, Retention: &Retention{Tags: []string{"a, b"}}}},
		StateDir:     "/x",
	}
	got, err := Parse("x", mustFormat(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Repositories[0].Retention, want.Repositories[0].Retention) || !reflect.DeepEqual(got.Systems[0].Retention, want.Systems[0].Retention) {
		t.Errorf("%s", mustFormat(t, got))
	}
}
