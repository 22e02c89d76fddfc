package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/product"
	"lifeboat/internal/recovery"
)

// settle finds data that what is installed would not start on again: then the
// system must not be stopped for a backup.
func (b *Backup) settle(ctx context.Context) error {
	if b.Still {
		return nil
	}
	for _, p := range b.parts {
		for name, rule := range b.Profile.Identity.Compare {
			data, installed := p.inspection.Facts[name], b.identity[name]
			if data == "" || installed == "" || data == installed || p.inspection.Unsettled != "" {
				continue
			}
			verdict, err := recovery.CompareFact(ctx, b.Catalog, b.Host, rule, data, installed)
			if err != nil {
				return err
			}
			if verdict.Level == product.Refuses {
				p.inspection.Unsettled = fmt.Sprintf("%s holds %s %s, and what is installed is of %s %s", p.spec.Name, name, data, name, installed)
			}
		}
	}
	return nil
}

// correct makes the point's identity that of the data in it, and warns where the
// installed product says something else: an update that has not reached the
// database yet, or one that was interrupted. The lock is held.
func (b *Backup) correct(ctx context.Context, r component.Record) []string {
	var warnings []string
	facts := recovery.SchemaFacts(b.Catalog, r)
	b.identity = maps.Clone(b.identity) // conditions look at the other one
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		if was := b.identity[name]; was != "" && !b.Still && !b.agrees(ctx, name, facts[name], was) {
			warnings = append(warnings, fmt.Sprintf("%s holds %s %s, and what is installed is of %s %s: an update was not finished. The point is taken for one of %s %s; let the update end and back up again", r.Name, name, facts[name], name, was, name, facts[name]))
		}
		b.identity[name] = facts[name]
	}
	b.warnings = append(b.warnings, warnings...)
	return warnings
}

// agrees tells whether data are what the installed product has them like: where
// the profile has a comparison, that decides.
func (b *Backup) agrees(ctx context.Context, name, data, installed string) bool {
	rule, ok := b.Profile.Identity.Compare[name]
	if data == installed || !ok {
		return data == installed
	}
	verdict, err := recovery.CompareFact(ctx, b.Catalog, b.Host, rule, data, installed)
	return err == nil && verdict.Level == product.Agrees
}

// Database is a component of this system that is one.
func (b *Backup) Database(name string) (component.Querier, error) { return b.database(name) }

func (b *Backup) database(name string) (component.Querier, error) {
	for _, p := range b.parts {
		if p.spec.Name != name {
			continue
		}
		if p.needless {
			return nil, fmt.Errorf("component %s %w", name, recovery.ErrInapplicable)
		}
		if b.Still && !p.chosen {
			return nil, fmt.Errorf("component %s is %s", name, p.reason)
		}
		if db, ok := p.component.(component.Querier); ok {
			return db, nil
		}
	}
	return nil, fmt.Errorf("component %s is no database", name)
}
