// Package opsi knows what the profile of opsi cannot say in YAML: where a server
// keeps its data, which tables a schema version has and what refers to what, which
// version of opsi goes on with the data of which, and what was changed in a depot
// by hand. It changes nothing on a machine.
package opsi

import (
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/rename"
	"lifeboat/internal/profile"
)

// Product returns the knowledge about opsi.
func Product() *product.Product {
	return &product.Product{
		Name:  "opsi",
		Title: "opsi, client management",
		Schema: product.Schema{
			Version:    schemaVersion,
			Tables:     tables,
			References: references(),
		},
		Facts:       facts,
		Rename:      rename.Plan,
		RenameParts: rename.Parts(),
		CheckName:   rename.Check,
		Unpack:      unpack,
		Admit:       admit,
		Comparisons: map[string]product.Comparison{
			"opsi-version": {
				Summary: "The installed opsi is of the same version, or of one that takes the data over",
				Compare: compareVersion,
			},
			"opsi-schema": {
				Summary: "The installed opsi expects the same schema, or one that it updates the database to",
				Compare: compareSchema,
			},
			"opsi-backends": {
				Summary: "The installed opsi still knows the backends that the data are in",
				Compare: compareBackends,
			},
		},
		Predicates: map[string]profile.Predicate{
			"opsi_depot": {
				Definition: profile.Definition{
					Summary: "What was changed in the depot by hand is there again",
					Options: func() any { return new(DepotOptions) },
				},
				Holds: depotHolds,
			},
		},
		Sources: map[string]profile.Source{
			"opsi": {
				Definition: profile.Definition{
					Summary: "What opsi's own configuration says: where its data are, and what is wrong with it",
					Options: func() any { return new(Options) },
				},
				Read: read,
			},
		},
	}
}
