package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/recovery"
	"lifeboat/internal/rescue"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/source"
	"lifeboat/internal/runbook"
)

// tellRescue shows what happens while a configuration is looked for.
func (a *app) tellRescue(e rescue.Event) {
	if a.JSON {
		_ = a.Emit(struct {
			Type string `json:"type"`
			rescue.Event
		}{"rescue", e})
		return
	}
	text := screen.Clean(e.Text)
	switch e.Name {
	case "machine":
		a.Printf("This machine: %s\n", strings.ReplaceAll(text, "; ", "\n              "))
	case "source":
		a.Printf("Looking at    %s\n", text)
	case "asked":
		a.Printf("Sent          %s\n", text)
	case "answered":
		a.Printf("Answer        %s\n", text)
	case "warning":
		a.notices.warn(text)
	default:
		a.Printf("%-13s %s\n", strings.ToUpper(e.Name[:1])+e.Name[1:], text)
	}
}

// showFetched tells what came, and how to go on.
func (a *app) showFetched(f *rescue.Fetched, files []configuration.File, placed []rescue.Placed, dry bool) error {
	if f.Secret == nil && !dry {
		a.Code = runbook.ExitWarnings
	}
	if a.JSON {
		names := make([]string, len(files))
		for i, file := range files {
			names[i] = file.Path
		}
		return a.Emit(map[string]any{
			"type": "rescue-fetched", "host": f.Host, "name": f.HostName, "version": f.Version, "created": f.Created, "issued": f.Issued, "static": f.Static,
			"url": f.URL, "recognised_by": f.Shared, "secrets": f.Secret != nil, "systems": f.Config.Systems, "repositories": f.Config.Repositories, "files": names, "disks": f.Config.Layout, "placed": placed, "dry_run": dry,
		})
	}
	by := "named by you; nothing of this machine was that host's"
	if len(f.Shared) > 0 {
		by = "recognised by " + strings.Join(f.Shared, ", ")
	}
	a.Printf("\n%s %s, version %d of its recovery configuration, %s (%s)\n", screen.PainterFor(a.Out).Bold("Host "+f.HostName), f.Host, f.Version, screen.When(f.Created), ago(f.Created))
	a.Printf("  %s; signed by the fleet's key\n", by)
	if f.Static {
		a.Printf("  %s\n", screen.PainterFor(a.Out).Yellow("It was signed for no request in particular, at "+screen.When(f.Issued)+": a newer one may exist."))
	}
	for _, s := range f.Config.Systems {
		a.Printf("  system %s (profile %s) from %s\n", s.Name, s.Profile, strings.Join(s.Repositories, ", then "))
	}
	for _, r := range f.Config.Repositories {
		a.Printf("  repository %s: %s\n", r.Name, screen.Clean(r.Location))
	}
	a.showDisks(f.Config.Layout)
	if dry {
		for _, file := range files {
			a.Printf("  would write %s\n", file.Path)
		}
		return nil
	}
	for _, p := range placed {
		switch {
		case p.Same:
			a.Printf("  as it was  %s\n", p.Path)
		case p.Aside != "":
			a.Printf("  written    %s  (what was there: %s)\n", p.Path, p.Aside)
		default:
			a.Printf("  written    %s\n", p.Path)
		}
	}
	if f.Secret == nil {
		a.Printf("%s No secrets came with it, and no files: without a recovery code the repository's password must be known otherwise.\n", screen.PainterFor(a.Out).Yellow("warning"))
	}
	if a.rescued {
		return nil
	}
	a.Printf("%s\n", screen.PainterFor(a.Out).Bold("Next:"))
	for _, s := range f.Config.Systems {
		a.Printf("  lifeboat recover %s\n", recovery.Shell(s.Name))
	}
	return nil
}

// needsRescue tells whether a recovery begins with fetching: on a machine that knows
// nothing of us, and whose medium, or kernel command line, says where to ask.
func (a *app) needsRescue(f recoverFlags, r rescueFlags) bool {
	if f.resume || f.rollback || f.discardOld || f.run != "" || a.repository != "" {
		return false
	}
	if _, err := os.Stat(a.configFile); err == nil {
		return false
	}
	medium, err := source.LoadMedium(string(r.medium))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return true // which tells what is wrong with it
	}
	return medium.URL != "" || source.FromCommandLine(source.CommandLine()) != ""
}

// recoverRescued fetches, and recovers what the configuration names: one system, or
// all of them in their order.
func (a *app) recoverRescued(ctx context.Context, host, systems []string, f recoverFlags, r rescueFlags) error {
	if f.dry {
		_, err := a.rescueFetch(ctx, r, host, "/", true)
		return err
	}
	a.rescued = true
	got, err := a.rescueFetch(ctx, r, host, "/", false)
	if err != nil {
		return err
	}
	var known []string
	for _, s := range got.Config.Systems {
		known = append(known, s.Name)
	}
	if len(systems) == 0 {
		systems = known
	}
	for _, s := range systems {
		if !slices.Contains(known, s) {
			return screen.Usagef("the recovery configuration of %s has no system %s; it has %s", got.HostName, s, strings.Join(known, ", "))
		}
	}
	for i, s := range systems {
		if !a.JSON {
			a.Printf("\n%s\n", screen.PainterFor(a.Out).Bold("Recovering "+s))
		}
		err := a.reachRescued(got, s)
		if err == nil {
			err = a.recover(ctx, s, f)
		}
		if err != nil {
			if rest := systems[i+1:]; len(rest) > 0 {
				return fmt.Errorf("%w\nStill to be recovered afterwards: %s", err, strings.Join(rest, ", "))
			}
			return err
		}
	}
	// Everything is back, the secrets among it: the copies would only grow old.
	return rescue.Forget("/")
}

// reachRescued says where the points of a system are when no lifeboat.yaml has come.
func (a *app) reachRescued(got *rescue.Fetched, system string) error {
	if _, err := os.Stat(a.configFile); err == nil {
		return nil
	}
	for _, s := range got.Config.Systems {
		for _, r := range got.Config.Repositories {
			if s.Name == system && r.Name == s.Repositories[0] {
				a.repository = r.Location
				if file := rescue.PasswordFile(r.Name); got.Secret != nil && got.Secret.Passwords[r.Name] != "" {
					a.password.file = file
				}
				return nil
			}
		}
	}
	return screen.Usagef("the recovery configuration says no repository of %s", system)
}

// useRescued makes what was fetched known to a verb: the variables that stores read,
// and, for a repository whose password cannot be had as the configuration says, the
// file with its password.
func (a *app) useRescued() error {
	variables, err := rescue.Environment("/")
	if err == nil {
		a.name, err = rescue.KeptName("/")
	}
	if err != nil {
		return screen.Usage(err)
	}
	for name, value := range variables {
		if _, set := os.LookupEnv(name); !set {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// rescuedPassword is where the password of a repository was put by a fetch; zero if
// it was not, or if the configuration's own way works here.
func rescuedPassword(r config.Repository, from config.Password) config.Password {
	file := rescue.PasswordFile(r.Name)
	if r.Name == "" || !configuration.Name(r.Name) {
		return from
	}
	if _, err := os.Stat(file); err != nil {
		return from
	}
	if from.File != "" {
		if _, err := os.Stat(from.File); err == nil {
			return from
		}
	}
	return config.Password{File: file}
}
