package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/zypper"
)

// Steps of the plan's stage.
const (
	stepPreflight = "preflight"
	stepAhead     = "ahead" // looks at the hops that follow
)

// foreseeing adds a look at the hops that follow to the stage of the plan: what can be
// known now must not turn up when the host stands half-way.
func (u *Upgrade) foreseeing(stages []runbook.Stage) []runbook.Stage {
	if len(u.following()) == 0 {
		return stages
	}
	for i, st := range stages {
		if at := slices.IndexFunc(st.Steps, func(s runbook.Step) bool { return s.ID == stepPreflight }); at >= 0 {
			stages[i].Steps = slices.Insert(st.Steps, at+1, runbook.Step{
				ID: stepAhead, Title: "Look at the hops that follow, to " + u.Goal().Name(), Repeat: runbook.RepeatSafe, Run: u.foresee,
			})
		}
	}
	return stages
}

// foresee refuses what would stop a later hop, all of it at once.
func (u *Upgrade) foresee(ctx context.Context, task runbook.Task) error {
	var f facts.Facts
	if err := load(task, factsName, &f); err != nil {
		return err
	}
	z, err := u.zypper(ctx, false)
	if err != nil {
		return err
	}
	known, err := z.Repositories()
	if err != nil {
		return err
	}
	known = append(known, u.Repositories...)
	var all []string
	before := u.Request
	for _, r := range u.following() {
		list, err := u.foreseeOne(ctx, task, f, before, r, known)
		if err != nil {
			return err
		}
		for _, text := range list {
			all = append(all, fmt.Sprintf("%s, to %s: %s", r.Place(), r.To.Name(), text))
		}
		if len(list) == 0 {
			task.Logf("%s, to %s by %s: nothing that is known now stands in its way", r.Place(), r.To.Name(), r.Method)
		}
		known = append(known, r.Repositories...)
		before = r
	}
	if len(all) > 0 {
		return runbook.Refuse("", "a later hop would stop half-way: %s", strings.Join(all, "; "))
	}
	return nil
}

// foreseeOne lists what would stop one hop. What an earlier one changes is not known: the
// transaction, free space, a restart that is due.
func (u *Upgrade) foreseeOne(ctx context.Context, task runbook.Task, f facts.Facts, before, r Request, known []zypper.Repository) (list []string, err error) {
	v := u.Catalogue.By(u.Catalogue.Judge(r.From, r.To), r.Method)
	if v.Outcome != path.Supported {
		return []string{Refusal(v)}, nil
	}
	method, _ := v.Hops[0].Method(r.Method)
	switch method.By {
	case "zypper":
		err = u.foreseeRepositories(ctx, task, r, known)
	case "installer":
		if r.Method == methodEntry {
			err = u.foreseeMedium(ctx, r)
		}
	default:
		err = runbook.Refuse("", "%s is not something that this program does: %s", r.Method, method.Title)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		list = append(list, strings.TrimPrefix(err.Error(), "refused: "))
	}
	f.Release.Version, f.Release.SP = r.From.Version, r.From.SP
	f.Repositories = nil
	var present []path.Present
	for _, o := range before.Repositories {
		check := !o.Unchecked
		f.Repositories = append(f.Repositories, facts.Repository{Alias: o.Alias, URLs: o.URLs, Enabled: true, Check: &check})
		present = append(present, path.Present{Alias: o.Alias, Name: o.Name, URLs: o.URLs, Enabled: true})
	}
	in := preflight.Input{Facts: &f, Verdict: &v, To: r.To, Method: &method, Accept: r.Accept}
	if inventory, ok := u.Catalogue.Inventory(r.From, present); ok && len(present) > 0 {
		in.Repositories = &inventory
	}
	for _, found := range preflight.Check(in).Findings {
		if !found.Blocks() || !preflight.Foreseeable(found.ID) {
			continue
		}
		text := found.ID + ": " + found.Title
		if found.Acceptable {
			text += " (--accept " + found.Accept() + " accepts it)"
		} else {
			text += " (" + found.Remedy + ")"
		}
		list = append(list, text)
	}
	return list, nil
}

func (u *Upgrade) foreseeMedium(ctx context.Context, r Request) error {
	if err := u.tryEntry(ctx, r); err != nil {
		return err
	}
	s, err := u.mediumSource(ctx, r)
	if err != nil {
		return err
	}
	return wrong(s, r.To)
}

// foreseeRepositories reads the package repositories of a hop, apart from those of the
// host and of the hops before.
func (u *Upgrade) foreseeRepositories(ctx context.Context, task runbook.Task, r Request, known []zypper.Repository) (err error) {
	if err := named(r); err != nil {
		return err
	}
	if err := distinct(r.Repositories, known); err != nil {
		return err
	}
	dir := filepath.Join(u.apart(), fmt.Sprintf("hop%d", r.Way.Hop))
	z, err := zypper.New(zypper.Options{
		Root: u.Root, Dir: filepath.Join(u.apart(), "home"), Lock: runbook.LockFile(ctx), Apart: dir, Release: releasever(r.To),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.Forget(), os.RemoveAll(dir)) }()
	if err := z.Offer(r.Repositories); err != nil {
		return err
	}
	if _, err := z.Refresh(ctx, false); err != nil {
		return fmt.Errorf("%w%s", err, keyHint)
	}
	task.Logf("%s: %d package repositories of %s are readable", r.Place(), len(r.Repositories), r.To.Name())
	s, err := PackageSource(ctx, u.Catalogue, r.To, z)
	if err != nil {
		return err
	}
	return wrong(s, r.To)
}

// keyHint is what is most often wrong with a package repository that is there.
const keyHint = " (a key that the host does not know is imported with rpm --import FILE)"

// named refuses a step without package repositories.
func named(r Request) error {
	if len(r.Repositories) > 0 {
		return nil
	}
	if r.Way == nil {
		return runbook.Refuse("", "no package repositories of %s are named (--target [ALIAS=]URL)", r.To.Name())
	}
	return runbook.Refuse("", "no package repositories of %s are named (--target %q)", r.To.Name(), r.To.Name()+":[ALIAS=]URL")
}

// sameAddress tells whether two addresses of package repositories are one: zypper writes
// file:///x as file:/x, and a slash at the end says nothing.
func sameAddress(a, b string) bool {
	plain := func(address string) string {
		if path, ok := strings.CutPrefix(address, "file:"); ok {
			address = "file:/" + strings.TrimLeft(path, "/")
		}
		return strings.TrimRight(address, "/")
	}
	return plain(a) == plain(b)
}

// distinct refuses an alias that another package repository has.
func distinct(list, present []zypper.Repository) error {
	for _, r := range list {
		at := slices.IndexFunc(present, func(p zypper.Repository) bool { return p.Alias == r.Alias })
		if at >= 0 && !slices.EqualFunc(present[at].URLs, r.URLs, sameAddress) {
			return runbook.Refuse("", "the host has a package repository %s at another address, which must stay to go back; give the new one another alias", r.Alias)
		}
	}
	return nil
}
