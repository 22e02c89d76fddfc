package cli

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// showVerify tells what verify has found: which points, which components of
// them, and what to do.
func (a *app) showVerify(ctx context.Context, r *vault.Verification, used config.Repository, all bool) error {
	if !r.OK() || r.Missed() {
		a.Code = runbook.ExitFailed
	} else if !r.Untouched() || r.HeadError != "" || len(r.Points) == 0 || len(r.Warnings) > 0 {
		a.Code = runbook.ExitWarnings
	}
	a.accountVerify(r, a.flagFor(used))
	if a.JSON {
		return a.Emit(r)
	}
	paint, flag := screen.PainterFor(a.Out), a.flagFor(used)
	if r.Unlisting {
		a.relistFirst(r, flag)
	}
	for _, p := range r.Points {
		word := paint.Green("whole  ")
		if len(p.Problems) > 0 {
			word = paint.Red("DAMAGED")
		}
		a.Printf("%s %s  %s  %s\n", word, p.Short, p.System, screen.When(p.Time))
		a.damage(p, !r.Unlisting)
	}
	for _, problem := range r.Problems {
		a.Printf("%s %s\n", paint.Red("DAMAGED"), strings.ReplaceAll(screen.Clean(problem), "\n", "; "))
	}
	if n := len(r.Remarks); n > 0 && !r.Unlisting {
		a.Printf("%s to no recovery point and to no index (%s). An interrupted backup leaves such; that is no damage. The next\nbackup on this machine uses what the interrupted one has left; lifeboat prune%s removes the rest.\n",
			screen.Count(n, "pack belongs", "packs belong"), size(r.Unlisted), flag)
	}
	if n := r.Leftovers.Files; n > 0 {
		a.Printf("%s left by interrupted uploads, or of one that is under way (%s); that is no damage. lifeboat prune%s removes those older than a day.\n",
			screen.Count(n, "unfinished file is", "unfinished files are"), size(r.Leftovers.Bytes), flag)
	}
	for _, warning := range r.Warnings {
		a.Printf("%s %s\n", paint.Yellow("warning"), strings.ReplaceAll(screen.Clean(warning), "\n", "; "))
	}
	if len(r.Warnings) > 0 && r.OK() {
		a.Printf("No recovery point needs that, and no backup relies on it. A repair leaves such; this removes it: lifeboat prune%s\n", flag)
	}
	a.Printf("%s, %s of data read.\n", screen.Count(len(r.Points), "recovery point", "recovery points"), size(r.BytesRead))
	if len(r.Points) == 0 && r.OK() {
		a.Printf("%s there is no recovery point: nothing can be restored from here. Next: lifeboat backup%s\n", paint.Yellow("warning"), flag)
	}
	if unread := r.Bytes - r.BytesRead; !all && unread > 0 && r.OK() {
		a.Printf("All that the points need is there. Whether the other %s can be read was not tried: lifeboat verify --read-data%s\n", size(unread), flag)
	}
	a.showHead(r)
	if !r.OK() {
		a.afterDamage(ctx, r, used)
	}
	return nil
}

// accountVerify keeps what those are told who were not there.
func (a *app) accountVerify(r *vault.Verification, flag string) {
	a.account.fact(fmt.Sprintf("%s looked at%s, %s of data read", screen.Count(len(r.Points), "recovery point", "recovery points"), flag, size(r.BytesRead)))
	for _, p := range r.Points {
		if len(p.Problems) > 0 {
			a.account.problem(fmt.Sprintf("recovery point %s of %s, %s, is damaged: %s", p.Short, p.System, screen.When(p.Time), strings.Join(p.Problems, "; ")))
		}
	}
	for _, problem := range r.Problems {
		a.account.problem(problem)
	}
	for _, warning := range r.Warnings {
		a.account.problem(warning)
	}
	if r.Head != nil {
		for _, p := range r.Head.Problems {
			a.account.problem(p.Text + ": " + p.Advice)
		}
	}
	if a.Code != runbook.ExitDone {
		a.account.todo("lifeboat verify" + flag)
	}
}

// damage tells what is wrong with a point, the components first; and what that costs,
// if it is lost.
func (a *app) damage(p vault.PointVerdict, lost bool) {
	paint := screen.PainterFor(a.Out)
	for _, c := range p.Components {
		more := ""
		if c.More > 0 {
			more = fmt.Sprintf(" and %d more", c.More)
		}
		a.Printf("        %s (%s): %s%s\n", paint.Bold(c.Name), c.Importance, screen.Clean(strings.Join(c.Paths, ", ")), more)
		if c.Loss != "" && lost {
			a.Printf("          without it: %s\n", indentBy(wrap(screen.Clean(c.Loss), 86), 10))
		}
	}
	if len(p.Whole) > 0 {
		a.Printf("        whole in it: %s\n", indentBy(wrap(strings.Join(p.Whole, ", "), 86), 8))
	}
	for _, problem := range p.Problems {
		a.Printf("        %s\n", strings.ReplaceAll(screen.Clean(problem), "\n", "; "))
	}
}
