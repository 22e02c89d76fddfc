package testreport

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Summarize prints the failures in full, the skipped tests with their reasons
// and, as the last line, "N passed, N failed, N skipped".
func (r *Report) Summarize() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.failures {
		fmt.Fprintf(r.out, "\nFAILED %s\n", strings.TrimSpace(f.pkg+" "+f.test))
		if f.output == "" {
			f.output = "(it said nothing)\n"
		}
		fmt.Fprint(r.out, indent(f.output))
	}
	if len(r.bare) > 0 {
		slices.Sort(r.bare)
		fmt.Fprintf(r.out, "\nPackages without tests: %s\n", strings.Join(r.bare, " "))
	}
	if len(r.skipped) > 0 {
		slices.SortFunc(r.skipped, func(a, b skip) int {
			return cmp.Or(cmp.Compare(a.reason, b.reason), cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test))
		})
		fmt.Fprintf(r.out, "\nSkipped, and why:\n")
		table := tabwriter.NewWriter(r.out, 0, 8, 2, ' ', 0)
		for _, s := range r.skipped {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", s.pkg, s.test, s.reason)
		}
		table.Flush()
	}
	if len(r.failures) > 0 {
		fmt.Fprintln(r.out, "\nFailed:")
		for _, f := range r.failures {
			fmt.Fprintf(r.out, "  %s\n", strings.TrimSpace(f.pkg+" "+f.test))
		}
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped))
}

// Watch says every now and then what is still running, so that nobody takes a
// long test for a hung one. It returns when ctx ends.
func (r *Report) Watch(ctx context.Context, quiet time.Duration) {
	tick := time.NewTicker(quiet / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.mu.Lock()
			if now.Sub(r.spoke) >= quiet {
				r.spoke = now
				fmt.Fprintf(r.out, "…    %s\n", cmp.Or(r.running(now), "building"))
			}
			r.mu.Unlock()
		}
	}
}

func (r *Report) running(now time.Time) string {
	var names []string
	for name, p := range r.packages {
		entry := fmt.Sprintf("%s %.0fs", name, now.Sub(p.started).Seconds())
		if tests := unfinished(p); tests != "" {
			entry += " (" + few(tests) + ")"
		}
		names = append(names, entry)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func indent(text string) string {
	text = strings.TrimRight(text, "\n")
	return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}
