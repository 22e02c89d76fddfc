package profile

import (
	"context"

	"lifeboat/internal/host"
)

// Registry tells the loader which kinds, step types, predicates and value
// sources exist. The command line fills it once; it is read-only afterwards.
type Registry struct {
	Kinds      map[string]Definition
	Steps      map[string]Definition
	Predicates map[string]Predicate
	Sources    map[string]Source
	Compares   map[string]string // comparison name → summary
}

// Definition is what the loader needs of a component kind or step type.
type Definition struct {
	Summary string
	// Options returns a pointer to a fresh, zero options value that the YAML is
	// decoded into. A Validate() error method on it is called afterwards.
	Options func() any
}

// Scope is what conditions, sources and ${…} expansions may look at.
type Scope struct {
	Host     *host.Host
	Settings map[string]string
	Facts    map[string]string
	Point    map[string]any // the recovery point's manifest as expr sees it; nil before there is one
}

// Predicate decides one key of a condition, say file: or package:.
type Predicate struct {
	Definition
	// Holds decides; why says what was seen, for people.
	Holds func(ctx context.Context, scope Scope, options any) (holds bool, why string, err error)
}

// Source reads one setting from the system's own configuration, say ini:.
type Source struct {
	Definition
	// Read returns the value; ok is false when the configuration does not hold it.
	Read func(ctx context.Context, scope Scope, options any) (value string, ok bool, err error)
}
