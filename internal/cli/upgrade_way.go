package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// wayTo finds the hops to a release, over others that are named.
func wayTo(c *path.Catalogue, from path.Release, to string, via []string) ([]path.Hop, error) {
	var hops []path.Hop
	for i, text := range append(slices.Clone(via), to) {
		option := "--via"
		if i == len(via) {
			option = "--to"
		}
		next, err := c.Parse(text, path.Release{Product: from.Product, Arch: from.Arch})
		if err != nil {
			return nil, screen.Usage(fmt.Errorf("%s: %w", option, err))
		}
		v := c.Judge(from, next)
		switch {
		case v.Outcome == path.Current && i == 0:
			return nil, runbook.Refuse("", "the host is %s already", next.Name())
		case v.Outcome == path.Current, v.Outcome == path.Refused && len(v.Hops) < 2:
			return nil, runbook.Refuse("", "%s", upgrade.Refusal(v))
		}
		hops = append(hops, v.Hops...)
		from = next
	}
	return hops, nil
}

// perHop are the values of an option that may name the release of the hop that they are
// for: RELEASE:VALUE.
type perHop struct {
	option string
	hops   []path.Hop
	c      *path.Catalogue
}

// of takes the release off a value. At is the hop, -1 where none is named.
func (p perHop) of(text string) (at int, value string, err error) {
	name, rest, ok := strings.Cut(text, ":")
	if !ok {
		return -1, text, nil
	}
	r, err := p.c.Parse(name, path.Release{Product: p.hops[0].From.Product, Arch: p.hops[0].From.Arch})
	if err != nil {
		return -1, text, nil //nolint:nilerr // what is no release belongs to the value
	}
	if at = slices.IndexFunc(p.hops, func(h path.Hop) bool { return h.To == r }); at < 0 {
		var names []string
		for _, h := range p.hops {
			names = append(names, h.To.Name())
		}
		return -1, "", screen.Usagef("%s %q: %s is no hop of this way; these are %s", p.option, text, r.Name(), strings.Join(names, ", "))
	}
	return at, rest, nil
}

// one gives each hop its value: that which names it, else that which names none.
func (p perHop) one(values []string) ([]string, error) {
	out, all := make([]string, len(p.hops)), ""
	for _, text := range values {
		at, value, err := p.of(text)
		if err != nil {
			return nil, err
		}
		if at >= 0 {
			out[at] = value
		} else {
			all = value
		}
	}
	for i := range out {
		out[i] = cmp.Or(out[i], all)
	}
	return out, nil
}

// maxRepositoryFile bounds a .repo file, in bytes.
const maxRepositoryFile = 1 << 20

// targets gives each hop its package repositories. Where a hop is not named, the lists of
// the releases say whose a repository is.
func (p perHop) targets(files, list []string) ([][]zypper.Repository, error) {
	out := make([][]zypper.Repository, len(p.hops))
	add := func(at int, r zypper.Repository) error {
		if len(p.hops) == 1 {
			at = 0
		}
		if at >= 0 {
			out[at] = append(out[at], r)
			return nil
		}
		found := false
		for i, h := range p.hops {
			if p.c.Has(h.To, path.Present{Alias: r.Alias, Name: r.Name}) {
				out[i], found = append(out[i], r), true
			}
		}
		if !found {
			last := p.hops[len(p.hops)-1].To.Name()
			return screen.Usagef("the package repository %s is on the list of no release of this way; say which hop it is for, such as --target %q or --targets %q", r.Alias, last+":"+r.Alias+"=URL", last+":FILE")
		}
		return nil
	}
	for _, text := range files {
		at, name, err := p.of(text)
		if err != nil {
			return nil, err
		}
		all, err := readTargets(name)
		if err != nil {
			return nil, screen.Usage(fmt.Errorf("--targets %s: %w", name, err))
		}
		for _, r := range all {
			if err := add(at, r); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range list {
		at, value, err := p.of(text)
		if err != nil {
			return nil, err
		}
		alias, url, err := splitTarget(value)
		if err != nil {
			return nil, err
		}
		if err := add(at, zypper.Repository{Alias: alias, URLs: []string{url}, Enabled: true}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readTargets(name string) ([]zypper.Repository, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRepositoryFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxRepositoryFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return zypper.ParseRepositories(text)
}

// media are the directories of --medium as absolute paths, for each hop.
func (p perHop) media(values []string) ([]string, error) {
	list, err := p.one(values)
	for i := range list {
		if list[i] != "" && err == nil {
			list[i], err = filepath.Abs(list[i])
		}
	}
	return list, err
}

// control is the control file of an automatic upgrade by a hop; "" where somebody is asked.
func (p perHop) control(hop int, found *facts.Facts, f upgradeFlags) (string, error) {
	h := p.hops[hop]
	var answers []string
	for _, text := range f.answers {
		at, value, err := p.of(text)
		if err != nil {
			return "", err
		}
		if at < 0 || at == hop {
			answers = append(answers, value)
		}
	}
	if !f.auto {
		if len(answers) > 0 {
			return "", screen.Usagef("--answer %s: without --auto the installer asks a person", answers[0])
		}
		return "", nil
	}
	q, err := options(found, p.c.Judge(h.From, h.To), answers)
	if err != nil {
		return "", err
	}
	text, err := q.Control(h.To.Version)
	if err != nil {
		return "", screen.Usage(fmt.Errorf("--auto, to %s: %w", h.To.Name(), err))
	}
	return string(text), nil
}

// wayText is a way in a question.
func wayText(r upgrade.Request) string {
	if r.Way == nil {
		return fmt.Sprintf("%s (%s)", r.To.Name(), r.Method)
	}
	var names []string
	for _, h := range append([]upgrade.Request{r}, r.Way.Then...) {
		names = append(names, fmt.Sprintf("%s (%s)", h.To.Name(), h.Method))
	}
	return fmt.Sprintf("%s in %d hops: %s", r.Goal().Name(), r.Way.Of, strings.Join(names, ", then "))
}

// along runs a hop and those that follow it. What one needs is judged anew when it begins.
func (a *app) along(ctx context.Context, conf *config.Config, name string, r upgrade.Request, c *path.Catalogue) error {
	for {
		u, done, err := a.upgradeOf(ctx, conf, name, r.System, r, c)
		if err != nil {
			return err
		}
		engine, ended := a.engine(a.state(conf), false)
		a.ran, err = u.Start(ctx, engine)
		ended()
		done()
		if err := a.upgradeEnded(conf, err); err != nil {
			return err
		}
		var more bool
		if r, more, err = a.nextHop(ctx, conf); err != nil || !more {
			return err
		}
	}
}

// nextHop is what follows the hop that has just ended. On the running system a restart
// that is due comes first.
func (a *app) nextHop(ctx context.Context, conf *config.Config) (upgrade.Request, bool, error) {
	hops, err := a.hopsOf(conf, a.ran)
	if err != nil || len(hops) == 0 {
		return upgrade.Request{}, false, err
	}
	next, more := upgrade.Next(hops)
	if !more {
		if !a.JSON {
			a.Printf("That was the last of %d hops.\n", len(hops))
		}
		return upgrade.Request{}, false, nil
	}
	r := next.Request
	if err := restartFirst(ctx, r); err != nil {
		return r, false, err
	}
	if !a.JSON {
		a.Printf("\n%s\n", screen.PainterFor(a.Out).Bold(hopText(r)))
	}
	return r, true, nil
}

// hopText is the headline of a hop.
func hopText(r upgrade.Request) string {
	return fmt.Sprintf("Hop %d of %d: %s to %s (%s)", r.Way.Hop, r.Way.Of, r.From.Name(), r.To.Name(), r.Method)
}

// standsText says where a hop that failed has left the host, and how to go on and back
// from there; "" for a step by itself.
func (a *app) standsText(hops []upgrade.Hop, run *runbook.Run) string {
	if len(hops) == 0 {
		return ""
	}
	next, _ := upgrade.Next(hops)
	where := a.inRoot(run)
	text := fmt.Sprintf("\nThe host is %s, before %s. When the cause is mended, this begins the hop anew: lifeboat upgrade resume%s (--accept accepts what was found)",
		upgrade.Where(hops).Name(), next.Request.Place(), where)
	if last := upgrade.Newest(hops, run); last.ID != run.ID {
		if done, err := upgrade.Asked(last); err == nil {
			text += fmt.Sprintf("\nThis goes further back, to %s: lifeboat upgrade rollback%s", done.From.Name(), where)
		}
	}
	return text
}

// inRoot is the option that names a run's root, with a blank before it; "" for this
// machine's own.
func (a *app) inRoot(run *runbook.Run) string {
	r, err := a.asked(run)
	if err != nil || r.Root == "/" {
		return ""
	}
	return " --root " + r.Root
}

// restartFirst waits where the running system is not what is installed: the next hop
// would be refused for it.
func restartFirst(ctx context.Context, r upgrade.Request) error {
	if _, accepted := r.Accept["restart-pending"]; r.Root != "/" || accepted {
		return nil
	}
	h, err := hostBelow(screen.Path(r.Root))
	if err != nil {
		return err
	}
	f, err := facts.Collect(ctx, h)
	if err != nil || len(f.Pending) == 0 {
		return err
	}
	return &betweenError{fmt.Sprintf("the host is %s and has to be restarted before %s (%s). Restart it, then: lifeboat upgrade resume",
		r.From.Name(), r.Place(), strings.Join(f.Pending, "; "))}
}

// betweenError waits between two hops.
type betweenError struct{ text string }

func (e *betweenError) Error() string { return e.text }

// Is makes the error a runbook.ErrWaiting.
func (e *betweenError) Is(target error) bool { return target == runbook.ErrWaiting }

// hopsOf are the hops of the way that a run is of; none for a step by itself.
func (a *app) hopsOf(conf *config.Config, run *runbook.Run) ([]upgrade.Hop, error) {
	runs, err := runbook.List(a.state(conf))
	hops := upgrade.Hops(runs, run)
	if len(hops) > 0 {
		return hops, nil // others' journals that cannot be read are not asked here
	}
	if r, askErr := upgrade.Asked(run); askErr == nil && r.Way != nil {
		return nil, errors.Join(err, fmt.Errorf("the journals of the hops before %s are not there", r.Place()))
	}
	return nil, nil
}
