package cli

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/vault"
)

// flagFor is what stands behind a command of ours so that it acts on a repository:
// nothing where there is no other one.
func (a *app) flagFor(r config.Repository) string {
	known := a.known().Repositories
	i := slices.IndexFunc(known, func(k config.Repository) bool { return k.URL == r.URL })
	switch {
	case i >= 0 && len(known) == 1:
		return ""
	case i >= 0:
		return " -r " + known[i].Name
	}
	return " --repository " + shellWord(redact.URL(r.URL))
}

// known is the configuration that was read, or an empty one.
func (a *app) known() *config.Config {
	if a.loaded != nil {
		return a.loaded
	}
	return &config.Config{}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`)

// shellWord writes a word as a shell takes it.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// relistFirst tells of an index that lost what is still there.
func (a *app) relistFirst(r *vault.Verification, flag string) {
	a.Printf("%s The index is damaged: it does not list %s (%s) that %s there and hold what it lost.\n"+
		"First, and nothing else before that: lifeboat repository repair%s\n"+
		"It makes a new index of the packs. What is called damaged here is so as long as that was not done.\n\n",
		screen.PainterFor(a.Out).Red("DAMAGED"), screen.Count(len(r.Remarks), "pack", "packs"), size(r.Unlisted), wasWere(len(r.Remarks)), flag)
}

func wasWere(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// remedies tells what to do about damage of one repository, in order.
type remedies struct {
	*app
	r     *vault.Verification
	used  config.Repository
	flag  string
	steps int
}

func (a *app) afterDamage(ctx context.Context, r *vault.Verification, used config.Repository) {
	d := &remedies{app: a, r: r, used: used, flag: a.flagFor(used)}
	if r.Unlisting {
		a.Printf("\nNow: lifeboat repository repair%s, then lifeboat verify%s tells what is whole.\n", d.flag, d.flag)
		return
	}
	a.Printf("\nThe repository is damaged. Points called whole can still be restored. Now:\n")
	d.step("Change nothing in it before it is copied aside as it is.")
	d.data()
	d.files()
	hurt := map[string][]vault.PointVerdict{}
	for _, p := range r.Points {
		if len(p.Problems) > 0 && !p.Tree.IsZero() {
			hurt[p.System] = append(hurt[p.System], p)
		}
	}
	for _, system := range sorted(hurt) {
		d.system(ctx, system, hurt[system])
	}
}

func (d *remedies) step(format string, args ...any) {
	d.steps++
	d.Printf("%d. %s\n", d.steps, fmt.Sprintf(format, args...))
}

// data is what heals packs and the index.
func (d *remedies) data() {
	switch {
	case d.r.Found(repository.DamagedPack, repository.MissingPack, repository.MissingBlobs, repository.DamagedTree):
	case d.r.Found(repository.DamagedIndex):
		d.step("Write a new index of the packs, which are all there:\n   lifeboat repository repair%s, then lifeboat verify%s", d.flag, d.flag)
		return
	default:
		return
	}
	if d.isCopy(d.used) {
		d.step("Have the index list only what can be read, so that what is copied next is stored again:\n   lifeboat repository repair --read-data%s, then lifeboat verify --read-data%s", d.flag, d.flag)
		return
	}
	d.step("Store again what is still on the machine, which heals old points too where nothing else is missing:\n   lifeboat repository repair --read-data%s, then lifeboat backup%s, then lifeboat verify --read-data%s", d.flag, d.flag, d.flag)
}

// isCopy tells whether backups reach the repository only as copies.
func (a *app) isCopy(used config.Repository) bool {
	copies := false
	for _, s := range a.known().Systems {
		for i, r := range a.known().RepositoriesOf(s) {
			if r.URL == used.URL {
				if i == 0 {
					return false
				}
				copies = true
			}
		}
	}
	return copies
}

// files is what is done about single files that no repair can make anew.
func (d *remedies) files() {
	for _, f := range d.r.Findings {
		id := path.Base(f.File)
		if _, err := repository.ParseID(id); err != nil {
			continue
		}
		switch f.Kind {
		case repository.DamagedKey:
			d.step("Nobody can use %s any more; no data depends on it. Copy the file back from a copy of the repository, or remove it:\n   lifeboat key remove %s -y%s. Whose password it was needs a new one: lifeboat key add%s", f.File, id[:8], d.flag, d.flag)
		case repository.DamagedSnapshot:
			d.step("What %s named cannot be told; no repair makes it anew. Copy the file back from a copy of the repository, or give it up:\n   lifeboat forget --point %s%s%s", f.File, id[:8], d.flag, d.bringBack())
		}
	}
}

// bringBack is how points of other repositories come into this one.
func (d *remedies) bringBack() (text string) {
	for _, s := range d.known().Systems {
		for _, other := range d.others(s.Name) {
			text += fmt.Sprintf(", then, if repository %s has that point: lifeboat copy %s --from %s --to %s", other.Name, s.Name, other.Name, d.used.Name)
		}
	}
	return text
}

// others are the repositories beside this one that hold points of a system.
func (d *remedies) others(system string) []config.Repository {
	s, ok := d.known().System(system)
	if !ok {
		return nil
	}
	list := d.known().RepositoriesOf(s)
	here := func(r config.Repository) bool { return r.URL == d.used.URL }
	if !slices.ContainsFunc(list, here) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list), here)
}

// system tells how one is recovered now, and what else has its damaged points.
func (d *remedies) system(ctx context.Context, system string, hurt []vault.PointVerdict) {
	var whole, partly *vault.PointVerdict
	for i, p := range d.r.Points { // oldest first
		switch {
		case p.System != system:
		case len(p.Problems) == 0:
			whole = &d.r.Points[i]
		case len(p.Whole) > 0:
			partly = &d.r.Points[i]
		}
	}
	others := d.others(system)
	switch {
	case whole != nil:
		d.step("If %s is needed now, its newest whole point is %s of %s: lifeboat recover %s --from %s%s", system, whole.Short, screen.When(whole.Time), system, whole.Short, d.flag)
	case partly != nil:
		d.step("No point of %s is whole here. What %s has whole can be restored by name: lifeboat restore %s COMPONENT --from %s%s", system, partly.Short, system, partly.Short, d.flag)
	default:
		d.step("No point of %s is whole here.", system)
	}
	if len(others) == 0 && whole == nil {
		d.Printf("   No other repository of %s is known. If there is a copy, on a disk in a safe say: lifeboat list --repository URL\n", system)
	}
	for _, other := range others {
		d.other(ctx, system, hurt, other)
	}
}

// other tells what another repository holds of the damaged points.
func (d *remedies) other(ctx context.Context, system string, hurt []vault.PointVerdict, other config.Repository) {
	points, err := d.pointsIn(ctx, d.known(), other, system)
	if err != nil {
		d.Printf("   What repository %s has of it cannot be told now: %s\n", other.Name, screen.Clean(err.Error()))
		return
	}
	var newest *vault.Point
	var gone, there []string
	for _, p := range points {
		if p.Damage != nil {
			continue
		}
		newest = p
		if i := slices.IndexFunc(hurt, func(h vault.PointVerdict) bool { return h.Tree == p.Tree() }); i >= 0 && len(gone) < 20 {
			gone, there = append(gone, hurt[i].Short), append(there, p.Short())
		}
	}
	flag := d.flagFor(other)
	if newest == nil {
		d.Printf("   Repository %s has no point of it that can be read.\n", other.Name)
		return
	}
	d.Printf("   Repository %s has %s of it, the newest %s of %s. Whether they are whole: lifeboat verify %s --read-data%s\n",
		other.Name, screen.Count(len(points), "point", "points"), newest.Short(), screen.When(newest.Time()), system, flag)
	d.Printf("   To recover from there: lifeboat recover %s --from %s%s\n", system, newest.Short(), flag)
	if len(gone) > 0 && d.used.Name != "" {
		d.Printf("   It has copies of what is damaged here. What stays damaged after the repair is replaced by them, once they are known to be whole:\n"+
			"   lifeboat forget --point %s%s, then lifeboat copy --point %s --from %s --to %s\n", strings.Join(gone, ","), d.flag, strings.Join(there, ","), other.Name, d.used.Name)
	}
}
