package profile

import (
	"context"
	"fmt"
	"strings"
)

// Condition is a tree of predicates. In YAML it is a mapping whose first key is
// any, all, not, or the name of a registered predicate; options of the predicate
// stand under that key or beside it.
type Condition struct {
	Any []Condition `yaml:"any,omitempty"`
	All []Condition `yaml:"all,omitempty"`
	Not *Condition  `yaml:"not,omitempty"`

	Predicate string `yaml:"-"`
	Options   any    `yaml:"-"`
	Line      int    `yaml:"-"`
}

// Setting is a value read from the system's own configuration. In YAML it is a
// mapping whose first key, besides the ones below, names a registered source;
// options of the source stand under that key or beside it.
type Setting struct {
	Default *string `yaml:"default,omitempty"` // may use other settings
	Secret  bool    `yaml:"secret,omitempty"`  // never recorded, logged or shown
	// Matches is a regular expression (RE2, ^ and $ match at lines) of which the
	// first group, or the whole match without one, is taken of what was read.
	Matches string `yaml:"matches,omitempty"`

	Source  string `yaml:"-"`
	Options any    `yaml:"-"`
	Line    int    `yaml:"-"`
}

// Holds decides a condition; why says in a few words what was seen, for people.
// The scope must hold the settings that the condition uses. An error means that
// it could not be decided.
func (r *Registry) Holds(ctx context.Context, c Condition, scope Scope) (holds bool, why string, err error) {
	switch {
	case c.Any != nil:
		return r.any(ctx, c.Any, scope)
	case c.All != nil:
		return r.all(ctx, c.All, scope)
	case c.Not != nil:
		holds, why, err = r.Holds(ctx, *c.Not, scope)
		return !holds && err == nil, why, err
	}
	predicate, ok := r.Predicates[c.Predicate]
	if !ok {
		return false, "", fmt.Errorf("unknown predicate %q", c.Predicate)
	}
	options, err := ExpandOptions(c.Options, scope.Settings)
	if err != nil {
		return false, "", fmt.Errorf("%s: %w", c.Predicate, err)
	}
	holds, why, err = predicate.Holds(ctx, scope, options)
	if err != nil {
		return false, "", fmt.Errorf("%s: %w", c.Predicate, err)
	}
	return holds, why, nil
}

// any holds with the first that holds. One that cannot be decided only counts
// when none holds.
func (r *Registry) any(ctx context.Context, list []Condition, scope Scope) (bool, string, error) {
	var seen []string
	var failed error
	for _, c := range list {
		holds, why, err := r.Holds(ctx, c, scope)
		switch {
		case err != nil && failed == nil:
			failed = err
		case err == nil && holds:
			return true, why, nil
		case err == nil:
			seen = append(seen, why)
		}
	}
	return false, strings.Join(seen, ", "), failed
}

func (r *Registry) all(ctx context.Context, list []Condition, scope Scope) (bool, string, error) {
	var seen []string
	for _, c := range list {
		holds, why, err := r.Holds(ctx, c, scope)
		if err != nil || !holds {
			return false, why, err
		}
		seen = append(seen, why)
	}
	return true, strings.Join(seen, ", "), nil
}
