package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/product"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// checkPlaces looks where an imported point would write: its places are those that
// a foreign file named, and the point may be older than what an import refuses. No
// check is returned where nothing is to be said; places that nobody may override
// give a reason alone.
func (r *Recovery) checkPlaces(ctx context.Context) (*runbook.Check, string, error) {
	p := r.Catalog.Products[r.Profile.Name]
	if r.Manifest.Trigger != vault.Imported || p == nil || p.Admit == nil {
		return nil, "", nil
	}
	var places []product.Place
	for _, c := range r.Manifest.Components {
		if c.Status == component.StatusCaptured && r.wanted(c.Name) {
			for _, path := range c.Paths {
				places = append(places, product.Place{Component: c.Name, Path: path})
			}
		}
	}
	admission, err := p.Admit(ctx, r.Host, places)
	if err != nil {
		return nil, "", fmt.Errorf("look at the places of the imported point: %w", err)
	}
	strange := admission.Strange
	switch why := admission.Refusal(p.Name); {
	case why != "":
		return nil, "the imported point holds data for " + why, nil
	case len(strange) == 0 || r.Rehearsal != nil: // a sandbox has other places, and nothing to lose
		return nil, "", nil
	}
	check := &runbook.Check{Name: CheckPlaces, Expected: "usual places of " + p.Name, Found: strings.Join(strange, ", ")}
	if slices.Contains(r.Force, CheckPlaces) {
		check.Warning, check.Hint = true, "overridden with --force "+CheckPlaces
		return check, "", nil
	}
	return check, fmt.Sprintf("the imported point holds data for %q, which is neither a usual place of %s nor one that it has on this machine", strange, p.Name), nil
}

// checkUsable looks whether an import has found that the product could not run with
// what is restored.
func (r *Recovery) checkUsable(context.Context) (*runbook.Check, string, error) {
	var why []string
	for _, name := range slices.Sorted(maps.Keys(r.Manifest.Unusable)) {
		if _, err := r.record(name); err == nil && r.wanted(name) {
			why = append(why, fmt.Sprintf("%s of the imported point: %s", name, strings.Join(r.Manifest.Unusable[name], "; ")))
		}
	}
	if len(why) == 0 {
		return nil, "", nil
	}
	check := &runbook.Check{Name: CheckUsable, Expected: "a configuration that " + r.Profile.Title + " can run with", Found: strings.Join(why, "; ")}
	if slices.Contains(r.Force, CheckUsable) {
		check.Warning, check.Hint = true, "overridden with --force "+CheckUsable
		return check, "", nil
	}
	return check, r.Profile.Title + " could not run with the " + check.Found + " (--only restores other components)", nil
}
