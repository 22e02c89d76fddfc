package profile

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

// Load reads a profile from its YAML text. The source names the file in
// messages. An error is a strict.Problems with everything that is wrong, each
// with file and line.
func (r *Registry) Load(source string, text []byte) (*Profile, error) {
	doc, err := strict.Parse(source, text)
	if err != nil {
		return nil, err
	}
	l := &loader{Document: doc, registry: r, componentLines: map[string]int{}, whenLines: map[int]int{}}
	strict.Handle(doc, l.condition)
	strict.Handle(doc, l.setting)
	strict.Handle(doc, l.component)
	strict.Handle(doc, l.step)
	strict.Handle(doc, l.command)
	strict.Handle(doc, l.upgrade)
	p := &Profile{Source: source, Text: slices.Clone(text)}
	doc.Decode(doc.Root, p)
	l.check(p)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// loader reads one profile.
type loader struct {
	*strict.Document
	registry       *Registry
	componentLines map[string]int
	whenLines      map[int]int // of a component, step or command by its own line
}

// condition reads {any: […]}, {not: …} or {predicate: …, option: …}.
func (l *loader) condition(node *yaml.Node, into *Condition) {
	entries := l.Entries(node)
	if len(entries) == 0 {
		l.Problem(node, "a condition must be a mapping like {file: /etc/motd}")
		return
	}
	into.Line = node.Line
	first := entries[0]
	switch first.Key {
	case "any", "all", "not":
		for _, e := range entries[1:] {
			l.Problem(e.Name, "%s cannot stand beside %s; use all: to join conditions", e.Key, first.Key)
		}
		into.group(l, first)
		return
	}
	predicate, ok := l.registry.Predicates[first.Key]
	if !ok {
		l.Problem(first.Name, "unknown predicate %s%s", first.Key, strict.Suggest(first.Key, append(keys(l.registry.Predicates), "any", "all", "not")))
		return
	}
	into.Predicate = first.Key
	into.Options = l.options("predicate", predicate.Definition, first, entries[1:])
}

func (c *Condition) group(l *loader, e strict.Entry) {
	switch e.Key {
	case "not":
		c.Not = new(Condition)
		l.Decode(e.Value, c.Not)
		return
	case "any":
		l.Decode(e.Value, &c.Any)
	case "all":
		l.Decode(e.Value, &c.All)
	}
	if e.Value.Kind == yaml.SequenceNode && len(e.Value.Content) == 0 {
		l.Problem(e.Value, "%s has no conditions", e.Key)
	}
}

// setting reads {source: …, option: …, default: …}.
func (l *loader) setting(node *yaml.Node, into *Setting) {
	into.Line = node.Line
	if node.Kind != yaml.MappingNode {
		l.Problem(node, "a setting must be a mapping like {ini: /etc/app.conf, section: MAIN, key: Port}")
		return
	}
	common, typed := l.split(node, reflect.TypeFor[Setting]())
	l.Fill(common, into)
	if len(typed) == 0 {
		l.Problem(node, "no source is named%s", strict.Suggest("", keys(l.registry.Sources)))
		return
	}
	source, ok := l.registry.Sources[typed[0].Key]
	if !ok {
		l.Problem(typed[0].Name, "unknown source %s%s", typed[0].Key, strict.Suggest(typed[0].Key, append(keys(l.registry.Sources), fieldKeys[Setting]()...)))
		return
	}
	into.Source = typed[0].Key
	into.Options = l.options("source", source.Definition, typed[0], typed[1:])
	if _, err := pattern(into.Matches); err != nil {
		l.Problem(node, "matches: %v", err)
	}
}

// component reads the common keys and those of the component's kind.
func (l *loader) component(node *yaml.Node, into *Component) {
	into.Line = node.Line
	into.Capture = Quiesced
	var kind string
	for _, e := range l.Entries(node) {
		l.noteWhen(node, e)
		if e.Key == "kind" {
			kind = e.Value.Value
			if _, ok := l.registry.Kinds[kind]; !ok {
				l.Problem(e.Value, "unknown kind %s%s", kind, strict.Suggest(kind, keys(l.registry.Kinds)))
			}
		}
	}
	definition, ok := l.registry.Kinds[kind]
	if !ok {
		// What the other keys should be is not known, so only the common ones are read.
		common, _ := l.split(node, reflect.TypeFor[Component]())
		if node.Kind != yaml.MappingNode {
			common = node
		}
		l.Fill(common, into)
		return
	}
	options := definition.Options()
	l.Fill(node, into, options)
	into.Options = options
	l.paths(node, reflect.TypeOf(options))
}

// step reads {type: …} with the keys that are common to all steps.
func (l *loader) step(node *yaml.Node, into *Step) {
	into.Line = node.Line
	if node.Kind != yaml.MappingNode {
		l.Problem(node, "a step must be a mapping like restore: database")
		return
	}
	common, typed := l.split(node, reflect.TypeFor[Step]())
	for _, e := range l.Entries(common) {
		l.noteWhen(node, e)
	}
	l.Fill(common, into)
	var found *strict.Entry
	for i, e := range typed {
		if _, ok := l.registry.Steps[e.Key]; ok && found == nil {
			found = &typed[i]
		} else if ok {
			l.Problem(e.Name, "a step has one type, not both %s and %s", found.Key, e.Key)
		}
	}
	known := append(keys(l.registry.Steps), fieldKeys[Step]()...)
	for _, e := range typed {
		if _, ok := l.registry.Steps[e.Key]; !ok {
			what := "step type"
			if found != nil {
				what, known = "key", fieldKeys[Step]()
			}
			l.Problem(e.Name, "unknown %s %s%s", what, e.Key, strict.Suggest(e.Key, known))
		}
	}
	if found == nil {
		if len(typed) == 0 {
			l.Problem(node, "the step has no type%s", strict.Suggest("", keys(l.registry.Steps)))
		}
		return
	}
	into.Type = found.Key
	into.Options = l.options("step type", l.registry.Steps[found.Key], *found, nil)
}

// upgrade reads what the registry knows of upgrades.
func (l *loader) upgrade(node *yaml.Node, into *Upgrade) {
	into.Line = node.Line
	if l.registry.Upgrade.Options == nil {
		l.Problem(node, "upgrades are not known here")
		return
	}
	into.Options = l.registry.Upgrade.Options()
	l.Fill(node, into.Options)
}

// command reads a line, a list of arguments or {run: …, when: …}.
func (l *loader) command(node *yaml.Node, into *Command) {
	into.Line = node.Line
	switch node.Kind {
	case yaml.ScalarNode:
		into.Run = l.words(node)
	case yaml.SequenceNode:
		l.Decode(node, &into.Run)
	default:
		for _, e := range l.Entries(node) {
			switch e.Key {
			case "run":
				if e.Value.Kind == yaml.ScalarNode {
					into.Run = l.words(e.Value)
				} else {
					l.Decode(e.Value, &into.Run)
				}
			case "when":
				l.noteWhen(node, e)
				l.Decode(e.Value, &into.When)
			default:
				l.Problem(e.Name, "unknown key %s%s", e.Key, strict.Suggest(e.Key, []string{"run", "when"}))
			}
		}
	}
	if len(into.Run) == 0 {
		l.Problem(node, "a command must name a program, like rcapp stop")
	}
}

// noteWhen remembers in which line the condition of what begins at node stands.
func (l *loader) noteWhen(node *yaml.Node, e strict.Entry) {
	if e.Key == "when" {
		l.whenLines[node.Line] = e.Value.Line
	}
}

// words splits a command line on spaces. What only a shell would understand is
// refused, because no shell is going to see it.
func (l *loader) words(node *yaml.Node) []string {
	plain, err := expand(node.Value, func(string) (string, error) { return "", nil })
	if err == nil && strings.ContainsAny(plain, "'\"\\|&;<>*?`$()") {
		l.Problem(node, "%q needs a shell or quotes; write the arguments as a list: [program, argument]", node.Value)
	}
	return strings.Fields(node.Value)
}

// options decodes what stands under the entry that names a type, or that value
// for the short field together with the options beside it.
func (l *loader) options(what string, d Definition, named strict.Entry, beside []strict.Entry) any {
	if d.Options == nil {
		l.Problem(named.Name, "%s %s takes no options here", what, named.Key)
		return nil
	}
	options := d.Options()
	fields := fieldsByKey(options)
	short := ""
	for _, f := range strict.Fields(reflect.TypeOf(options).Elem()) {
		if f.Short {
			short = f.Key
		}
	}
	mapping := named.Value
	isMap := short != "" && fields[short].Type.Kind() == reflect.Map
	if mapping.Kind != yaml.MappingNode || isMap {
		if short == "" {
			l.Problem(named.Value, "%s takes a mapping of %s", named.Key, strings.Join(keys(fields), ", "))
			return options
		}
		key := *named.Name
		key.Value = short
		mapping = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: named.Name.Line, Content: []*yaml.Node{&key, named.Value}}
		for _, e := range beside {
			mapping.Content = append(mapping.Content, e.Name, e.Value)
		}
	} else {
		for _, e := range beside {
			l.Problem(e.Name, "%s must stand inside %s", e.Key, named.Key)
		}
	}
	l.Fill(mapping, options)
	l.paths(mapping, reflect.TypeOf(options))
	return options
}

// split divides a mapping into the keys of a struct and the others.
func (l *loader) split(node *yaml.Node, t reflect.Type) (common *yaml.Node, others []strict.Entry) {
	known := map[string]bool{}
	for _, f := range strict.Fields(t) {
		known[f.Key] = true
	}
	common = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: node.Line, Column: node.Column}
	for _, e := range l.Entries(node) {
		if known[e.Key] {
			common.Content = append(common.Content, e.Name, e.Value)
			continue
		}
		others = append(others, e)
	}
	return common, others
}

func fieldsByKey(options any) map[string]strict.Field {
	fields := map[string]strict.Field{}
	t := reflect.TypeOf(options).Elem()
	if t.Kind() != reflect.Struct {
		return fields
	}
	for _, f := range strict.Fields(t) {
		fields[f.Key] = f
	}
	return fields
}

func fieldKeys[T any]() []string {
	var out []string
	for _, f := range strict.Fields(reflect.TypeFor[T]()) {
		out = append(out, f.Key)
	}
	return out
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
