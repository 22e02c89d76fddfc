// Package profiles is the catalogue that Lifeboat ships: one YAML file a product.
// Only data lives here; docs/profiles.md says how to write a profile.
package profiles

import "embed"

// FS holds NAME.yaml for every shipped profile.
//
//go:embed *.yaml
var FS embed.FS
