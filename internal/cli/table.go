package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// table prints rows in columns; columns named in right are aligned there.
func (a *app) table(header []string, rows [][]string, right ...string) {
	t := table.NewWriter()
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
