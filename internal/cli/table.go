package cli

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// table prints rows in columns; columns named in right are aligned there.
func (a *app) table(header []string, rows [][]string, right ...string) {
	t := table.NewWriter()
	t.SuppressTrailingSpaces() // on a narrow terminal they make empty lines
	t.SetOutputMirror(a.out)
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	head := table.Row{}
	for _, h := range header {
		head = append(head, painterFor(a.out).bold(h))
	}
	t.AppendHeader(head)
	for _, r := range rows {
		row := table.Row{}
		for _, cell := range r {
			row = append(row, cell)
		}
		t.AppendRow(row)
	}
	var columns []table.ColumnConfig
	for i, h := range header {
		for _, r := range right {
			if h == r {
				columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
			}
		}
	}
	t.SetColumnConfigs(columns)
	t.Render()
}

// wrap breaks text into lines of at most width columns.
func wrap(s string, width int) string {
	lines := strings.Split(text.WrapSoft(strings.Join(strings.Fields(s), " "), width), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// minute is when without seconds, for what begins at a time of day.
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
	f, ok := a.out.(*os.File)
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
			return usagef("%q is too short to remove something by: give at least %d characters of the id", reference, leastID)
		}
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
