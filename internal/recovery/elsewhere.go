package recovery

import (
	"context"
	"fmt"
	"os"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
)

// maxLinks bounds how many links of one component are told one by one.
const maxLinks = 20

// leads tells where restored links must lead that end in what is saved elsewhere, and
// warns of those that lead nowhere yet. In a rehearsal nothing of it is expected.
func (r *Recovery) leads(ctx context.Context, task runbook.Task, record component.Record) error {
	if r.Rehearsal != nil {
		return nil
	}
	more := 0
	for i, link := range record.Elsewhere {
		if err := ctx.Err(); err != nil {
			return err
		}
		path, err := r.Host.Path(link.Target)
		if err != nil {
			return err
		}
		_, err = os.Lstat(path)
		if i >= maxLinks {
			if err != nil {
				more++
			}
			continue
		}
		check := runbook.Check{
			Name: record.Name + ": " + link.Path, OK: err == nil, Warning: true,
			Expected: "leads to " + link.Target + ", which is saved elsewhere and not in the recovery point", Found: "it is there",
			Hint: "mount " + link.Target + ", or bring it back from where it is saved; the link is in its place",
		}
		if err != nil {
			check.Found = "it leads nowhere: " + err.Error()
		}
		task.Check(check)
	}
	if more > 0 {
		task.Warnf("%s: %d more symbolic links lead nowhere; what they lead to is saved elsewhere (the manifest of the point lists them)", record.Name, more)
	}
	return nil
}

// spare takes back, in a rehearsal, what checks of a component say against paths that
// lead to what is saved elsewhere: that starts empty there, and nothing of it was tried.
func (r *Recovery) spare(record component.Record, checks []runbook.Check) []runbook.Check {
	if r.Rehearsal == nil {
		return checks
	}
	for i, check := range checks {
		path, ok := strings.CutPrefix(check.Name, record.Name+": ")
		link, leads := record.LeadsElsewhere(path)
		if !ok || !leads || check.OK {
			continue
		}
		checks[i].Skipped, checks[i].Warning, checks[i].Lacking, checks[i].Hint = true, false, false, ""
		checks[i].Found = "not tried: it leads to " + link.Target + ", which is saved elsewhere"
	}
	return checks
}

// elsewhereByHand lists the same for a person.
func (r *Recovery) elsewhereByHand(b *strings.Builder) {
	for _, c := range r.Manifest.Components {
		for i, link := range c.Elsewhere {
			if i == 0 {
				fmt.Fprintf(b, "Symbolic links of %s lead to what is saved elsewhere and not in this point. Mount it, or bring it back from there:\n\n", c.Name)
			}
			if i == maxLinks {
				fmt.Fprintf(b, "- and %d more, see `/.lifeboat/manifest.json`\n", len(c.Elsewhere)-i)
				break
			}
			fmt.Fprintf(b, "- `%s` must lead to `%s`\n", backquoted(link.Path), backquoted(link.Target))
		}
		if len(c.Elsewhere) > 0 {
			b.WriteString("\n")
		}
	}
}

func backquoted(path string) string { return strings.ReplaceAll(line(path), "`", "'") }
