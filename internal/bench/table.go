package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Table writes what was measured as Markdown: medians first, then how many times
// as long each peer takes as the first of the results.
func Table(w io.Writer, results []Result) {
	fmt.Fprintln(w, "| | backup s | unchanged s | restore s | CPU s | stored MB | peak MB |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|")
	for _, r := range results {
		backup, again, restore := Median(r.Backup), Median(r.Again), Median(r.Restore)
		peak := max(backup.PeakMB, again.PeakMB, restore.PeakMB)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s/%s/%s | %.0f | %.0f |\n", mark(r),
			seconds(backup.Wall), seconds(again.Wall), seconds(restore.Wall),
			seconds(backup.CPU), seconds(again.CPU), seconds(restore.CPU), r.StoreMB, peak)
	}
	if len(results) < 2 {
		return
	}
	first := results[0]
	fmt.Fprintf(w, "\nAgainst %s = 1; more is slower, larger, hungrier.\n\n", first.Peer.Name)
	fmt.Fprintln(w, "| | backup | unchanged | restore | CPU of the backup | stored | peak |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|")
	for _, r := range results[1:] {
		again := r.Again
		if len(again) == 0 {
			again = r.Backup // it does everything again
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", mark(r),
			ratio(Median(r.Backup).Wall.Seconds(), Median(first.Backup).Wall.Seconds()),
			ratio(Median(again).Wall.Seconds(), Median(first.Again).Wall.Seconds()),
			ratio(Median(r.Restore).Wall.Seconds(), Median(first.Restore).Wall.Seconds()),
			ratio(Median(r.Backup).CPU.Seconds(), Median(first.Backup).CPU.Seconds()),
			ratio(r.StoreMB, first.StoreMB),
			ratio(peak(r), peak(first)))
	}
	for _, r := range results {
		if r.Peer.Slow {
			fmt.Fprintln(w, "\n† measured once")
			break
		}
	}
	floor := 0.0
	for _, r := range results {
		for _, s := range slices.Concat(r.Backup, r.Again, r.Restore) {
			floor = max(floor, s.FloorMB)
		}
	}
	fmt.Fprintf(w, "\nPeaks below %.0f MB cannot be seen.\n", floor)
}

func mark(r Result) string {
	name := r.Peer.Name
	if r.Peer.Slow {
		name += " †"
	}
	return strings.ReplaceAll(name, "|", `\|`)
}

func peak(r Result) float64 {
	return max(Median(r.Backup).PeakMB, Median(r.Again).PeakMB, Median(r.Restore).PeakMB)
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}
