package calendar

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text string, zone *time.Location) time.Time {
	t.Helper()
	moment, err := time.ParseInLocation(time.DateTime, text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// 21 November 2026 is a Saturday.
const now = "2026-11-21 12:00:00"

var texts = map[string]string{
	"02:22":                  "2026-11-22 02:22:00",
	"daily":                  "2026-11-22 00:00:00",
	"daily 22:02":            "2026-11-21 22:02:00",
	"hourly":                 "2026-11-21 13:00:00",
	"weekly":                 "2026-11-23 00:00:00",
	"weekly 03:00":           "2026-11-23 03:00:00",
	"monthly":                "2026-12-01 00:00:00",
	"monthly 4:05":           "2026-12-01 04:05:00",
	"quarterly":              "2027-01-01 00:00:00",
	"Sun 03:00":              "2026-11-22 03:00:00",
	"sunday 03:00:00":        "2026-11-22 03:00:00",
	"Mon..Fri 03:00":         "2026-11-23 03:00:00",
	"Fri-Mon 11:00":          "2026-11-22 11:00:00",
	"Tue,Sat 12:00":          "2026-11-24 12:00:00",
	"*:0/15":                 "2026-11-21 12:15:00",
	"0/6:30":                 "2026-11-21 12:30:00",
	"8..10,20:05":            "2026-11-21 20:05:00",
	"*-*-01 04:00":           "2026-12-01 04:00:00",
	"*-02-29 01:00":          "2028-02-29 01:00:00",
	"01,07-15 01:00":         "2027-01-15 01:00:00",
	"Sun *-*-1..7 05:00":     "2026-12-06 05:00:00",
	"22 2 * * *":             "2026-11-22 02:22:00",
	"*/20 9-17 * * mon-fri":  "2026-11-23 09:00:00",
	"0 3 * * 7":              "2026-11-22 03:00:00",
	"0 3 1 * 0":              "2026-11-22 03:00:00", // either of the days
	"5 4 1,15 jan,jul *":     "2027-01-01 04:05:00",
	" 22   2 * * *  ":        "2026-11-22 02:22:00",
	"Sun *-02-29 00:00":      "2032-02-29 00:00:00",
	"30 23 */10 * *":         "2026-11-21 23:30:00",
	"Mon 12:00":              "2026-11-23 12:00:00",
	"*-12-24..26 18:00":      "2026-12-24 18:00:00",
	"Wed":                    "2026-11-25 00:00:00",
	"*-*-21":                 "2026-12-21 00:00:00",
	"semiannually 02:00":     "2027-01-01 02:00:00",
	"0 0 29 2 *":             "2028-02-29 00:00:00",
	"yearly":                 "2027-01-01 00:00:00",
	"59 23 31 12 5":          "2026-12-04 23:59:00",
	"*:59":                   "2026-11-21 12:59:00",
	"0-30/10 12 * * 6":       "2026-11-21 12:10:00",
	"Sat *:*":                "2026-11-21 12:01:00",
	"Sat,Sun *-11,12-* 1:01": "2026-11-22 01:01:00",
}

func TestNext(t *testing.T) {
	for text, want := range texts {
		c, err := Parse(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := c.Next(at(t, now, time.UTC)); !got.Equal(at(t, want, time.UTC)) {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

// TestSystemdAgrees has systemd say when the events come that a timer gets.
func TestSystemdAgrees(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze (package systemd): reads the events of timers")
	}
	elapse := regexp.MustCompile(`(?m)(?:Next elapse|Iter\. #2): \w+ (\S+ \S+) UTC$`)
	for text := range texts {
		c, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var first, second time.Time // of all events together
		for _, event := range c.Events() {
			command := exec.Command(tool, "calendar", "--base-time="+now, "--iterations=2", event)
			command.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%q: %s: %v\n%s", text, event, err, out)
			}
			for _, found := range elapse.FindAllStringSubmatch(string(out), -1) {
				moment := at(t, found[1], time.UTC)
				switch {
				case first.IsZero() || moment.Before(first):
					first, second = moment, first
				case moment.Equal(first):
				case second.IsZero() || moment.Before(second):
					second = moment
				}
			}
		}
		next := c.Next(at(t, now, time.UTC))
		if !next.Equal(first) || !c.Next(next).Equal(second) {
			t.Errorf("%q is %v: %v and %v here, %v and %v by systemd", text, c.Events(), next, c.Next(next), first, second)
		}
	}
}

func TestWrong(t *testing.T) {
	for _, text := range []string{
		"", "soon", "25:00", "02:60", "02:22:30", "2026-01-01 02:00", "Sun Mon 02:00", "daily daily", "hourly 02:00",
		"60 2 * * *", "* * 0 * *", "1-0 * * * *", "*/0 * * * *", "* * * *", "@reboot", "02:22 UTC", "*-02-30 00:00", "0 0 31 2,4 *",
		"Sun~02:00", "1..2:00 x", ",:00", "-", strings.Repeat("1,", 200) + "1:00", "0x1 * * * *", "+1 * * * *", "mon..", "..:00",
	} {
		if c, err := Parse(text); err == nil {
			t.Errorf("%q is %v", text, c.Events())
		}
	}
}

// The clock is put forward and back in Vienna.
func TestSummerTime(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Skip("needs the time zones of the machine (package tzdata): the clock is put forward and back")
	}
	c, err := Parse("02:22")
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]int{"2026-03-28 12:00:00": 1, "2026-10-24 12:00:00": 1} {
		from := at(t, day, zone)
		runs := 0
		for moment := c.Next(from); moment.Before(from.Add(24 * time.Hour)); moment = c.Next(moment) {
			runs++
		}
		if runs != want {
			t.Errorf("after %s: %d moments in a day", day, runs)
		}
	}
}

func FuzzParse(f *testing.F) {
	for text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		from := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		next := c.Next(from)
		if !next.After(from) {
			t.Fatalf("%q: %v", text, next)
		}
		// What systemd is told is the same.
		for _, event := range c.Events() {
			again, err := Parse(event)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if n := again.Next(from); n.Before(next) {
				t.Fatalf("%q is %q: %v and %v", text, event, next, n)
			}
		}
	})
}
