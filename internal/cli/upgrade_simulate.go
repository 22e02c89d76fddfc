package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"lifeboat/internal/scratch"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/zypper"
)

// targetRepositories reads --target.
func targetRepositories(list []string) ([]zypper.Repository, error) {
	var out []zypper.Repository
	for _, text := range list {
		alias, url, err := splitTarget(text)
		if err != nil {
			return nil, err
		}
		out = append(out, zypper.Repository{Alias: alias, URLs: []string{url}, Enabled: true})
	}
	return out, nil
}

// presentOf are a host's package repositories, as a catalogue compares them.
func presentOf(f *facts.Facts) []path.Present {
	var list []path.Present
	for _, r := range f.Repositories {
		list = append(list, path.Present{Alias: r.Alias, Name: r.Name, URLs: r.URLs, Enabled: r.Enabled})
	}
	return list
}

// simulate asks zypper what the upgrade would change, with package repositories and
// caches apart from the host's, and what these have. The error says why it could not be asked.
func (a *app) simulate(ctx context.Context, j judged, v path.Verdict, f checkFlags, targets []zypper.Repository) (t *zypper.Transaction, s *preflight.Source, err error) {
	switch {
	case v.Outcome != path.Supported:
		return nil, nil, errors.New("the way is not supported, so nobody was asked")
	case f.facts != "":
		return nil, nil, errors.New("the facts are from a file; zypper can be asked on the host, or on its root where that is mounted")
	case j.facts.Manager != "rpm":
		return nil, nil, fmt.Errorf("the packages are not kept by rpm, but by %s", firstOf(j.facts.Manager, "nobody who is known"))
	}
	dir, err := scratch.Make(a.state(a.known()))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, dir.Remove()) }()
	z, err := zypper.New(zypper.Options{
		Root: string(f.root), Dir: filepath.Join(dir.Path(), "zypper"), Apart: filepath.Join(dir.Path(), "apart"), Release: versionID(v.To),
	})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, z.Forget()) }()
	offer, err := offered(z, j, v.To, targets)
	if err != nil {
		return nil, nil, err
	}
	if err := z.Offer(offer); err != nil {
		return nil, nil, err
	}
	if _, err := z.Refresh(ctx, false); err != nil {
		return nil, nil, err
	}
	if s, err = upgrade.PackageSource(ctx, j.catalogue, v.To, z); err != nil {
		return nil, nil, err
	}
	r, err := z.Simulate(ctx, zypper.Terms{Licenses: true})
	if err != nil {
		return nil, s, err
	}
	return r.Transaction, s, nil
}

// versionID is a release as VERSION_ID of os-release(5) has it.
func versionID(r path.Release) string {
	if r.SP == 0 {
		return r.Version
	}
	return fmt.Sprintf("%s.%d", r.Version, r.SP)
}

// offered are the package repositories that the simulation uses: those that are named,
// or else the host's own where it has what the target requires. Those of the present
// release are disabled by an upgrade.
func offered(z *zypper.Zypper, j judged, to path.Release, targets []zypper.Repository) ([]zypper.Repository, error) {
	if len(targets) > 0 {
		return targets, nil
	}
	known, ok := j.catalogue.Inventory(to, presentOf(j.facts))
	if !ok {
		return nil, fmt.Errorf("the package repositories of %s are not known; name them with --target", to.Name())
	}
	if missing := known.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("the host has not got the package repository %s of %s; name the target's with --target", missing[0].Name, to.Name())
	}
	have, err := z.Repositories()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(have, func(r zypper.Repository) bool {
		return !r.Enabled || slices.ContainsFunc(known.Of(path.Superfluous), func(e path.Entry) bool { return e.Present.Alias == r.Alias })
	}), nil
}

// conflicts are the questions for which the solver has no answer of its own.
func conflicts(err error) []string {
	var said *zypper.Error
	if !errors.As(err, &said) {
		return nil
	}
	var list []string
	for _, m := range said.Messages {
		if m.Type == "problem" && !slices.Contains(list, m.Text) {
			list = append(list, m.Text)
		}
	}
	return list
}
