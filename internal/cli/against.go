package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// againstFlags are the options of verify --against-source.
type againstFlags struct {
	only  []string
	point string
	quick bool
	limit int
}

// maxLimit bounds what --limit 0 lists: it is kept in memory.
const maxLimit = 100_000

// verifyAgainst compares a point with the system it was made of.
func (a *app) verifyAgainst(ctx context.Context, names []string, f againstFlags) error {
	if f.limit < 0 {
		return screen.Usagef("--limit takes a number, 0 for all")
	}
	if f.limit == 0 {
		f.limit = maxLimit
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	if len(names) == 0 && len(conf.Systems) > 0 {
		s, err := a.system(conf, nil)
		if err != nil {
			return err
		}
		names = []string{s.Name}
	}
	v, system, closeVault, err := a.openFor(ctx, names)
	if err != nil {
		return err
	}
	defer closeVault()
	point, err := a.find(ctx, v, f.point, vault.Filter{System: system})
	if err != nil {
		return err
	}
	p, err := a.catalogue().Load(point.Profile())
	if err != nil {
		return screen.Usage(err)
	}
	settings := map[string]string{}
	if s, ok := conf.System(point.System()); ok {
		settings = s.Settings
	}
	r, err := recovery.New(recovery.Options{
		System: point.System(), Profile: p, Catalog: catalog(), Host: host.Local(), Point: point, Settings: settings, Only: f.only,
	})
	if err != nil {
		return err
	}
	if err := a.beforeComparing(ctx, r, point); err != nil {
		return err
	}
	opts := recovery.CompareOptions{Quick: f.quick, Limit: f.limit}
	bars := newTerminal(os.Stderr, false)
	if !a.JSON && bars.paint.On {
		opts.Progress = func(name string, done, total int64) {
			bars.Observe(runbook.Event{Type: runbook.StepProgress, Step: name, Title: name, Bytes: done, Total: max(done, total)})
		}
	}
	all, err := r.Compare(ctx, opts)
	bars.Close()
	if err != nil {
		return err
	}
	return a.showAgainst(point, v.Repository().Flag(), all)
}

// beforeComparing tells what makes a comparison say less: another machine,
// another profile.
func (a *app) beforeComparing(ctx context.Context, r *recovery.Recovery, point *vault.Point) error {
	if a.JSON {
		return nil
	}
	paint := screen.PainterFor(a.Out)
	a.Printf("%s %s of %s, as it was at %s (%s), and this machine now\n", paint.Bold("Recovery point"), point.Short(), point.System(), screen.When(point.Time()), ago(point.Time()))
	checks, _, err := r.CheckIdentity(ctx, false)
	if err != nil && !errors.Is(err, runbook.ErrRefused) {
		return err
	}
	for _, c := range checks {
		if !c.OK {
			a.Printf("%s %s: the point says %s, this machine is %s\n", paint.Yellow("note"), c.Name, firstOf(screen.Clean(c.Expected), "nothing"), firstOf(screen.Clean(c.Found), "nothing"))
		}
	}
	if r.Profile.Digest() != point.Manifest.ProfileDigest {
		a.Printf("%s the installed profile is another version than the point's; what either excludes is not compared\n", paint.Yellow("note"))
	}
	return nil
}

func (a *app) showAgainst(point *vault.Point, flag string, all []*recovery.Against) error {
	var changed, suspicious, unreadable int64
	var failed []*recovery.Against
	for _, c := range all {
		changed, suspicious, unreadable = changed+c.Changed.Count, suspicious+c.Suspicious.Count, unreadable+c.Unreadable.Count
		if c.Failed != "" {
			failed = append(failed, c)
		}
	}
	switch {
	case suspicious > 0 || unreadable > 0 || len(failed) > 0:
		a.Code = runbook.ExitFailed
	case changed > 0:
		a.Code = runbook.ExitWarnings
	}
	if a.JSON {
		for _, c := range all {
			if err := a.Emit(struct {
				Type string `json:"type"`
				*recovery.Against
			}{"comparison", c}); err != nil {
				return err
			}
		}
		return a.Emit(map[string]any{
			"type": "against_source", "point": point.ID(), "system": point.System(), "time": point.Time(), "exit": a.Code,
			"changed": changed, "suspicious": suspicious, "unreadable": unreadable, "failed": len(failed),
		})
	}
	a.againstTable(all)
	paint := screen.PainterFor(a.Out)
	a.group(all, paint.Red("SUSPICIOUS: these differ, and their times say that nothing was written since the recovery point"), func(c *recovery.Against) *recovery.Group { return &c.Suspicious })
	a.group(all, paint.Red("COULD NOT BE READ"), func(c *recovery.Against) *recovery.Group { return &c.Unreadable })
	for _, c := range failed {
		a.Printf("\n%s %s: %s\n", paint.Red("NOT COMPARED"), c.Component, screen.Clean(c.Failed))
	}
	a.group(all, paint.Yellow("Changed since the recovery point, as a system in use does"), func(c *recovery.Against) *recovery.Group { return &c.Changed })
	a.leftOut(all)
	a.afterComparing(point, flag, changed, suspicious, unreadable+int64(len(failed)))
	return nil
}

func (a *app) againstTable(all []*recovery.Against) {
	var rows [][]string
	for _, c := range all {
		looked := fmt.Sprintf("%s, %s read", screen.Count(int(c.Items), "item", "items"), size(c.Bytes))
		switch {
		case c.Failed != "":
			looked = "not compared"
		case c.Skipped != "":
			looked = short(screen.Clean(c.Skipped), 60)
		}
		rows = append(rows, []string{c.Component, looked, fmt.Sprint(c.Changed.Count), fmt.Sprint(c.Suspicious.Count), fmt.Sprint(c.Unreadable.Count)})
	}
	a.Printf("\n")
	a.Table([]string{"component", "compared", "changed", "suspicious", "unreadable"}, rows, "changed", "suspicious", "unreadable")
}

// group lists one sort of differences by component.
func (a *app) group(all []*recovery.Against, title string, of func(*recovery.Against) *recovery.Group) {
	for _, c := range all {
		g := of(c)
		if g.Count == 0 {
			continue
		}
		if title != "" {
			a.Printf("\n%s\n", title)
			title = ""
		}
		var kinds []string
		for _, k := range sorted(g.Kinds) {
			kinds = append(kinds, fmt.Sprintf("%d %s", g.Kinds[k], k))
		}
		a.Printf("  %s: %s\n", screen.PainterFor(a.Out).Bold(c.Component), strings.Join(kinds, ", "))
		shown := int64(0)
		for _, d := range g.List {
			a.difference(d)
			shown += 1 + d.Below
		}
		if more := g.Count - shown; more > 0 {
			a.Printf("    and %d more (--limit 0 lists all)\n", more)
		}
	}
}

func (a *app) difference(d component.Difference) {
	line := fmt.Sprintf("    %-10s %s", d.Kind, screen.Clean(d.Path))
	if d.Below > 0 {
		line += fmt.Sprintf(" and %d below", d.Below)
	}
	var fields []string
	for _, f := range d.Fields {
		switch {
		case f.Was == "" && f.Now == "":
			fields = append(fields, f.Name)
		case f.Was == "":
			fields = append(fields, f.Name+": "+f.Now)
		default:
			fields = append(fields, fmt.Sprintf("%s: was %s, is %s", f.Name, f.Was, firstOf(f.Now, "none")))
		}
	}
	if len(fields) > 0 {
		line += "\n               " + screen.Clean(strings.Join(fields, "\n               "))
	}
	if d.Note != "" {
		line += "\n               " + screen.PainterFor(a.Out).Faint(screen.Clean(d.Note))
	}
	a.Printf("%s\n", line)
}

// leftOut tells what the comparison does not say.
func (a *app) leftOut(all []*recovery.Against) {
	title := "\nNot looked at\n"
	for _, c := range all {
		if a.verbose && len(c.What) > 0 {
			a.Printf("\n%s: compared were %s\n", c.Component, strings.Join(c.What, "; "))
		}
		for _, text := range c.Not {
			a.Printf("%s  %s: %s\n", title, c.Component, screen.Clean(text))
			title = ""
		}
		if c.Unread > 0 {
			a.Printf("%s  %s: the content of %d files with their old change time (--quick)\n", title, c.Component, c.Unread)
			title = ""
		}
	}
}

func (a *app) afterComparing(point *vault.Point, flag string, changed, suspicious, failed int64) {
	a.Printf("\n%s\n", map[bool]string{true: "Nothing differs.", false: fmt.Sprintf("%d changed since, %d suspicious, %d could not be compared.", changed, suspicious, failed)}[changed+suspicious+failed == 0])
	switch system, id := point.System(), point.Short(); {
	case suspicious > 0:
		a.Printf("Content that changes by itself or under its old times is a failing disk or somebody's work. Look at the kernel's log\nand at the files as they were: lifeboat restore %s PATH --target DIR --from %s%s\nKeep that point until it is clear, for a new one holds the files as they are now: lifeboat pin %s %s%s\n", system, id, flag, system, id, flag)
	case failed > 0:
		a.Printf("Correct what is named above and compare again. Only root can read everything.\n")
	case changed > 0:
		a.Printf("Next, to protect what is new: lifeboat backup %s%s\n", system, flag)
	}
}
