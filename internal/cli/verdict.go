package cli

import (
	"fmt"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// showVerify tells what verify has found: which points, which components of
// them, and what to do.
func (a *app) showVerify(r *vault.Verification, all bool) error {
	if !r.OK() || r.Missed() {
		a.code = runbook.ExitFailed
	} else if !r.Untouched() || r.HeadError != "" || len(r.Points) == 0 || len(r.Warnings) > 0 {
		a.code = runbook.ExitWarnings
	}
	if a.json {
		return a.emit(r)
	}
	paint := painterFor(a.out)
	for _, p := range r.Points {
		word := paint.green("whole  ")
		if len(p.Problems) > 0 {
			word = paint.red("DAMAGED")
		}
		a.printf("%s %s  %s  %s\n", word, p.Short, p.System, when(p.Time))
		a.damage(p)
	}
	for _, problem := range r.Problems {
		a.printf("%s %s\n", paint.red("DAMAGED"), strings.ReplaceAll(clean(problem), "\n", "; "))
	}
	if n := len(r.Remarks); n > 0 {
		a.printf("%s (%s) to no recovery point and to no index. An interrupted backup leaves such; that is no damage. The next\nbackup on this machine uses what the interrupted one has left; lifeboat prune removes the rest.\n",
			count(n, "pack belongs", "packs belong"), size(r.Unlisted))
	}
	if n := r.Leftovers.Files; n > 0 {
		a.printf("%s (%s) left by interrupted uploads, or of one that is under way; that is no damage. lifeboat prune removes those older than a day.\n",
			count(n, "unfinished file is", "unfinished files are"), size(r.Leftovers.Bytes))
	}
	for _, warning := range r.Warnings {
		a.printf("%s %s\n", paint.yellow("warning"), strings.ReplaceAll(clean(warning), "\n", "; "))
	}
	if len(r.Warnings) > 0 && r.OK() {
		a.printf("No recovery point needs that, and no backup relies on it. A repair leaves such; this removes it: lifeboat prune\n")
	}
	a.printf("%s, %s of data read.\n", count(len(r.Points), "recovery point", "recovery points"), size(r.BytesRead))
	if len(r.Points) == 0 && r.OK() {
		a.printf("%s there is no recovery point: nothing can be restored from here. Next: lifeboat backup\n", paint.yellow("warning"))
	}
	if unread := r.Bytes - r.BytesRead; !all && unread > 0 && r.OK() {
		a.printf("All that the points need is there. Whether the other %s can be read was not tried: lifeboat verify --read-data\n", size(unread))
	}
	a.showHead(r)
	if !r.OK() {
		a.afterDamage(r)
	}
	return nil
}

// damage tells what is wrong with a point, the components first.
func (a *app) damage(p vault.PointVerdict) {
	paint := painterFor(a.out)
	for _, c := range p.Components {
		more := ""
		if c.More > 0 {
			more = fmt.Sprintf(" and %d more", c.More)
		}
		a.printf("        %s (%s): %s%s\n", paint.bold(c.Name), c.Importance, clean(strings.Join(c.Paths, ", ")), more)
		if c.Loss != "" {
			a.printf("          without it: %s\n", indentBy(wrap(clean(c.Loss), 86), 10))
		}
	}
	if len(p.Whole) > 0 {
		a.printf("        whole in it: %s\n", indentBy(wrap(strings.Join(p.Whole, ", "), 86), 8))
	}
	for _, problem := range p.Problems {
		a.printf("        %s\n", strings.ReplaceAll(clean(problem), "\n", "; "))
	}
}

// afterDamage tells what to do, in order.
func (a *app) afterDamage(r *vault.Verification) {
	a.printf("\nThe repository is damaged. Points called whole can still be restored. Now:\n")
	a.printf("1. Change nothing in it before it is copied aside as it is.\n")
	a.printf("2. Store again what is still on the machine, which heals old points too where nothing else is missing:\n   lifeboat repository repair --read-data, then lifeboat backup, then lifeboat verify --read-data\n")
	newest, hurt, rest := map[string]vault.PointVerdict{}, map[string]bool{}, map[string]vault.PointVerdict{}
	for _, p := range r.Points { // oldest first
		switch {
		case len(p.Problems) == 0:
			newest[p.System] = p
		default:
			hurt[p.System] = true
			if len(p.Whole) > 0 {
				rest[p.System] = p
			}
		}
	}
	for _, system := range sorted(hurt) {
		whole, ok := newest[system]
		partly, some := rest[system]
		switch {
		case ok:
			a.printf("3. If %s is needed now, its newest whole point is %s of %s: lifeboat recover %s --from %s\n", system, whole.Short, when(whole.Time), system, whole.Short)
		case some:
			a.printf("3. No point of %s is whole. What %s has whole can be restored by name: lifeboat restore %s COMPONENT --from %s\n", system, partly.Short, system, partly.Short)
		default:
			a.printf("3. No point of %s is whole. A second copy of the repository is what is left: lifeboat list -r NAME shows what one holds.\n", system)
		}
	}
}
