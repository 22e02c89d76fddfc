package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// column is one figure of a peer; 0 where there is none.
type column struct {
	name string
	of   func(Result) float64
	form string
}

var columns = []column{
	{"first backup, cold, s", wall(func(r Result) []Sample { return r.Backup }), "%.1f"},
	{"first backup, warm, s", wall(func(r Result) []Sample { return r.Warm }), "%.1f"},
	{"unchanged, s", wall(func(r Result) []Sample { return r.Again }), "%.1f"},
	{"restore, s", wall(func(r Result) []Sample { return r.Restore }), "%.1f"},
	{"verify, s", wall(func(r Result) []Sample { return r.Verify }), "%.1f"},
	{"CPU of a first backup, s", func(r Result) float64 { return Median(r.Backup).CPU.Seconds() }, "%.1f"},
	{"CPU of a restore, s", func(r Result) float64 { return Median(r.Restore).CPU.Seconds() }, "%.1f"},
	{"stored, MB", func(r Result) float64 { return r.StoreMB }, "%.0f"},
	{"peak, MB", peak, "%.0f"},
}

func wall(of func(Result) []Sample) func(Result) float64 {
	return func(r Result) float64 { return Median(of(r)).Wall.Seconds() }
}

// peak is the largest process of all phases.
func peak(r Result) float64 {
	largest := 0.0
	for _, s := range [][]Sample{r.Backup, r.Warm, r.Again, r.Restore, r.Verify} {
		largest = max(largest, Median(s).PeakMB)
	}
	return largest
}

// Table writes what was measured as Markdown: medians first, then how many times
// as much each peer takes as the first of the results.
func Table(w io.Writer, results []Result) {
	head(w)
	for _, r := range results {
		row(w, r, func(c column) string { return figure(c.of(r), c.form) })
	}
	if len(results) >= 2 {
		first := results[0]
		fmt.Fprintf(w, "\nAgainst %s = 1; more is slower, larger, hungrier.\n\n", first.Peer.Name)
		head(w)
		for _, r := range results[1:] {
			row(w, r, func(c column) string { return ratio(c.of(r), c.of(first)) })
		}
	}
	if slices.ContainsFunc(results, func(r Result) bool { return r.Peer.Slow }) {
		fmt.Fprintln(w, "\n† measured once")
	}
	floor := 0.0
	for _, r := range results {
		for _, s := range slices.Concat(r.Backup, r.Warm, r.Again, r.Restore, r.Verify) {
			floor = max(floor, s.FloorMB)
		}
	}
	fmt.Fprintf(w, "\nPeaks below %.0f MB cannot be seen.\n", floor)
}

func head(w io.Writer) {
	fmt.Fprint(w, "| |")
	for _, c := range columns {
		fmt.Fprintf(w, " %s |", c.name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("--:|", len(columns)))
}

func row(w io.Writer, r Result, cell func(column) string) {
	name := r.Peer.Name
	if r.Peer.Slow {
		name += " †"
	}
	fmt.Fprintf(w, "| %s |", strings.ReplaceAll(name, "|", `\|`))
	for _, c := range columns {
		fmt.Fprintf(w, " %s |", cell(c))
	}
	fmt.Fprintln(w)
}

func figure(value float64, form string) string {
	if value == 0 {
		return "–"
	}
	return fmt.Sprintf(form, value)
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}
