package profile

import (
	"context"

	"lifeboat/internal/host"
)

// Registry tells the loader which kinds, step types, predicates and value
// sources exist. The command line fills it once; it is read-only afterwards and
// then safe for concurrent use.
type Registry struct {
	Kinds      map[string]Definition
	Steps      map[string]Definition
	Predicates map[string]Predicate
	Sources    map[string]Source
	Compares   map[string]string // comparison name → summary
	Upgrade    Definition        // reads the section of upgrades
}

// NewRegistry returns a registry that holds the predicates and sources of this
// package and nothing else.
func NewRegistry() *Registry {
	return &Registry{
		Kinds:      map[string]Definition{},
		Steps:      map[string]Definition{},
		Predicates: Predicates(),
		Sources:    Sources(),
		Compares:   map[string]string{},
	}
}

// Definition is what the loader needs of a component kind, step type, predicate
// or source.
type Definition struct {
	Summary string
	// Options returns a pointer to a fresh, zero options struct that the YAML is
	// decoded into by its yaml tags. The field tagged short:"true" takes a value
	// that is not a mapping; jsonschema:"required" and "enum=…" are enforced. A
	// Validate() error method on it is called afterwards. Texts keep their
	// ${settings}; ExpandOptions replaces them later, so a field that may hold
	// one must be text. Keys named like paths (see pathKeys) must be absolute.
	Options func() any
	// Components lists the components that options refer to. Nil when options
	// never do.
	Components func(options any) []string
	// Restores says that a step of this type brings those components back.
	Restores bool
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
	// Holds decides; why says what was seen, for people. Options have had
	// their ${settings} expanded. An error means that it cannot be decided, not
	// that it does not hold.
	Holds func(ctx context.Context, scope Scope, options any) (holds bool, why string, err error)
}

// Source reads one setting from the system's own configuration, say ini:.
type Source struct {
	Definition
	// Read returns the value; ok is false when the configuration does not hold
	// it. Options have had their ${settings} expanded.
	Read func(ctx context.Context, scope Scope, options any) (value string, ok bool, err error)
}
