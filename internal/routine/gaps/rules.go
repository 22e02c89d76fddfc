package gaps

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"lifeboat/internal/strict"
)

//go:embed rules.yaml
var rulesText []byte

// rules say what of a machine's configuration is noise and what a recovery misses
// most, each with its reason.
type rules struct {
	Ignore []rule `yaml:"ignore" jsonschema:"required"`
	Worth  []rule `yaml:"worth" jsonschema:"required"`
}

// rule is patterns of doublestar; one that matches a directory holds for all in it.
type rule struct {
	Why   string   `yaml:"why" jsonschema:"required"`
	Paths []string `yaml:"paths" jsonschema:"required"`
}

func readRules(text []byte) (*rules, error) {
	doc, err := strict.Parse("rules.yaml", text)
	if err != nil {
		return nil, err
	}
	r := &rules{}
	doc.Decode(doc.Root, r)
	return r, doc.Err()
}

// theRules are a part of the program, and a test reads them.
var theRules = sync.OnceValue(func() *rules {
	r, err := readRules(rulesText)
	if err != nil {
		panic(err)
	}
	return r
})

func (r *rules) ignores(at string) bool { return match(r.Ignore, at) != "" }

// values tells why a path is likely to be missed; "" when nothing says so.
func (r *rules) values(at string) string { return match(r.Worth, at) }

func match(list []rule, at string) string {
	for _, r := range list {
		for _, pattern := range r.Paths {
			for p := at; p != ""; p = p[:max(strings.LastIndexByte(p, '/'), 0)] {
				if ok, _ := doublestar.Match(pattern, p); ok {
					return r.Why
				}
			}
		}
	}
	return ""
}
