// Package calendar knows moments that come again: the calendar events of systemd
// and the lines of cron, as far as they name minutes, hours, days, months and
// weekdays. What happens at such a moment is no concern of it.
package calendar

import (
	"fmt"
	"strings"
	"time"
)

// Calendar is a set of moments, to the minute, in a clock's own time zone.
type Calendar struct {
	text  string
	rules []rule // any of them
}

// rule wants all of its sets. A set is a mask of the values that are in it.
type rule struct {
	minutes, hours, days, months, weekdays uint64
}

// String is the text that was parsed.
func (c Calendar) String() string { return c.text }

// horizon bounds the search: 29 February falls on each weekday within 40 years.
const horizon = 40 * 366

// Next is the first moment after t, in t's time zone; zero if there is none. A
// moment that the clock leaves out when it is put forward comes when it has been.
func (c Calendar) Next(t time.Time) time.Time {
	var next time.Time
	for _, r := range c.rules {
		if n := r.next(t); !n.IsZero() && (next.IsZero() || n.Before(next)) {
			next = n
		}
	}
	return next
}

func (r rule) next(t time.Time) time.Time {
	year, month, day := t.Date()
	for i := range horizon {
		// Noon is on every day of every time zone.
		noon := time.Date(year, month, day+i, 12, 0, 0, 0, t.Location())
		y, m, d := noon.Date()
		if !has(r.months, int(m)) || !has(r.days, d) || !has(r.weekdays, int(noon.Weekday())) {
			continue
		}
		for hour := range 24 {
			for minute := range 60 {
				if !has(r.hours, hour) || !has(r.minutes, minute) {
					continue
				}
				if at := time.Date(y, m, d, hour, minute, 0, 0, t.Location()); at.After(t) {
					return at
				}
			}
		}
	}
	return time.Time{}
}

func has(set uint64, n int) bool { return set&(1<<n) != 0 }

// Events are the moments as calendar events for OnCalendar= in a timer,
// systemd.time(7); together they are the set.
func (c Calendar) Events() []string {
	events := make([]string, len(c.rules))
	for i, r := range c.rules {
		weekdays := ""
		if r.weekdays != weekdayField.all() {
			// Sunday is the last one there.
			var names []string
			for _, n := range []int{1, 2, 3, 4, 5, 6, 0} {
				if has(r.weekdays, n) {
					names = append(names, time.Weekday(n).String()[:3])
				}
			}
			weekdays = strings.Join(names, ",") + " "
		}
		events[i] = fmt.Sprintf("%s*-%s-%s %s:%s:00", weekdays, monthField.list(r.months), dayField.list(r.days), hourField.list(r.hours), minuteField.list(r.minutes))
	}
	return events
}
