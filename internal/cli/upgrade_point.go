package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/routine"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/vault"
)

// pointBefore looks for the recovery point that an upgrade of a host could be taken back
// to: of several repositories the one that serves best. What cannot be looked at is told
// in the answer, and is no error.
func (a *app) pointBefore(ctx context.Context, of *facts.Facts, f checkFlags) (preflight.Point, error) {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return preflight.Point{}, err
	}
	whole, err := a.wholeHosts(of.Release.ID)
	if err != nil {
		return preflight.Point{}, err
	}
	system := ""
	for _, s := range conf.Systems {
		if slices.Contains(whole, s.Profile) {
			system = s.Name
		}
	}
	var places []config.Repository
	switch s, ok := conf.System(system); {
	case a.repository != "":
		r, err := a.chooseRepository(conf, system)
		if err != nil {
			return preflight.Point{}, err
		}
		places = []config.Repository{r}
	case ok:
		places = conf.RepositoriesOf(s)
	}
	best := preflight.Point{System: system}
	for _, r := range places {
		found := a.pointIn(ctx, conf, r, system, of.Hostname, whole, f)
		if better(found, best) {
			best = found
		}
	}
	return best, ctx.Err()
}

// wholeHosts are the profiles of hosts whose upgrades are known.
func (a *app) wholeHosts(id string) ([]string, error) {
	entries, err := a.catalogue().List()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Err != nil {
			continue
		}
		if c, ok := path.Of(e.Profile); ok && c.Knows(id) {
			names = append(names, e.Name)
		}
	}
	return names, nil
}

// better compares two points: one that is there, is whole, was verified, lies elsewhere.
func better(p, than preflight.Point) bool {
	worth := func(p preflight.Point) int {
		n := 0
		for i, good := range []bool{len(p.Shared) == 0 && p.DiskUnknown == "", !p.Verified.IsZero(), len(p.Missing) == 0, p.ID != "", p.Repository != ""} {
			if good {
				n |= 1 << i
			}
		}
		return n
	}
	return cmp.Or(worth(p)-worth(than), p.Time.Compare(than.Time)) > 0
}

// pointIn looks into one repository.
func (a *app) pointIn(ctx context.Context, conf *config.Config, r config.Repository, system, name string, whole []string, f checkFlags) preflight.Point {
	p := preflight.Point{System: system, Repository: firstOf(r.Name, "the repository")}
	repo, err := a.openOne(ctx, r)
	if err != nil {
		p.Error = screen.FirstLine(err.Error())
		return p
	}
	v, done, err := a.lockedVault(ctx, conf, repo)
	if err != nil {
		p.Error = screen.FirstLine(err.Error())
		return p
	}
	defer done()
	if f.facts == "" { // a repository of this machine shares no disk with another one
		diskOf(&p, r.URL, string(f.root))
	}
	points, err := v.Points(ctx, vault.Filter{})
	if err != nil && vault.Unread(err) == nil {
		p.Error = screen.FirstLine(err.Error())
		return p
	}
	newest := newestOf(points, name, whole)
	if newest == nil {
		p.Error = damageOf(points, err, whole)
		return p
	}
	p.System, p.ID, p.Time, p.Missing = newest.System(), newest.ID(), newest.Time(), missingOf(newest.Manifest)
	seen, err := routine.NewBook(a.state(conf)).Verified(p.System, r.Name)
	if err != nil {
		p.Error = screen.FirstLine(err.Error())
	}
	if r.Name != "" && seen.Bytes > 0 && seen.Read >= seen.Bytes {
		p.Verified = seen.Time
	}
	if f.verify {
		p.Verified, err = verifiedNow(ctx, v, newest)
		if err != nil {
			p.Error = screen.FirstLine(err.Error())
		}
	}
	return p
}

// diskOf finds out whether a repository lies on the disks of a root.
func diskOf(p *preflight.Point, url, root string) {
	path := strings.TrimPrefix(url, "file://")
	if !isPath(path) {
		return // on another machine
	}
	var err error
	if p.Shared, err = host.SharedDisks(path, root); err != nil {
		p.DiskUnknown = screen.FirstLine(err.Error())
	}
}

// damageOf is why a repository may have no usable point: what there is cannot be read.
func damageOf(points []*vault.Point, err error, whole []string) string {
	for _, p := range slices.Backward(slices.Concat(points, vault.Unread(err))) {
		if p.Damage != nil && (p.Unread() || slices.Contains(whole, p.Profile())) {
			return fmt.Sprintf("The recovery point %s cannot be used: %s", p.ID(), screen.FirstLine(p.Damage.Error()))
		}
	}
	return ""
}

// newestOf is the newest usable point of a whole host.
func newestOf(points []*vault.Point, name string, whole []string) *vault.Point {
	var newest *vault.Point
	for _, p := range points {
		if p.Damage != nil || !slices.Contains(whole, p.Profile()) || !host.SameName(p.Manifest.Host.Hostname, name) {
			continue
		}
		if newest == nil || p.Time().After(newest.Time()) {
			newest = p
		}
	}
	return newest
}

// missingOf is what a point lacks of what has to be saved.
func missingOf(m *vault.Manifest) []string {
	var list []string
	for _, c := range m.Components {
		if c.Importance == profile.Optional || c.Status == component.StatusCaptured || c.Status == component.StatusAbsent {
			continue
		}
		list = append(list, fmt.Sprintf("%s (%s)", c.Name, firstOf(c.Reason, string(c.Status))))
	}
	return list
}

// verifiedNow reads all data of a point.
func verifiedNow(ctx context.Context, v *vault.Vault, p *vault.Point) (time.Time, error) {
	report, err := v.Verify(ctx, vault.VerifyOptions{Filter: vault.Filter{System: p.System()}, Point: p.ID(), Check: repository.CheckOptions{ReadData: true}})
	switch {
	case err != nil:
		return time.Time{}, err
	case !report.OK():
		return time.Time{}, errors.New("lifeboat verify finds that it is not whole")
	}
	return time.Now(), nil
}
