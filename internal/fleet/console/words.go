package console

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/runbook"
)

// maxName is how many characters of a foreign name are shown.
const maxName = 120

// shown makes a foreign name fit to be read: marks that turn the direction of text
// round and control characters are written out, and what is endless is cut.
func shown(s string) string { return plain(s, maxName, false) }

// text is shown for longer words, which may have several lines.
func text(s string) string { return plain(s, 4000, true) }

func plain(s string, most int, lines bool) string {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// when is a time as it is written in tables: in UTC, which all hosts share.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// exact is for machines, and for whoever points at a time.
func exact(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (v *visit) ago(t time.Time) string {
	switch d := v.At.Sub(t); {
	case t.IsZero():
		return "never"
	case d < 0:
		return "in " + standing.Age(-d)
	default:
		return standing.Age(d) + " ago"
	}
}

func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d:%02d min", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d:%02d h", int(d.Hours()), int(d.Minutes())%60)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func size(n int64) string {
	if n <= 0 {
		return "–"
	}
	return humanize.IBytes(uint64(n))
}

func count(n int, one string) string {
	if n != 1 && strings.HasSuffix(one, "y") {
		return humanize.Comma(int64(n)) + " " + strings.TrimSuffix(one, "y") + "ies"
	}
	s := humanize.Comma(int64(n)) + " " + one
	if n != 1 {
		s += "s"
	}
	return s
}

// tone is the colour family of a state; the word stands beside it always.
func tone(state string) string {
	switch state {
	case string(standing.Protected), string(runbook.StateDone), string(runbook.StepStateFinished), string(runbook.StepStateAlreadyDone), "intact", "good", "passed", "active":
		return "good"
	case string(standing.Late), string(runbook.StateWarnings), string(runbook.StateWaiting), string(runbook.StepStateWarned), "no news", "warning":
		return "warn"
	case string(standing.Failing), string(runbook.StateFailed), string(standing.NoPoint), string(runbook.StateInterrupted), string(runbook.StateRolledBack),
		string(runbook.StepStateUndoFailed), string(runbook.StepStateBlocked), "broken", "wrong", "alarm":
		return "bad"
	case string(runbook.StateRunning), string(runbook.StepStateUndoing), "open":
		return "busy"
	}
	return "calm"
}

// silence is how long a running run may say nothing until that is shown.
const silence = 10 * time.Minute

// stateOf is a run's state as it is shown: one whose host died would run for ever.
func (v *visit) stateOf(r record.Run) string {
	if r.State == string(runbook.StateRunning) && v.At.Sub(r.Updated) > silence {
		return "no news"
	}
	return shown(r.State)
}

// kindOf is a run's kind as a noun of the people's language.
func kindOf(kind string) string {
	if kind == "recover" {
		return "recovery"
	}
	return shown(kind)
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// stepTone is tone for steps: one that was left out on purpose is no fault.
func stepTone(state string) string {
	if state == string(runbook.StepStateSkipped) || state == string(runbook.StepStatePending) {
		return "calm"
	}
	return tone(state)
}

func checkWord(c runbook.Check) string {
	switch {
	case c.OK:
		return "good"
	case c.Skipped:
		return "not tried"
	case c.Warning:
		return "warning"
	}
	return "wrong"
}

// mayDo says in words what a role is for.
func mayDo(r record.Role) string {
	switch r {
	case record.Viewer:
		return "sees everything but secrets"
	case record.Operator:
		return "adds hosts and gives out recovery codes, too"
	case record.Administrator:
		return "revokes hosts, and manages people and tokens, too"
	}
	return "nothing"
}

func signsInBy(u record.User) string {
	var ways []string
	if u.Password != "" {
		way := "password"
		if len(u.TOTP) > 0 {
			way += " and one-time password"
		}
		ways = append(ways, way)
	}
	if u.Subject != "" {
		ways = append(ways, "the provider")
	}
	if len(ways) == 0 {
		return "nothing yet"
	}
	return strings.Join(ways, ", or ")
}

func stateOfUser(u record.User) string {
	if u.Disabled {
		return "shut out"
	}
	return "active"
}
