package profiles_test

import (
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

// registry holds everything that shipped profiles may name.
func registry() *profile.Registry {
	r := profile.NewRegistry()
	r.Kinds["files"] = files.Kind().Definition
	r.Kinds["configuration"] = configuration.Kind().Definition
	r.Kinds["mysql"] = mysql.Kind(nil).Definition
	r.Kinds["network"] = network.Kind().Definition
	r.Kinds["postgres"] = postgres.Kind().Definition
	r.Kinds["sqlite"] = sqlite.Kind().Definition
	r.Kinds["certificates"] = certificates.Kind().Definition
	for name, step := range recovery.Steps() {
		r.Steps[name] = step.Definition
	}
	for name, predicate := range mysql.Predicates() {
		r.Predicates[name] = predicate
	}
	r.Predicates["certificate"] = certificates.Predicate()
	for _, p := range []*product.Product{smt.Product(), opsi.Product()} {
		for name, source := range p.Sources {
			r.Sources[name] = source
		}
		for name, predicate := range p.Predicates {
			r.Predicates[name] = predicate
		}
		for name, comparison := range p.Comparisons {
			r.Compares[name] = comparison.Summary
		}
	}
	r.Upgrade = path.Definition()
	return r
}
