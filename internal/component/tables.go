package component

import (
	"maps"
	"slices"
	"strconv"

	"lifeboat/internal/repository"
)

// Unlike names the tables that two databases do not have alike, sorted.
func Unlike[T comparable](was, is map[string]T) []string {
	names := slices.Concat(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is)))
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool {
		before, had := was[name]
		now, has := is[name]
		return had && has && before == now
	})
}

// ReportTables reports the tables that two databases do not have alike; of names the
// database, and rows tells how many rows a table has.
func ReportTables[T comparable](was, is map[string]T, of string, rows func(T) int64, report func(Difference)) {
	for _, name := range Unlike(was, is) {
		before, had := was[name]
		now, has := is[name]
		d := Difference{Path: "table " + name + " of " + of, Kind: repository.Changed}
		switch {
		case !has:
			d.Kind = repository.Missing
		case !had:
			d.Kind = repository.New
		case rows(before) != rows(now):
			d.Fields = []repository.Field{{Name: "rows", Was: strconv.FormatInt(rows(before), 10), Now: strconv.FormatInt(rows(now), 10)}}
		}
		report(d)
	}
}
