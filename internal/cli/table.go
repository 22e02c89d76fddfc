package cli

import (
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"lifeboat/internal/cli/screen"
)

// wrap breaks text into lines of at most width columns.
func wrap(s string, width int) string {
	lines := strings.Split(text.WrapSoft(strings.Join(strings.Fields(s), " "), width), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// minute is a moment without seconds, for what begins at a time of day.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// roundly is a duration of minutes and hours without the seconds that it has not.
func roundly(d time.Duration) string {
	text := d.String()
	for _, nothing := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, nothing) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// paragraph breaks a line for the terminal, with the lines after the first indented;
// elsewhere it stays one line, for those that look for something in it.
func (a *app) paragraph(line string, indent int) string {
	f, ok := a.Out.(*os.File)
	if !ok {
		return line
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < indent+20 {
		return line
	}
	return indentBy(wrap(line, width-indent), indent)
}

func ago(t time.Time) string { return humanize.Time(t) }

// leastID is how much of an id names what is removed for good.
const leastID = 4

// removable refuses beginnings of ids that are too short for something to be removed
// by them: a slip of a finger names another one.
func removable(references ...string) error {
	for _, reference := range references {
		if len(reference) < leastID {
			return screen.Usagef("%q is too short to remove something by: give at least %d characters of the id", reference, leastID)
		}
	}
	return nil
}
