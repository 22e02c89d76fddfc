package profiles_test

import (
	"lifeboat/internal/component/certificates"
	"lifeboat/internal/component/configuration"
	"lifeboat/internal/component/files"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
)

type certificateOptions struct {
	File     string `yaml:"file" short:"true"`
	IssuedBy string `yaml:"issued_by"`
	Key      string `yaml:"key"`
}

// registry holds everything that shipped profiles may name.
func registry() *profile.Registry {
	r := profile.NewRegistry()
	r.Kinds["files"] = files.Kind().Definition
	r.Kinds["configuration"] = configuration.Kind().Definition
	r.Kinds["mysql"] = mysql.Kind(nil).Definition
	r.Kinds["network"] = profile.Definition{Options: func() any { return new(struct{}) }}
	r.Kinds["certificates"] = profile.Definition{Options: func() any { return new(certificates.Options) }}
	for name, step := range recovery.Steps() {
		r.Steps[name] = step.Definition
	}
	for name, predicate := range mysql.Predicates() {
		r.Predicates[name] = predicate
	}
	r.Predicates["certificate"] = profile.Predicate{Definition: profile.Definition{Options: func() any { return new(certificateOptions) }}}
	r.Compares["smt-schema"] = ""
	return r
}
