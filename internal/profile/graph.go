package profile

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

// findCycle returns the names of one circle, the first repeated at the end, or
// nil. The order of names makes the answer the same each time.
func findCycle(names []string, needs map[string][]string) []string {
	const visiting, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		switch state[name] {
		case done:
			return nil
		case visiting:
			return append(slices.Clone(path[slices.Index(path, name):]), name)
		}
		state[name] = visiting
		path = append(path, name)
		for _, need := range needs[name] {
			if cycle := visit(need); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		state[name] = done
		return nil
	}
	for _, name := range names {
		if cycle := visit(name); cycle != nil {
			return cycle
		}
	}
	return nil
}

// sorted lists names so that each comes after what it needs. There must be no
// circle.
func sorted(names []string, needs map[string][]string) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, need := range needs[name] {
			visit(need)
		}
		out = append(out, name)
	}
	for _, name := range names {
		visit(name)
	}
	return out
}

// settingNeeds lists for every setting the settings that it is read with.
func (p *Profile) settingNeeds() map[string][]string {
	needs := map[string][]string{}
	for name, s := range p.Settings {
		needs[name] = s.needs()
	}
	return needs
}

func (s Setting) needs() []string {
	texts := append(textsOf(reflect.ValueOf(s.Options)), s.Matches)
	if s.Default != nil {
		texts = append(texts, *s.Default)
	}
	var out []string
	for _, text := range texts {
		if used, err := uses(text); err == nil {
			out = append(out, used...)
		}
	}
	if list, ok := s.Options.(*firstOptions); ok {
		for _, inner := range list.First {
			out = append(out, inner.needs()...)
		}
	}
	return out
}

// textsOf lists the texts in an options value.
func textsOf(v reflect.Value) []string {
	var out []string
	switch v.Kind() {
	case reflect.String:
		return []string{v.String()}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return textsOf(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, textsOf(v.Index(i))...)
		}
	case reflect.Struct:
		if slices.Contains(lazy, v.Type()) {
			return nil
		}
		for _, f := range strict.Fields(v.Type()) {
			out = append(out, textsOf(v.FieldByIndex(f.Index))...)
		}
	}
	return out
}

// checkTexts finds ${…} that are malformed or name no setting, anywhere.
func (l *loader) checkTexts(p *Profile) {
	var visit func(node *yaml.Node, public bool)
	visit = func(node *yaml.Node, public bool) {
		if node.Kind == yaml.ScalarNode {
			l.checkText(p, node, public)
		}
		for i, child := range node.Content {
			if node.Kind == yaml.MappingNode && i%2 == 0 {
				continue // keys
			}
			visit(child, public)
		}
	}
	for _, e := range l.Entries(l.Root) {
		visit(e.Value, e.Key != "settings" && e.Key != "components")
	}
}

func (l *loader) checkText(p *Profile, node *yaml.Node, public bool) {
	names, err := uses(node.Value)
	if err != nil {
		l.Problem(node, "%v", err)
		return
	}
	for _, name := range names {
		s, ok := p.Settings[name]
		switch {
		case !ok:
			l.Problem(node, "unknown setting ${%s}%s", name, strict.Suggest(name, keys(p.Settings)))
		case s.Secret && public:
			l.Problem(node, "the secret setting ${%s} may only be used by components, where it stays out of commands and messages", name)
		}
	}
}

func (l *loader) checkSettings(p *Profile) {
	needs := p.settingNeeds()
	for _, name := range keys(p.Settings) {
		s := p.Settings[name]
		if !settingName.MatchString(name) {
			l.ProblemAt(s.Line, "setting name %q may only hold lower-case letters, digits and underscores", name)
		}
		for _, need := range needs[name] {
			if p.Settings[need].Secret && !s.Secret {
				l.ProblemAt(s.Line, "setting %s is made of the secret setting %s and must be secret: true too", name, need)
			}
		}
	}
	if cycle := findCycle(keys(p.Settings), needs); cycle != nil {
		l.ProblemAt(p.Settings[cycle[0]].Line, "settings need each other in a circle: %s", strings.Join(cycle, " → "))
	}
}
