package recovery

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// Handbook writes the recovery out for a person who has stock restic, the
// database's own client and this page, and no Lifeboat.
//
// Steps whose condition does not hold on the machine that is backed up are left
// out: they would not apply to a machine like it either.
func (r *Recovery) Handbook(ctx context.Context) ([]byte, error) {
	chapters, err := r.Chapters(ctx)
	if err != nil {
		return nil, err
	}
	m := r.Manifest
	var b strings.Builder
	fmt.Fprintf(&b, "# Recovery of %s by hand\n\n", m.System)
	machine := line(m.Identity["hostname"])
	if os := m.Identity["os"]; os != "" { // an import may not know it
		machine += " (" + line(os) + ")"
	}
	fmt.Fprintf(&b, "%s on %s, as it was at %s. `lifeboat recover %s` does all of this; this page is for the day when there is no Lifeboat.\n\n",
		r.Profile.Title, machine, m.Moment.UTC().Format(time.RFC3339), m.System)
	fmt.Fprintf(&b, `You need a shell as root, restic 0.14 or newer, and the repository's password. Name the repository and the recovery point first:

    export REPOSITORY=…      # where the repository lies, as restic writes it
    export RESTIC_PASSWORD_FILE=…   # a file that holds its password
    restic -r "$REPOSITORY" snapshots --tag %s
    export POINT=…           # the id of the line with the time above

Then fetch what is no file of the system, say dumps of databases. It holds
secrets and is readable by root only; remove it at the end:

`+"```sh\nrestic -r \"$REPOSITORY\" restore \"$POINT\" --target / --include /.lifeboat\n```"+`

`, quote("system:"+m.System))
	r.contents(&b)
	r.elsewhereByHand(&b)
	noted := m.Noted()
	for _, w := range noted {
		fmt.Fprintf(&b, "> Noted when the point was made: %s\n>\n", cell(w))
	}
	if len(noted) > 0 {
		b.WriteString("\n")
	}
	for _, c := range chapters {
		fmt.Fprintf(&b, "## %d. %s\n\n", c.Number, c.Title)
		for i, s := range c.Steps {
			fmt.Fprintf(&b, "### %d.%d %s\n\n", c.Number, i+1, s.Title)
			b.WriteString(strings.TrimRight(s.Hand, "\n") + "\n\n")
			if s.Reboot {
				b.WriteString("Only when it is asked for. Afterwards export REPOSITORY, RESTIC_PASSWORD_FILE and POINT again.\n\n")
			}
		}
	}
	return []byte(b.String()), nil
}

// Chapter is a stage as the handbook has it: its steps are those that a person does.
type Chapter struct {
	Number int // of the stage in the runbook; those without steps are left out
	Title  string
	Steps  []runbook.Step
}

// Chapters is the outline of the handbook, with the same numbers.
func (r *Recovery) Chapters(ctx context.Context) ([]Chapter, error) {
	book, err := r.Runbook()
	if err != nil {
		return nil, err
	}
	var chapters []Chapter
	for i, stage := range book.Stages {
		c := Chapter{Number: i + 1, Title: stage.Title}
		for _, s := range stage.Steps {
			if s.Hand == "" {
				continue
			}
			// Of a machine that is only files, as an import has it, it cannot be
			// told what is installed: every step stays in.
			if s.When != nil && r.Host.IsLocal() {
				if applies, _, err := s.When(ctx); err == nil && !applies {
					continue
				}
			}
			c.Steps = append(c.Steps, s)
		}
		if len(c.Steps) > 0 {
			chapters = append(chapters, c)
		}
	}
	return chapters, nil
}

// contents lists what the point holds and what it does not.
func (r *Recovery) contents(b *strings.Builder) {
	b.WriteString("## What is in this recovery point\n\n| component | importance | holds | without it |\n|---|---|---|---|\n")
	for _, c := range r.Manifest.Components {
		holds := strings.Join(c.Paths, " ")
		for _, s := range c.Streams {
			holds += " " + vault.Dir + "/" + s
		}
		if c.Status != component.StatusCaptured {
			holds = "**not in the point**: " + string(c.Status) + " " + c.Reason
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", c.Name, c.Importance, cell(holds), cell(c.Loss))
	}
	b.WriteString("\n")
	restored := r.restored()
	var looked []string
	for _, c := range r.Manifest.Components {
		if _, ok := restored[c.Name]; ok || c.Status != component.StatusCaptured {
			continue
		}
		what := slices.Clone(c.Paths)
		for _, s := range c.Streams {
			what = append(what, vault.Dir+"/"+s)
		}
		looked = append(looked, fmt.Sprintf("%s (%s)", c.Name, line(strings.Join(what, ", "))))
	}
	if len(looked) > 0 {
		fmt.Fprintf(b, "No step puts these back; they are there to be looked at and compared: %s.\n\n", strings.Join(looked, "; "))
	}
}

// cell makes text safe for a Markdown table.
func cell(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(line(s), "|", "\\|"))
}

// line makes one line of a text that somebody else wrote, so that it cannot
// begin a block of commands on the page.
func line(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, s)
}

// asideByHand is where a person moves or copies what a restore would replace. In
// directories whose every file is used (/etc/*.d, /etc/cron.*) the name begins
// with a dot, so that it is not.
func asideByHand(p string) string {
	dir, base := path.Split(p)
	if in := path.Base(dir); strings.HasSuffix(in, ".d") || strings.HasPrefix(in, "cron.") {
		base = "." + base
	}
	return dir + base + ".fresh"
}

// ifThere guards a command of the page with the existence of a path, where it
// cannot be known whether the machine has it.
func (r *Recovery) ifThere(p string) string {
	if r.Host.IsLocal() {
		return ""
	}
	return "test ! -e " + quote(p) + " || "
}

// restored lists the captured components that some step puts back.
func (r *Recovery) restored() map[string]component.Record {
	list := map[string]component.Record{}
	for _, stage := range r.Profile.Recovery.Stages() {
		for _, s := range stage.Steps {
			o, ok := s.Options.(*RestoreOptions)
			if !ok {
				continue
			}
			if record, err := r.record(o.Component); err == nil {
				list[o.Component] = record
			}
		}
	}
	return list
}

// cleanByHand names what the page had a person move aside or fetch.
func (r *Recovery) cleanByHand() string {
	restored := r.restored()
	var moved []string
	dumped := false
	for _, name := range slices.Sorted(maps.Keys(restored)) {
		record := restored[name]
		dumped = dumped || slices.ContainsFunc(record.Streams, func(s string) bool { return strings.HasSuffix(s, ".sql") })
		if r.restoredOver(name) {
			continue
		}
		for _, p := range record.Paths {
			moved = append(moved, asideByHand(p))
		}
	}
	var b strings.Builder
	b.WriteString("When everything above is well, remove what you moved aside or copied before it was replaced")
	if dumped {
		b.WriteString(", and\nthe dumps of what the databases held (`before-….sql`, where you ran the client; they hold secrets)")
	}
	b.WriteString(":\n\n")
	for _, p := range moved {
		b.WriteString("    rm -rf " + quote(p) + "\n")
	}
	if dumped {
		b.WriteString("    rm before-*.sql\n")
	}
	b.WriteString("\nAnd what was fetched at the beginning, for it holds secrets:\n\n```sh\nrm -r /.lifeboat\n```\n")
	return b.String()
}
