package routine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component/certificates"
	"lifeboat/internal/config"
	"lifeboat/internal/drill"
	"lifeboat/internal/kit"
	"lifeboat/internal/storage"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)
	ago := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	good := func() Status {
		return Status{System: "smt", Stores: []Store{
			{Name: "main", Points: 3, Time: ago(10), Verified: Verified{Time: ago(100)}},
			{Name: "away", Points: 3, Time: ago(10), Verified: Verified{Time: ago(100)}},
		}}
	}
	ends := func(days int) certificates.Held {
		return certificates.Held{Path: "/etc/c.pem", Subject: "CN=c", Until: now.AddDate(0, 0, days)}
	}
	for name, test := range map[string]struct {
		change func(*Status)
		level  Level
		text   string
	}{
		"well":           {func(*Status) {}, OK, ""},
		"clock put back": {func(s *Status) { s.Stores[0].Time = ago(-5) }, OK, ""},
		"old":            {func(s *Status) { s.Stores[0].Time = ago(27) }, Warning, "newest recovery point is 27 h old; lifeboat backup smt"},
		"very old":       {func(s *Status) { s.Stores[0].Time = ago(53) }, Critical, "lifeboat backup smt"},
		"none":           {func(s *Status) { s.Stores[0] = Store{Name: "main"} }, Critical, "no recovery point in repository main; lifeboat backup smt"},
		"old copy":       {func(s *Status) { s.Stores[1].Time = ago(49) }, Warning, "lifeboat copy smt --to away"},
		"unreachable": {func(s *Status) {
			s.Stores[1] = Store{Name: "away", Error: "no route", Verified: Verified{Time: ago(1)}}
		}, Warning, "away cannot be looked at: no route"},
		"unreachable, known": {func(s *Status) {
			s.Stores[0] = Store{Name: "main", Error: "no route", Known: Known{Point: "p", Time: ago(10)}, Verified: Verified{Time: ago(1)}}
		}, Warning, "main cannot be looked at: no route"},
		"lost": {func(s *Status) {
			s.Stores[0] = Store{Name: "main", Error: "there is none", Gone: true, Known: Known{Point: "p", Time: ago(10)}, Verified: Verified{Time: ago(1)}}
		}, Critical, "repository main is lost, and recovery points were known in it"},
		"lost once verified": {func(s *Status) {
			s.Stores[0] = Store{Name: "main", Error: "there is none", Gone: true, Verified: Verified{Time: ago(1), Points: 2}}
		}, Critical, "repository main is lost"},
		"never there": {func(s *Status) {
			s.Stores[0] = Store{Name: "main", Error: "there is none", Gone: true, Verified: Verified{Time: ago(1)}}
		}, Warning, "main cannot be looked at"},
		"backup that did not begin": {func(s *Status) { s.Broken = &Broken{Time: ago(1), State: "failed", Error: "there is none"} }, Warning, "came to no recovery point (failed: there is none); lifeboat backup smt tries again"},
		"never verified":            {func(s *Status) { s.Stores[0].Verified = Verified{} }, Warning, "lifeboat verify smt --repository main"},
		"verified long ago":         {func(s *Status) { s.Stores[1].Verified.Time = ago(36 * 24) }, Warning, "last verified 36 days ago; lifeboat verify smt --repository away"},
		"incomplete":                {func(s *Status) { s.Stores[0].Incomplete = true }, Warning, "lifeboat show smt"},
		"damaged":                   {func(s *Status) { s.Stores[0].Damaged = true }, Critical, "lifeboat verify smt"},
		"vanished":                  {func(s *Status) { s.Stores[0].Doubts = []string{"a point vanished"} }, Critical, "a point vanished"},
		"stopped services":          {func(s *Status) { s.Held = true }, Critical, "lifeboat resume-services"},
		"unfinished run":            {func(s *Status) { s.Unfinished = []string{"r1"} }, Warning, "run r1 is unfinished; lifeboat runs list"},
		"failed job":                {func(s *Status) { s.Failed = []string{"copy"} }, Warning, "lifeboat schedule run smt copy"},
		"failed backup job":         {func(s *Status) { s.Failed, s.Broken = []string{"backup-large"}, &Broken{Run: "r1"} }, Warning, "lifeboat schedule run smt backup-large"},
		"hook after":                {func(s *Status) { s.Broken = &Broken{Run: "r1", Time: ago(1), State: "failed", Sealed: true} }, Warning, "made its recovery point, but did not come to its end (failed); lifeboat runs show r1 says why; lifeboat copy smt"},
		"broken backup":             {func(s *Status) { s.Broken = &Broken{Run: "r1", Time: ago(1), State: "failed"} }, Warning, "came to no recovery point (failed); lifeboat runs show r1"},
		"unread":                    {func(s *Status) { s.Unread = []string{"kit 7F3K cannot be read"} }, Warning, "kit 7F3K cannot be read"},

		"room":       {func(s *Status) { s.Stores[0].Space = &storage.Space{Free: 10, Total: 100} }, OK, ""},
		"less room":  {func(s *Status) { s.Stores[0].Space = &storage.Space{Free: 9 << 30, Total: 100 << 30} }, Warning, "repository main has 9.0 % free (9.0 GiB of 100 GiB); give it more room, or keep less: lifeboat forget smt --prune --repository main"},
		"no room":    {func(s *Status) { s.Stores[1].Space = &storage.Space{Free: 3, Total: 100} }, Critical, "repository away has 3.0 % free"},
		"drill":      {func(s *Status) { s.Drill = Drill{Passed: ago(24), RTO: time.Hour} }, OK, ""},
		"late drill": {func(s *Status) { s.Drill.Passed = ago(101 * 24) }, Warning, "last rehearsed 101 days ago; lifeboat drill smt"},
		"old drill":  {func(s *Status) { s.Drill.Passed = ago(201 * 24) }, Critical, "lifeboat drill smt"},
		"failed drill": {func(s *Status) {
			s.Drill = Drill{Passed: ago(48), Failed: ago(24), Finding: "the key is missing"}
		}, Critical, "failed: the key is missing; repair that, then lifeboat backup smt and lifeboat drill smt"},
		"failed first drill":                 {func(s *Status) { s.Drill = Drill{Failed: ago(24), Scheduled: true} }, Critical, "the drill of 2026-11-20 failed; repair"},
		"invalid drill":                      {func(s *Status) { s.Drill = Drill{Passed: ago(48), Invalid: ago(24)} }, Warning, "proved nothing, as packages were changed meanwhile; lifeboat drill smt"},
		"failed drill by schedule":           {func(s *Status) { s.Failed, s.Drill.Failed = []string{"drill"}, ago(1) }, Critical, "failed; repair that"},
		"drill of schedule, repository away": {func(s *Status) { s.Drill.Scheduled, s.Drill.Unknown = true, true }, OK, ""},
		"drill of schedule":                  {func(s *Status) { s.Drill.Scheduled = true }, Warning, "never rehearsed; lifeboat drill smt"},
		"kit":                                {func(s *Status) { s.Kit = &Kit{ID: "7F3K", Created: ago(24)} }, OK, ""},
		"old kit":                            {func(s *Status) { s.Kit = &Kit{ID: "7F3K", Created: ago(401 * 24)} }, Warning, "recovery kit 7F3K is 401 days old"},
		"useless kit":                        {func(s *Status) { s.Kit = &Kit{ID: "7F3K", Created: ago(24), Problem: "was revoked"} }, Warning, "recovery kit 7F3K was revoked; lifeboat kit --output DIR makes another one"},
		"certificate":                        {func(s *Status) { s.Certificates = []Certificate{{Held: ends(31), Here: true}} }, OK, ""},
		"certificate soon":                   {func(s *Status) { s.Certificates = []Certificate{{Held: ends(29), Here: true, Point: true}} }, Warning, "certificate /etc/c.pem (CN=c) ends on 2026-12-20; renew it, then lifeboat backup smt"},
		"certificate over":                   {func(s *Status) { s.Certificates = []Certificate{{Held: ends(-1), Here: true}} }, Critical, "ended on 2026-11-20"},
		"renewed":                            {func(s *Status) { s.Certificates = []Certificate{{Held: ends(-1), Point: true, Renewed: true}} }, Warning, "this machine a newer one; lifeboat backup smt"},
		"only in the point":                  {func(s *Status) { s.Certificates = []Certificate{{Held: ends(1), Point: true}} }, Warning, "is not on this machine any more; lifeboat backup smt"},
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
	if len(findings) != 4 || findings[0].Level != Critical || len(measures) != 4 || measures[0].Bad != 8*3600 {
		t.Errorf("%+v\n%+v", findings, measures)
	}
}

// What is known of a repository grows old while nobody can look at it.
func TestUnseen(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for hours, want := range map[int]Level{10: OK, 27: Warning, 53: Critical} {
		s := Status{System: "smt", Stores: []Store{{Name: "main", Error: "no route", Known: Known{Point: "p", Time: now.Add(-time.Duration(hours) * time.Hour)}, Verified: Verified{Time: now}}}}
		findings, measures := Judge(s, config.Objectives{}, now)
		worst := OK
		for _, f := range findings[1:] {
			worst = max(worst, f.Level)
		}
		if worst != want || findings[0].Level != Warning || len(measures) != 2 {
			t.Errorf("%d hours: %+v\n%+v", hours, findings, measures)
		}
	}
}

func TestKnown(t *testing.T) {
	b := NewBook(t.TempDir())
	want := Known{Point: "p", Time: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	for range 2 {
		if err := b.SetKnown("smt", "main", want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Known("smt", "main"); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := b.Known("smt", "away"); err != nil || got != (Known{}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := b.SetAttempt("smt", Attempt{Exit: 1, Error: "e"}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Attempt("smt"); err != nil || got.Exit != 1 || got.Error != "e" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What is asked for by name is missed also where it never was.
func TestAskedFor(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := Status{System: "smt", Drill: Drill{}}
	findings, _ := Judge(s, config.Objectives{Drill: config.Span{Days: 30}, Kit: config.Span{Years: 1}}, now)
	if len(findings) != 2 || !strings.Contains(findings[0].Text, "never rehearsed") || !strings.Contains(findings[1].Text, "no recovery kit") {
		t.Errorf("%+v", findings)
	}
	s = Status{System: "smt", Drill: Drill{Passed: now, RTO: 3 * time.Hour}, Stores: []Store{{Name: "main", Points: 1, Time: now, Verified: Verified{Time: now}, Space: &storage.Space{Free: 1, Total: 8}}}}
	for rto, want := range map[time.Duration]Level{4 * time.Hour: OK, 2 * time.Hour: Warning, time.Hour: Critical} {
		findings, measures := Judge(s, config.Objectives{RTO: rto, Disk: 0.05}, now)
		if want == OK && len(findings) != 0 || want != OK && (len(findings) != 1 || findings[0].Level != want || !strings.Contains(findings[0].Text, "takes 3h0m0s")) {
			t.Errorf("%v: %+v", rto, findings)
		}
		var texts []string
		for _, m := range measures {
			texts = append(texts, m.String())
		}
		if text := strings.Join(texts, " "); !strings.Contains(text, "'smt main free'=12.5%;5:;1.67:;0") || !strings.Contains(text, "'smt rto'=10800s;") || !strings.Contains(text, "'smt main point'=0s;93600;187200;0") {
			t.Error(text)
		}
	}
}

func TestRehearsed(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	report := func(n int, state drill.State, depth drill.Depth, rto time.Duration, findings ...string) *drill.Kept {
		return &drill.Kept{Report: &drill.Report{Started: day(n), State: state, Depth: depth, RTO: rto, Findings: findings}}
	}
	for name, test := range map[string]struct {
		reports []*drill.Kept
		want    Drill
		settled bool
	}{
		"none": {nil, Drill{}, false},
		"passed": {
			[]*drill.Kept{report(1, drill.Failed, drill.Full, 0, "x"), report(2, drill.Warnings, drill.Full, 7)},
			Drill{Passed: day(2), Depth: drill.Full, State: drill.Warnings, RTO: 7},
			true,
		},
		"a quick one repairs no full one": {
			[]*drill.Kept{report(1, drill.Passed, drill.Full, 9), report(2, drill.Failed, drill.Full, 0, "x", "y"), report(3, drill.Passed, drill.Quick, 2)},
			Drill{Passed: day(3), Depth: drill.Quick, State: drill.Passed, RTO: 9, Failed: day(2), Finding: "x"},
			true,
		},
		"a full one repairs a quick one": {
			[]*drill.Kept{report(3, drill.Passed, drill.Full, 9), report(2, drill.Failed, drill.Quick, 0)},
			Drill{Passed: day(3), Depth: drill.Full, State: drill.Passed, RTO: 9},
			true,
		},
		"invalid last":     {[]*drill.Kept{report(1, drill.Passed, drill.Quick, 2), report(2, drill.Invalid, drill.Full, 0)}, Drill{Passed: day(1), Depth: drill.Quick, State: drill.Passed, RTO: 2, Invalid: day(2)}, false},
		"invalid and over": {[]*drill.Kept{report(1, drill.Invalid, drill.Full, 0), report(2, drill.Passed, drill.Quick, 2)}, Drill{Passed: day(2), Depth: drill.Quick, State: drill.Passed, RTO: 2}, false},
	} {
		if got := Rehearsed(test.reports); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
		if Settled(test.reports) != test.settled {
			t.Errorf("%s: settled %v", name, !test.settled)
		}
	}
}

// A drill is remembered for the day on which its repository cannot be looked at.
func TestDrilled(t *testing.T) {
	b := NewBook(t.TempDir())
	at := time.Date(2026, 11, 1, 2, 3, 4, 5, time.UTC)
	passed := &drill.Kept{Report: &drill.Report{Started: at, State: drill.Passed, Depth: drill.Full, RTO: time.Hour, RPO: time.Minute}}
	failed := &drill.Report{Started: at.Add(time.Hour), State: drill.Failed, Depth: drill.Full, Findings: []string{"a table is missing", "another"}}
	if got, err := b.DrillsOf("smt", "main", []*drill.Kept{passed}, true); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if err := b.AddDrill("smt", "main", failed); err != nil {
		t.Fatal(err)
	}
	got, err := b.DrillsOf("smt", "main", nil, false)
	want := Drill{Passed: at, Depth: drill.Full, State: drill.Passed, RTO: time.Hour, RPO: time.Minute, Failed: failed.Started, Finding: "a table is missing"}
	if d := Rehearsed(got); err != nil || d != want {
		t.Errorf("%+v, %v", d, err)
	}
	if got, err := b.Drills("smt", "away"); err != nil || got != nil {
		t.Error(got, err)
	}
	for n := range 2 * maxDrilled {
		if err := b.AddDrill("smt", "main", &drill.Report{Started: at.Add(time.Duration(n) * 24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Drills("smt", "main"); err != nil || len(got) != maxDrilled || !got[0].Started.After(got[1].Started) {
		t.Error(got, err)
	}
	// What the repository shows replaces it, and damage is written over.
	path := filepath.Join(b.dir, "drills", "smt", "main.json")
	if err := os.WriteFile(path, []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DrillsOf("smt", "main", nil, false); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if err := b.AddDrill("smt", "main", failed); err != nil {
		t.Error(err)
	}
	if _, err := b.DrillsOf("smt", "main", nil, true); err != nil {
		t.Error(err)
	}
	if got, err := b.Drills("smt", "main"); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func TestKitOf(t *testing.T) {
	made := func(id, repository, location string, day int, state kit.State, systems ...string) kit.Status {
		return kit.Status{
			Record: kit.Record{ID: id, RepositoryID: repository, Location: location, Created: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC), Systems: systems},
			State:  state, Recorded: len(systems) > 0,
		}
	}
	places := []Place{{"r1", "/srv/one"}, {"r2", "/srv/two"}}
	for name, test := range map[string]struct {
		kits    []kit.Status
		part    bool // one repository could not be looked at
		id      string
		problem string
	}{
		"none":              {nil, false, "", ""},
		"of another system": {[]kit.Status{made("A", "r1", "/srv/one", 1, kit.Valid, "opsi")}, false, "", ""},
		"newest":            {[]kit.Status{made("A", "r1", "/srv/one", 1, kit.Valid, "smt"), made("B", "r2", "/srv/two", 2, kit.Valid, "smt", "opsi")}, false, "B", ""},
		"older one holds":   {[]kit.Status{made("A", "r1", "/srv/one", 1, kit.Valid, "smt"), made("B", "r2", "/srv/two", 2, kit.KeyRemoved, "smt")}, false, "A", ""},
		"revoked":           {[]kit.Status{made("A", "r1", "/srv/one", 1, kit.Revoked, "smt")}, false, "A", "was revoked"},
		"key removed":       {[]kit.Status{made("A", "r1", "/srv/one", 1, kit.KeyRemoved, "smt")}, false, "A", "opens nothing any more"},
		"moved":             {[]kit.Status{made("A", "r1", "/mnt/one", 1, kit.Valid, "smt")}, false, "A", "leads to /mnt/one, and the repository is now /srv/one"},
		"other repository":  {[]kit.Status{made("A", "r9", "/srv/nine", 1, kit.Unknown, "smt")}, false, "A", "none of this system's any more, /srv/nine"},
		"not known":         {[]kit.Status{made("A", "r9", "/srv/nine", 1, kit.Unknown, "smt")}, true, "A", ""},
		"made elsewhere":    {[]kit.Status{made("A", "r1", "", 1, kit.Valid)}, false, "A", ""},
		"of others":         {[]kit.Status{made("A", "r9", "", 1, kit.Valid)}, false, "", ""},
	} {
		got := KitOf(test.kits, "smt", places, !test.part)
		switch {
		case got == nil:
			if test.id != "" {
				t.Errorf("%s: none", name)
			}
		case got.ID != test.id || !strings.Contains(got.Problem, test.problem) || (got.Problem == "") != (test.problem == ""):
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWatched(t *testing.T) {
	held := func(path, print string) certificates.Held { return certificates.Held{Path: path, Print: print} }
	got := Watched([]certificates.Held{held("/a", "1"), held("/b", "2"), held("/b", "2")}, []certificates.Held{held("/a", "1"), held("/b", "9"), held("/c", "3")})
	want := []Certificate{
		{Held: held("/a", "1"), Here: true, Point: true},
		{Held: held("/b", "2"), Here: true},
		{Held: held("/b", "9"), Point: true, Renewed: true},
		{Held: held("/c", "3"), Point: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
