package calendar

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one of the parts of a moment.
type field struct {
	first, last int
	names       []string // of the values, from the first on
}

var (
	minuteField  = field{last: 59}
	hourField    = field{last: 23}
	dayField     = field{first: 1, last: 31}
	monthField   = field{first: 1, last: 12}
	weekdayField = field{last: 6}

	monthNames   = field{first: 1, last: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}}
	weekdayNames = field{last: 6, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}
)

func (f field) all() uint64 { return span(f.first, f.last, 1) }

func span(first, last, step int) (set uint64) {
	for n := first; n <= last; n += step {
		set |= 1 << n
	}
	return set
}

func (f field) list(set uint64) string {
	if set == f.all() {
		return "*"
	}
	var values []string
	for ; set != 0; set &= set - 1 {
		values = append(values, fmt.Sprintf("%02d", bits.TrailingZeros64(set)))
	}
	return strings.Join(values, ",")
}

// longest bounds a text; no calendar that a person writes comes near it.
const longest = 200

// shorthands are the words of systemd.time(7) that stand for a date and a time.
var shorthands = map[string]string{
	"hourly": "* *:00", "daily": "* 00:00", "weekly": "mon 00:00", "monthly": "*-01 00:00",
	"quarterly": "01,04,07,10-01 00:00", "semiannually": "01,07-01 00:00", "yearly": "01-01 00:00", "annually": "01-01 00:00",
}

// Parse reads a calendar event (02:22, daily 22:02, Sun 03:00, Mon..Fri *:0/15,
// *-*-01 04:00; see systemd.time(7)) or the five fields of a cron line (22 2 * * *;
// see crontab(5)). Seconds, years and time zones are not taken.
func Parse(text string) (Calendar, error) {
	c := Calendar{text: strings.Join(strings.Fields(text), " ")}
	wrong := fmt.Errorf("%q is no time that comes again; write one like 02:22, daily 22:02, Sun 03:00 or *-*-01 04:00, or as cron does: 22 2 * * *", text)
	if len(text) > longest {
		return Calendar{}, wrong
	}
	words := strings.Fields(strings.ToLower(text))
	var ok bool
	if len(words) == 5 && !strings.Contains(text, ":") {
		c.rules, ok = cron(words)
	} else {
		var r rule
		r, ok = event(words)
		c.rules = []rule{r}
	}
	if !ok {
		return Calendar{}, wrong
	}
	// Of cron's two days one may never come, as 30 February; systemd refuses it.
	c.rules = slices.DeleteFunc(c.rules, func(r rule) bool {
		return Calendar{rules: []rule{r}}.Next(time.Unix(0, 0).UTC()).IsZero()
	})
	if len(c.rules) == 0 {
		return Calendar{}, fmt.Errorf("%q never comes: no such day is in these months", text)
	}
	return c, nil
}

// cron reads the five fields. Where both days are limited, either does.
func cron(words []string) ([]rule, bool) {
	var r rule
	var ok [5]bool
	r.minutes, ok[0] = minuteField.parse(words[0], "-")
	r.hours, ok[1] = hourField.parse(words[1], "-")
	r.days, ok[2] = dayField.parse(words[2], "-")
	r.months, ok[3] = monthNames.parse(words[3], "-")
	// Sunday is 0 and 7.
	r.weekdays, ok[4] = field{last: 7, names: append(slices.Clone(weekdayNames.names), "sun")}.parse(words[4], "-")
	r.weekdays = (r.weekdays | r.weekdays>>7) & weekdayField.all()
	if slices.Contains(ok[:], false) {
		return nil, false
	}
	if strings.HasPrefix(words[2], "*") || strings.HasPrefix(words[4], "*") {
		return []rule{r}, true
	}
	byDay, byWeekday := r, r
	byDay.weekdays, byWeekday.days = weekdayField.all(), dayField.all()
	return []rule{byDay, byWeekday}, true
}

// event reads weekdays, a date and a time, each of which may be left out, but not
// all.
func event(words []string) (r rule, ok bool) {
	if len(words) == 0 {
		return r, false
	}
	if long, short := shorthands[words[0]]; short {
		own := strings.Fields(long)
		if len(words) > 1 { // daily 22:02
			own = own[:1]
			if words[0] == "hourly" {
				return r, false
			}
		}
		words = append(own, words[1:]...)
		if words[0] == "*" {
			words = words[1:]
		}
	}
	r = rule{minutes: 1, hours: 1, days: dayField.all(), months: monthField.all(), weekdays: weekdayField.all()}
	if c := words[0][0]; c >= 'a' && c <= 'z' {
		if r.weekdays, ok = weekdays(words[0]); !ok {
			return r, false
		}
		words = words[1:]
	}
	if len(words) > 0 && !strings.Contains(words[0], ":") {
		if !r.date(words[0]) {
			return r, false
		}
		words = words[1:]
	}
	switch len(words) {
	case 0:
		return r, true
	case 1:
		return r, r.time(words[0])
	}
	return r, false
}

func (r *rule) date(word string) (ok bool) {
	parts := strings.Split(word, "-")
	if len(parts) == 3 && parts[0] == "*" {
		parts = parts[1:]
	}
	if len(parts) != 2 {
		return false
	}
	if r.months, ok = monthField.parse(parts[0], ".."); !ok {
		return false
	}
	r.days, ok = dayField.parse(parts[1], "..")
	return ok
}

func (r *rule) time(word string) (ok bool) {
	parts := strings.Split(word, ":")
	if len(parts) == 3 && (parts[2] == "00" || parts[2] == "0") {
		parts = parts[:2]
	}
	if len(parts) != 2 {
		return false
	}
	if r.hours, ok = hourField.parse(parts[0], ".."); !ok {
		return false
	}
	r.minutes, ok = minuteField.parse(parts[1], "..")
	return ok
}

// weekdays reads names, short or in full, lists and ranges of them; a range may go
// over the end of the week.
func weekdays(word string) (set uint64, ok bool) {
	day := func(name string) (int, bool) {
		for i := range weekdayNames.names {
			if name == weekdayNames.names[i] || name == strings.ToLower(time.Weekday(i).String()) {
				return i, true
			}
		}
		return 0, false
	}
	for part := range strings.SplitSeq(word, ",") {
		from, to, isRange := strings.Cut(strings.Replace(part, "..", "-", 1), "-")
		first, ok := day(from)
		if !ok {
			return 0, false
		}
		last := first
		if isRange {
			if last, ok = day(to); !ok {
				return 0, false
			}
		}
		for n := first; ; n = (n + 1) % 7 {
			set |= 1 << n
			if n == last {
				break
			}
		}
	}
	return set, true
}

// parse reads a list of values, ranges and steps.
func (f field) parse(text, to string) (set uint64, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		values, steps, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			if step, ok = plain(steps); !ok || step < 1 || step > f.last {
				return 0, false
			}
		}
		first, last := f.first, f.last
		if values != "*" {
			from, until, isRange := strings.Cut(values, to)
			if first, ok = f.value(from); !ok {
				return 0, false
			}
			switch {
			case isRange:
				if last, ok = f.value(until); !ok || last < first {
					return 0, false
				}
			case !stepped:
				last = first
			}
		}
		set |= span(first, last, step)
	}
	return set, true
}

func (f field) value(text string) (int, bool) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.first + i, true
	}
	n, ok := plain(text)
	return n, ok && n >= f.first && n <= f.last
}

// plain reads one or two digits.
func plain(text string) (int, bool) {
	if text == "" || len(text) > 2 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
