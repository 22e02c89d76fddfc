// Package boundary marks the points between two effects of a component: after
// a record is durable and before what it announces, and after that. A component
// that is killed at any of them must resume or roll back, and the conformance
// suite stops it at each one in turn. Nothing but this marking may enter.
package boundary

import "context"

type key struct{}

// Observe returns a context whose boundaries call f. A call of f that does not
// return stops the component there as a kill would: nothing deferred runs.
func Observe(ctx context.Context, f func(name string)) context.Context {
	return context.WithValue(ctx, key{}, f)
}

// Reached tells the observer of ctx, if there is one, that the boundary of this
// name was reached.
func Reached(ctx context.Context, name string) {
	if f, ok := ctx.Value(key{}).(func(string)); ok {
		f(name)
	}
}
