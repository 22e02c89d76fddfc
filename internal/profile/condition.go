package profile

// Condition is a tree of predicates. In YAML it is a mapping with exactly one
// key: any, all, not, or the name of a registered predicate.
type Condition struct {
	Any []Condition `yaml:"any,omitempty"`
	All []Condition `yaml:"all,omitempty"`
	Not *Condition  `yaml:"not,omitempty"`

	Predicate string `yaml:"-"`
	Options   any    `yaml:"-"`
	Line      int    `yaml:"-"`
}

// Setting is a value read from the system's own configuration. In YAML it is
// a mapping with one key that names a registered source, and default.
type Setting struct {
	Default *string `yaml:"default,omitempty"`
	Secret  bool    `yaml:"secret,omitempty"` // never recorded, logged or shown

	Source  string `yaml:"-"`
	Options any    `yaml:"-"`
	Line    int    `yaml:"-"`
}
