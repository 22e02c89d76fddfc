package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
)

// counted counts what is in the databases of a system, by component.
func counted(ctx context.Context, r *recovery.Recovery, task runbook.Task) (map[string]component.Census, error) {
	stores, err := r.Stores(ctx, task)
	if err != nil {
		return nil, err
	}
	all := map[string]component.Census{}
	for _, store := range stores {
		census, ok, err := store.Count(ctx)
		if err != nil {
			return nil, err
		}
		if ok {
			all[store.Component] = census
		}
	}
	return all, nil
}

// compare says what has become of the databases. That the schema lacks what belongs to it
// is a fault; that something became less is a warning, since a new version may want it so.
func compare(ctx context.Context, r *recovery.Recovery, task runbook.Task, before map[string]component.Census) ([]runbook.Check, error) {
	stores, err := r.Stores(ctx, task)
	if err != nil {
		return nil, err
	}
	var checks []runbook.Check
	for _, store := range stores {
		was, ok := before[store.Component]
		if !ok {
			continue
		}
		is, _, err := store.Count(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			checks = append(checks, runbook.Check{Name: "tables of " + store.Component, Expected: "can be counted", Found: err.Error()})
			continue
		}
		checks = append(checks, judge(store.Component, was, is)...)
	}
	return checks, nil
}

func judge(name string, was, is component.Census) []runbook.Check {
	schema := runbook.Check{Name: "tables of " + name, OK: true, Expected: "all that belong to its schema", Found: fmt.Sprintf("%d tables", len(is.Rows))}
	if is.Schema != "" {
		schema.Found += ", schema " + is.Schema
		if was.Schema != is.Schema {
			schema.Found += ", was " + was.Schema
		}
	}
	lost := slices.DeleteFunc(slices.Clone(is.Lacking), func(t string) bool { return slices.Contains(was.Lacking, t) })
	if len(lost) > 0 {
		schema.OK = false
		schema.Found += ", without " + strings.Join(lost, ", ")
	}
	var less []string
	var rows int64
	for _, table := range slices.Sorted(maps.Keys(was.Rows)) {
		now, ok := is.Rows[table]
		rows += now
		switch {
		case !ok:
			less = append(less, fmt.Sprintf("table %s with %d rows is gone", table, was.Rows[table]))
		case now < was.Rows[table]:
			less = append(less, fmt.Sprintf("table %s has %d of %d rows", table, now, was.Rows[table]))
		}
	}
	content := runbook.Check{Name: "rows of " + name, OK: len(less) == 0, Warning: len(less) > 0, Expected: "no table has become smaller", Found: fmt.Sprintf("%d rows in all", rows)}
	if len(less) > 0 {
		content.Found = strings.Join(less[:min(len(less), shown)], ", ")
		content.Hint = "Look whether the new version wants it so; if not: lifeboat upgrade rollback"
	}
	return []runbook.Check{schema, content}
}

// shown bounds how many tables a check names.
const shown = 12
