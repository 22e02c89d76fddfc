package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// completionTime bounds how long a shell waits for words.
const completionTime = 2 * time.Second

// errAsks ends a completion where a password would have to be typed.
var errAsks = errors.New("a completion asks for no password")

// words proposes words for what stands before the one that is typed.
type words func(ctx context.Context, before []string) []string

// completions give the shell systems, components, points, checks, runs and
// profiles. What cannot be found out at once, and without asking, is left out.
func (a *app) completions(root *cobra.Command) {
	system := a.knownSystems
	for verb, positions := range map[string][]words{
		"backup": {system}, "list": {system}, "review": {system}, "verify": {system}, "forget": {system}, "copy": {system}, "drill": {system}, "drill history": {system}, "kit": {system},
		"schedule on": {system}, "schedule off": {system}, "schedule status": {system}, "schedule run": {system, a.knownJobs},
		"show": {system, a.knownPoints}, "pin": {system, a.knownPoints},
		"recover": {system, a.knownRuns}, "restore": {system, a.knownComponents},
		"profile show": {a.knownProfiles}, "runs show": {a.knownRuns},
	} {
		c, _, err := root.Find(strings.Fields(verb))
		if err != nil {
			continue
		}
		c.ValidArgsFunction = func(c *cobra.Command, before []string, typed string) ([]string, cobra.ShellCompDirective) {
			at := min(len(before), len(positions)-1)
			if len(before) >= len(positions) && verb != "restore" {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.propose(c, positions[at], before, typed)
		}
	}
	for verb, flags := range map[string]map[string]words{
		"recover": {"from": a.knownPoints, "only": a.knownComponents, "force": a.knownChecks},
		"restore": {"from": a.knownPoints, "only": a.knownComponents, "force": a.knownChecks},
		"drill":   {"from": a.knownPoints, "force": a.knownChecks},
	} {
		c, _, err := root.Find([]string{verb})
		if err != nil {
			continue
		}
		for flag, of := range flags {
			_ = c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, before []string, typed string) ([]string, cobra.ShellCompDirective) {
				return a.propose(c, of, before, typed)
			})
		}
	}
}

// propose asks for words and keeps those that begin as was typed, after the last
// comma of a list.
func (a *app) propose(c *cobra.Command, of words, before []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	a.completing = true
	list := typed[:strings.LastIndexByte(typed, ',')+1]
	var out []string
	for _, word := range of(ctx, before) {
		if word = screen.Printable(word); strings.HasPrefix(list+word, typed) {
			out = append(out, list+word)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) knownSystems(context.Context, []string) []string {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return nil
	}
	return conf.SystemNames()
}

func (a *app) knownJobs(_ context.Context, before []string) []string {
	conf, err := a.loadOrEmpty()
	if err != nil || len(before) == 0 {
		return nil
	}
	s, _ := conf.System(before[0])
	return sorted(conf.ScheduleOf(s))
}

func (a *app) knownProfiles(context.Context, []string) []string {
	entries, err := a.catalogue().List()
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

func (a *app) knownRuns(_ context.Context, before []string) []string {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return nil
	}
	runs, _ := runbook.List(a.state(conf))
	var ids []string
	for _, r := range slices.Backward(runs) {
		if len(before) == 0 || r.System == before[0] && r.Kind == recovery.Kind {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func (a *app) knownPoints(ctx context.Context, before []string) []string {
	conf, err := a.loadOrEmpty()
	if err != nil || len(before) == 0 {
		return nil
	}
	repo, err := a.openRepository(ctx, conf, before[0]) // without a lock: nothing is written
	if err != nil {
		return nil
	}
	defer repo.Close()
	points, _ := vault.New(repo).Points(ctx, vault.Filter{System: before[0]})
	var ids []string
	for _, p := range slices.Backward(points) {
		ids = append(ids, p.Short())
	}
	return ids
}

func (a *app) knownComponents(_ context.Context, before []string) []string {
	var names []string
	if p := a.profileOf(before); p != nil {
		for _, c := range p.Components {
			if !slices.Contains(before[1:], c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

func (a *app) knownChecks(_ context.Context, before []string) []string {
	if p := a.profileOf(before); p != nil {
		return recovery.Checks(p)
	}
	return nil
}

// profileOf is the profile of the system that was typed first. On a machine
// without a configuration the system may be called as its profile.
func (a *app) profileOf(before []string) *profile.Profile {
	if len(before) == 0 {
		return nil
	}
	name := before[0]
	if conf, err := a.loadOrEmpty(); err == nil {
		if s, ok := conf.System(name); ok {
			name = s.Profile
		}
	}
	p, err := a.catalogue().Load(name)
	if err != nil {
		return nil
	}
	return p
}
