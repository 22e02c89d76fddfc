package backup

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// missed warns of components that were chosen by name, or that the point before
// this one holds, and that are gone or empty now: a disk may not be mounted. That
// a critical one is gone is a failure of its own.
func (b *Backup) missed() runbook.Step {
	return runbook.Step{
		ID: "preflight/missed", Title: "This machine has what the point before holds", Needs: []string{"preflight/repository"}, EachTime: true,
		Run: func(_ context.Context, task runbook.Task) error {
			before := b.draft.Parent()
			for _, p := range b.parts {
				held := heldItems(before, p.spec.Name)
				var text string
				switch {
				case !p.chosen || p.needless || p.spec.Importance == profile.Critical:
				case p.inspection.Present && p.inspection.Items <= 1 && held > 1:
					text = fmt.Sprintf("%s is empty, and the point before, %s, holds %d entries of it", p.spec.Name, before.Short(), held)
				case p.inspection.Present:
				case b.Choose[p.spec.Name]:
					text = p.spec.Name + " was chosen in the configuration, and is not on this machine"
				case held > 0:
					text = fmt.Sprintf("%s is not on this machine, and the point before, %s, holds it", p.spec.Name, before.Short())
				}
				if text == "" {
					continue
				}
				text += " (is a disk not mounted?). Without it: " + p.spec.Loss
				task.Warnf("%s", text)
				b.warn(text)
			}
			return nil
		},
	}
}

// heldItems is how many entries a point of the running system holds of a component.
func heldItems(p *vault.Point, name string) int64 {
	if p == nil || p.Trigger() == vault.Imported {
		return 0
	}
	r, err := p.Manifest.Component(name)
	if err != nil || r.Status != component.StatusCaptured {
		return 0
	}
	return max(r.Items, 1)
}

// behindLinks finds chosen components whose paths lie behind a symbolic link that
// another chosen one captures: a point has one entry at a path, the link or a
// directory.
func (b *Backup) behindLinks() error {
	for _, p := range b.parts {
		for _, at := range p.inspection.Paths {
			for dir := path.Dir(at); p.chosen && dir != "/"; dir = path.Dir(dir) {
				holder := b.holder(p, dir)
				if holder == "" {
					continue
				}
				entry, err := b.Host.Entry(dir)
				if err != nil {
					return err
				}
				target, err := os.Readlink(entry)
				if err != nil {
					continue // no link
				}
				return fmt.Errorf("%s is a symbolic link to %s that component %s captures, and %s of component %s lies behind it: nothing was stopped. Mount the directory there in place of the link (mount --bind), or leave one of the two out under components: in the configuration; what the link leads to is captured with it", dir, target, holder, at, p.spec.Name)
			}
		}
	}
	return nil
}

// holder is the chosen component other than own that captures the entry at a path.
func (b *Backup) holder(own *part, at string) string {
	for _, p := range b.parts {
		if p == own || !p.chosen {
			continue
		}
		for _, has := range p.inspection.Paths {
			if at == has || strings.HasPrefix(at, has+"/") {
				return p.spec.Name
			}
		}
	}
	return ""
}
