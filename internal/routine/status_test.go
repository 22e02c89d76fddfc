package routine

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	good := func() Status {
		return Status{System: "smt", Stores: []Store{
			{Name: "main", Points: 3, Time: ago(10), Verified: Verified{Time: ago(100)}},
			{Name: "away", Points: 3, Time: ago(10), Verified: Verified{Time: ago(100)}},
		}}
	}
	for name, test := range map[string]struct {
		change func(*Status)
		level  Level
		text   string
	}{
		"well":           {func(*Status) {}, OK, ""},
		"clock put back": {func(s *Status) { s.Stores[0].Time = ago(-5) }, OK, ""},
		"old":            {func(s *Status) { s.Stores[0].Time = ago(27) }, Warning, "newest recovery point is 27h0m0s old; lifeboat backup smt"},
		"very old":       {func(s *Status) { s.Stores[0].Time = ago(53) }, Critical, "lifeboat backup smt"},
		"none":           {func(s *Status) { s.Stores[0] = Store{Name: "main"} }, Critical, "no recovery point in repository main; lifeboat backup smt"},
		"old copy":       {func(s *Status) { s.Stores[1].Time = ago(49) }, Warning, "lifeboat copy smt --to away"},
		"unreachable": {func(s *Status) {
			s.Stores[1] = Store{Name: "away", Error: "no route", Verified: Verified{Time: ago(1)}}
		}, Warning, "away cannot be looked at: no route"},
		"never verified":    {func(s *Status) { s.Stores[0].Verified = Verified{} }, Warning, "lifeboat verify smt --repository main"},
		"verified long ago": {func(s *Status) { s.Stores[1].Verified.Time = ago(36 * 24) }, Warning, "last verified 864h0m0s ago; lifeboat verify smt --repository away"},
		"incomplete":        {func(s *Status) { s.Stores[0].Incomplete = true }, Warning, "lifeboat show smt"},
		"damaged":           {func(s *Status) { s.Stores[0].Damaged = true }, Critical, "lifeboat verify smt"},
		"vanished":          {func(s *Status) { s.Stores[0].Doubts = []string{"a point vanished"} }, Critical, "a point vanished"},
		"stopped services":  {func(s *Status) { s.Held = true }, Critical, "lifeboat resume-services"},
		"unfinished run":    {func(s *Status) { s.Unfinished = []string{"r1"} }, Warning, "run r1 is unfinished; lifeboat runs list"},
		"failed job":        {func(s *Status) { s.Failed = []string{"copy"} }, Warning, "lifeboat schedule run smt copy"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			test.change(&s)
			findings, _ := Judge(s, config.Objectives{}, now)
			if test.level == OK {
				if len(findings) != 0 {
					t.Errorf("%+v", findings)
				}
				return
			}
			if len(findings) != 1 || findings[0].Level != test.level || !strings.Contains(findings[0].Text, test.text) || !strings.HasPrefix(findings[0].Text, "smt: ") {
				t.Errorf("%+v", findings)
			}
		})
	}
	// Bounds of the configuration, and data for a graph.
	findings, measures := Judge(good(), config.Objectives{RPO: 4 * time.Hour, Verify: config.Span{Days: 3}, Copy: config.Span{Hours: 9}}, now)
	if len(findings) != 4 || findings[0].Level != Critical || len(measures) != 4 || measures[0].Bad != 8*time.Hour {
		t.Errorf("%+v\n%+v", findings, measures)
	}
}
