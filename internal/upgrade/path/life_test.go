package path

import (
	"strings"
	"testing"
	"time"
)

func TestStanding(t *testing.T) {
	c := shipped(t, "sles")
	for _, test := range []struct {
		release, day string
		stage        Stage
		column       string
		year         int
	}{
		{"SLES 11 SP3", "2013-06-30", Unpublished, "", 5},
		{"SLES 11 SP3", "2013-07-01", Recent, "recent-1-5", 5},
		{"SLES 11 SP3", "2016-01-31", Recent, "recent-6-7", 7},
		{"SLES 11 SP3", "2016-02-01", Previous, "previous-4-10", 7},
		{"SLES 11 SP3", "2019-01-30", Previous, "previous-4-10", 10},
		{"SLES 11 SP3", "2019-01-31", Ended, "", 10},
		{"SLES 11 SP4", "2019-04-01", Extended, "extended-10-13", 11},
		{"SLES 11 SP4", "2022-04-01", Ended, "", 14},
		{"SLES 12 SP5", "2026-11-22", Extended, "extended-10-13", 13},
		{"SLES 12", "2016-07-01", Previous, "", 2},
		{"SLES 10", "2006-07-16", Unpublished, "", 0},
		{"SLES 15 SP7", "2026-11-22", Recent, "recent-8-10", 9},
		{"SLED 12", "2016-07-01", Unknown, "", 0},
	} {
		day, err := time.Parse(time.DateOnly, test.day)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Standing(parse(t, c, test.release), day.Add(12*time.Hour))
		column := ""
		if s.Column != nil {
			column = s.Column.ID
		}
		if s.Stage != test.stage || column != test.column || s.Year != test.year || (s.Column != nil) != (len(s.Levels) == 11) {
			t.Errorf("%s on %s: %s, column %q, year %d, %d levels", test.release, test.day, s.Stage, column, s.Year, len(s.Levels))
		}
		if s.Source.URL == "" || s.Cycle == nil || s.CycleSource.URL == "" {
			t.Errorf("%s: %+v", test.release, s)
		}
	}
	day := time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
	if c.Standing(parse(t, c, "SLES 11 SP3"), day).Newest || !c.Standing(parse(t, c, "SLES 11 SP4"), day).Newest {
		t.Error("which service pack is the newest one was not seen")
	}
}

// What the manual's table says of the first and the last column.
func TestSupportTable(t *testing.T) {
	c := shipped(t, "sles")
	column := func(release, day string) string {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		var given []string
		for _, l := range c.Standing(parse(t, c, release), at).Levels {
			given = append(given, l.Given)
		}
		return strings.Join(given, "|")
	}
	for day, want := range map[string]string{
		"2014-11-01": "yes|yes|yes|yes|yes|yes|yes|yes|yes|yes|yes",
		"2026-11-01": "yes|yes|yes|yes|no|no|no|no|not applicable|yes|severity 1 and 2",
	} {
		release := "SLES 12"
		if strings.HasPrefix(day, "2026") {
			release = "SLES 12 SP5"
		}
		if got := column(release, day); got != want {
			t.Errorf("%s: %s", day, got)
		}
	}
}
