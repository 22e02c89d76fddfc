package routine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
)

func TestCommands(t *testing.T) {
	var got []string
	for _, task := range tasksOf(t, parse(t, conf), "smt") {
		for _, words := range task.Commands {
			got = append(got, task.Name+": "+strings.Join(words, " "))
		}
	}
	want := []string{
		"backup: backup smt --trigger=scheduled --without=package-tree",
		"backup-large: backup smt --trigger=scheduled --with=package-tree --limit-upload=5M",
		"copy: copy smt --to=away --limit-upload=6M",
		"verify: verify smt --repository=main --read-data-subset=5%",
		"verify: verify smt --repository=away --read-data-subset=5%",
		"drill: drill smt --quick --limit-download=20M",
		"drill-more: drill smt --random-subset=2.5%",
		"prune: forget smt --prune --repository=main",
		"prune: forget smt --prune --repository=away",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for _, wrong := range []string{"copy: daily", "prune: daily"} {
		c := parse(t, strings.Replace(conf, "{backup-b: 01:00}", "{"+wrong+"}", 1))
		s, _ := c.System("a")
		if _, err := Tasks(c, s); err == nil || !strings.Contains(err.Error(), "system a: schedule: "+wrong[:4]) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// clock is a machine that cron wakes, on a clock that is not the real one.
type clock struct {
	now    time.Time
	tasks  []Task
	record map[string]Record
	runs   []string
}

// until has cron look again and again.
func (c *clock) until(end time.Time) {
	for ; c.now.Before(end); c.now = c.now.Add(Grid) {
		for _, t := range c.tasks {
			r := c.record[t.Name]
			if due := t.Due(r, c.now, "machine"); due.After(c.now) {
				continue
			}
			r.Started = c.now
			c.record[t.Name] = r
			c.runs = append(c.runs, t.Name+" "+c.now.Format("02 15:04"))
		}
	}
}

func newClock(t *testing.T, schedule string, zone *time.Location) *clock {
	t.Helper()
	c := parse(t, strings.Replace(conf, "{backup-b: 01:00}", schedule, 1))
	k := &clock{now: time.Date(2026, 10, 1, 12, 0, 0, 0, zone), tasks: tasksOf(t, c, "a"), record: map[string]Record{}}
	for _, task := range k.tasks {
		k.record[task.Name] = Record{Since: k.now}
	}
	return k
}

func TestMonth(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Skip("needs the time zones of the machine (package tzdata): the clock is put back in the month")
	}
	k := newClock(t, "{backup: 02:22, verify: Sun 04:22}", zone)
	k.until(k.now.AddDate(0, 0, 31))
	var days, weeks int
	for _, run := range k.runs {
		if strings.HasPrefix(run, "backup") {
			days++
		} else {
			weeks++
		}
	}
	if days != 31 || weeks != 5 {
		t.Errorf("%d backups, %d verifies:\n%s", days, weeks, strings.Join(k.runs, "\n"))
	}
}

func TestMissedRuns(t *testing.T) {
	// Off from the 2nd at noon until the 6th at 9: one backup makes up for four, and
	// comes before the verify.
	k := newClock(t, "{backup: 02:22, verify: {at: Sun 04:22}, backup-not: {at: 03:00, persistent: false}}", time.UTC)
	k.until(k.now.AddDate(0, 0, 1))
	k.now = time.Date(2026, 10, 6, 9, 0, 0, 0, time.UTC)
	k.until(k.now.Add(20 * time.Hour))
	want := "backup 02 02:30, backup-not 02 03:00, backup 06 09:00, verify 06 09:00, backup 07 02:30, backup-not 07 03:00"
	if got := strings.Join(k.runs, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestClockPutBack(t *testing.T) {
	k := newClock(t, "{backup: 02:22}", time.UTC)
	k.record["backup"] = Record{Started: k.now.AddDate(1, 0, 0)}
	k.until(k.now.AddDate(0, 0, 2))
	if len(k.runs) != 3 { // at once, and every night
		t.Errorf("%v", k.runs)
	}
}

func TestRandomDelay(t *testing.T) {
	k := newClock(t, "{backup: {at: 02:00, random_delay: 4h}}", time.UTC)
	k.until(k.now.AddDate(0, 0, 10))
	if len(k.runs) != 10 {
		t.Errorf("%v", k.runs)
	}
	delays := map[time.Duration]bool{}
	for i := range 8 {
		d := k.tasks[0].delay(fmt.Sprint("machine", i))
		if d < 0 || d >= 4*time.Hour {
			t.Errorf("delay %v", d)
		}
		delays[d] = true
	}
	if len(delays) < 4 {
		t.Errorf("machines begin together: %v", delays)
	}
}

func TestBook(t *testing.T) {
	b := NewBook(t.TempDir())
	want := Record{Started: time.Now().UTC(), Exit: 3}
	if err := b.SetRun("smt", config.JobBackup, want); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Run("smt", config.JobBackup); err != nil || !got.Started.Equal(want.Started) || got.Exit != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := b.Run("smt", "other"); err != nil || got != (Record{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A job that tells how all stands needs somebody who is told.
func TestStatusJob(t *testing.T) {
	text := strings.Replace(conf, "{backup-b: 01:00}", "{status: 07:00, backup: 02:00}", 1)
	s, _ := parse(t, text).System("a")
	if _, err := Tasks(parse(t, text), s); err == nil || !strings.Contains(err.Error(), "nobody would be told") {
		t.Error(err)
	}
	tasks := tasksOf(t, parse(t, text+"notices:\n  - {name: watch, ping: {url: 'https://watch.example.com/'}}\n"), "a")
	if len(tasks) != 2 || tasks[1].Name != "status" || strings.Join(tasks[1].Commands[0], " ") != "status a --notify" {
		t.Errorf("%+v", tasks)
	}
}
