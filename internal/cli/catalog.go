package cli

import (
	"sync"

	"lifeboat/internal/component"
	"lifeboat/internal/component/certificates"
	"lifeboat/internal/component/configuration"
	"lifeboat/internal/component/files"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/component/network"
	"lifeboat/internal/component/postgres"
	"lifeboat/internal/component/sqlite"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi"
	"lifeboat/internal/product/smt"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/upgrade/path"
)

// catalog fills the registries once: every kind, step type, predicate, source
// and product that a profile may name.
var catalog = sync.OnceValue(func() *recovery.Catalog {
	products := product.Make(smt.Product(), opsi.Product())
	kinds := map[string]component.Kind{}
	registry := profile.NewRegistry()
	for _, kind := range []component.Kind{
		files.Kind(), configuration.Kind(), certificates.Kind(), network.Kind(), mysql.Kind(products), sqlite.Kind(), postgres.Kind(),
	} {
		kinds[kind.Name] = kind
		registry.Kinds[kind.Name] = kind.Definition
	}
	steps := recovery.Steps()
	for name, step := range steps {
		registry.Steps[name] = step.Definition
	}
	registry.Predicates["certificate"] = certificates.Predicate()
	for name, predicate := range mysql.Predicates() {
		registry.Predicates[name] = predicate
	}
	for _, p := range products {
		for name, predicate := range p.Predicates {
			registry.Predicates[name] = predicate
		}
		for name, source := range p.Sources {
			registry.Sources[name] = source
		}
		for name, comparison := range p.Comparisons {
			registry.Compares[name] = comparison.Summary
		}
	}
	registry.Upgrade = path.Definition()
	return &recovery.Catalog{Profile: registry, Kinds: kinds, Products: products, Steps: steps}
})
