package screen

import (
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Table prints rows in columns; columns named in right are aligned there.
func (s *Screen) Table(header []string, rows [][]string, right ...string) {
	t := table.NewWriter()
	t.SuppressTrailingSpaces() // on a narrow terminal they make empty lines
	t.SetOutputMirror(s.Out)
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	head := table.Row{}
	for _, h := range header {
		head = append(head, PainterFor(s.Out).Bold(h))
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
		if slices.Contains(right, h) {
			columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(columns)
	t.Render()
}
