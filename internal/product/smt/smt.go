// Package smt knows what the profile of SUSE's Subscription Management Tool
// cannot say in YAML: which tables a schema version has, what refers to what,
// which schema can be upgraded to which, and how a directory that was saved by
// hand after SUSE's article 7004986 is read. It changes nothing on a machine.
package smt

import (
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
)

// Product returns the knowledge about SMT.
func Product() *product.Product {
	return &product.Product{
		Name:  "smt",
		Title: "SUSE Subscription Management Tool",
		Schema: product.Schema{
			Version:    schemaVersion,
			Tables:     tables,
			References: references(),
		},
		Facts: facts,
		Comparisons: map[string]product.Comparison{
			"smt-schema": {
				Summary: "The installed SMT expects the same schema, or one that it upgrades the database to",
				Compare: compareSchema,
			},
			"smt-line": {
				Summary: "The schemas belong to the same line of SMT: 1.0, 1.1, 11 SP3 or 12",
				Compare: compareLine,
			},
		},
		Sources: map[string]profile.Source{
			"smt_installed": {
				Definition: profile.Definition{
					Summary: "What the installed SMT's own module says: schema, its version, or line",
					Options: func() any { return new(InstalledOptions) },
				},
				Read: readInstalled,
			},
		},
		Import: importSaved,
	}
}
