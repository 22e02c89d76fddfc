package profile

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

var plainName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// check finds what is only wrong in the whole: names, references, orders.
func (l *loader) check(p *Profile) {
	if p.Name != "" && !plainName.MatchString(p.Name) {
		l.ProblemAt(1, "profile: %q may only hold lower-case letters, digits and hyphens", p.Name)
	}
	for _, key := range []string{"components", "recovery"} {
		if l.section(key) == l.Root && l.section("upgrade") == l.Root {
			l.ProblemAt(1, "%s is missing", key)
		}
	}
	l.checkTexts(p)
	l.checkComponents(p)
	l.checkSettings(p)
	l.checkIdentity(p)
	l.checkExpressions(p)
	if len(p.Quiesce.Hold) > 0 && len(p.Quiesce.Release) == 0 {
		l.ProblemAt(p.Quiesce.Hold[0].Line, "hold without release: a recovered system would stay stopped")
	}
	for _, w := range p.Quiesce.WaitFor {
		if (w.Lock == "") == (w.Process == "") || w.Process != "" && w.Program != "" {
			l.Problem(l.section("quiesce"), "wait_for: an entry has either a lock, perhaps with a program, or a process")
		}
		switch d, err := strict.ParseDuration(w.Timeout); {
		case w.Timeout == "":
		case err != nil:
			l.Problem(l.section("quiesce"), "wait_for: timeout: %v", err)
		case d == 0:
			l.Problem(l.section("quiesce"), "wait_for: timeout: %q is no time at all", w.Timeout)
		}
	}
	for _, stage := range p.Recovery.Stages() {
		l.checkSteps(stage)
	}
	l.checkRestores(p)
}

func (l *loader) checkComponents(p *Profile) {
	names := make([]string, 0, len(p.Components))
	needs := map[string][]string{}
	for _, c := range p.Components {
		switch first, twice := l.componentLines[c.Name]; {
		case c.Name == "":
		case twice:
			l.ProblemAt(c.Line, "component %s is there twice; the first is in line %d", c.Name, first)
		case !plainName.MatchString(c.Name):
			l.ProblemAt(c.Line, "component name %q may only hold lower-case letters, digits and hyphens", c.Name)
			fallthrough
		default:
			l.componentLines[c.Name] = c.Line
			names = append(names, c.Name)
			needs[c.Name] = c.Needs
		}
	}
	for _, c := range p.Components {
		for _, need := range c.Needs {
			if _, ok := l.componentLines[need]; !ok {
				l.ProblemAt(c.Line, "component %s needs the unknown component %s%s", c.Name, need, strict.Suggest(need, names))
			}
		}
		for _, path := range c.SavedElsewhere {
			if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "${") || path == "/" || slices.Contains(strings.Split(path, "/"), "..") {
				l.ProblemAt(c.Line, "component %s: saved_elsewhere: %q is no absolute path below /", c.Name, path)
			}
		}
		if c.Loss != "" && strings.TrimSpace(c.Loss) == "" {
			l.ProblemAt(c.Line, "component %s: loss is empty; say what is gone without it", c.Name)
		}
	}
	if cycle := findCycle(names, needs); cycle != nil {
		l.ProblemAt(l.componentLines[cycle[0]], "components need each other in a circle: %s", strings.Join(cycle, " → "))
	}
}

// checkSteps checks ids and needs of one stage. A step without needs follows the
// one before it, which can close a circle too.
func (l *loader) checkSteps(stage Stage) {
	lines := map[string]int{}
	var ids []string
	for _, s := range stage.Steps {
		if s.ID == "" {
			continue
		}
		if !plainName.MatchString(s.ID) {
			l.ProblemAt(s.Line, "step id %q may only hold lower-case letters, digits and hyphens", s.ID)
		}
		if first, twice := lines[s.ID]; twice {
			l.ProblemAt(s.Line, "step %s is there twice in %s; the first is in line %d", s.ID, stage.Name, first)
			continue
		}
		lines[s.ID] = s.Line
		ids = append(ids, s.ID)
	}
	var nodes []string
	needs := map[string][]string{}
	for i, s := range stage.Steps {
		name := stepName(s)
		nodes = append(nodes, name)
		if s.Needs == nil && i > 0 {
			needs[name] = []string{stepName(stage.Steps[i-1])}
		}
		for _, need := range s.Needs {
			if _, ok := lines[need]; !ok {
				l.ProblemAt(s.Line, "step needs %s, but no step in %s has that id%s", need, stage.Name, strict.Suggest(need, ids))
				continue
			}
			needs[name] = append(needs[name], need)
		}
	}
	if cycle := findCycle(nodes, needs); cycle != nil {
		l.ProblemAt(lineOf(stage.Steps, cycle[0]), "steps need each other in a circle: %s", strings.Join(cycle, " → "))
	}
}

func stepName(s Step) string {
	if s.ID != "" {
		return s.ID
	}
	return fmt.Sprintf("%s (line %d)", s.Type, s.Line)
}

func lineOf(steps []Step, name string) int {
	for _, s := range steps {
		if stepName(s) == name {
			return s.Line
		}
	}
	return 0
}

// checkRestores looks at the steps' components: all known, every critical one
// brought back, none before what it needs.
func (l *loader) checkRestores(p *Profile) {
	names := keys(l.componentLines)
	restored := map[string]bool{}
	for _, stage := range p.Recovery.Stages() {
		for _, s := range stage.Steps {
			definition := l.registry.Steps[s.Type]
			for _, name := range l.refers(s, names) {
				if !definition.Restores {
					continue
				}
				c, _ := p.Component(name)
				for _, need := range c.Needs {
					if !restored[need] && l.componentLines[need] > 0 {
						l.ProblemAt(s.Line, "%s is restored here, but %s, which it needs, is not restored before it", name, need)
					}
				}
				restored[name] = true
			}
			if s.Drill != nil {
				l.refers(*s.Drill, names)
			}
		}
	}
	for _, c := range p.Components {
		if c.Importance == Critical && c.Name != "" && !restored[c.Name] {
			l.ProblemAt(c.Line, "no recovery step restores the critical component %s", c.Name)
		}
	}
}

// refers returns the known components that a step names and reports the others,
// those that it follows and those in its done condition too.
func (l *loader) refers(s Step, names []string) []string {
	var found []string
	look := func(what string, list []string) {
		for _, name := range list {
			if _, ok := l.componentLines[name]; !ok {
				l.ProblemAt(s.Line, "%s refers to the unknown component %s%s", what, name, strict.Suggest(name, names))
				continue
			}
			found = append(found, name)
		}
	}
	look(s.Type, l.registry.Steps[s.Type].refers(s.Options))
	n := len(found)
	look("follows", s.Follows)
	if s.Done != nil {
		s.Done.walk(func(c Condition) {
			look(c.Predicate, l.registry.Predicates[c.Predicate].refers(c.Options))
		})
	}
	return found[:n]
}

func (d Definition) refers(options any) []string {
	if d.Components == nil || options == nil {
		return nil
	}
	return d.Components(options)
}

// walk visits every predicate of a condition.
func (c Condition) walk(visit func(Condition)) {
	for _, inner := range slices.Concat(c.Any, c.All) {
		inner.walk(visit)
	}
	if c.Not != nil {
		c.Not.walk(visit)
	}
	if c.Predicate != "" {
		visit(c)
	}
}

func (l *loader) checkIdentity(p *Profile) {
	known := p.factNames()
	for _, name := range slices.Concat(p.Identity.MustMatch, p.Identity.Warn, keys(p.Identity.Compare)) {
		if !slices.Contains(known, name) {
			l.Problem(l.section("identity"), "identity: unknown fact %s%s", name, strict.Suggest(name, known))
		}
	}
	for name, compare := range p.Identity.Compare {
		if _, ok := l.registry.Compares[compare]; !ok {
			l.Problem(l.section("identity"), "identity: %s uses the unknown comparison %s%s", name, compare, strict.Suggest(compare, keys(l.registry.Compares)))
		}
	}
	for _, name := range HostFacts {
		if s, ok := p.Identity.Facts[name]; ok {
			l.ProblemAt(s.Line, "identity: the fact %s is always there; choose another name", name)
		}
	}
}

// factNames lists the facts that the profile's identity has.
func (p *Profile) factNames() []string {
	return append(keys(p.Identity.Facts), HostFacts...)
}

func (l *loader) checkExpressions(p *Profile) {
	check := func(text string, line int) {
		if text == "" {
			return
		}
		if err := compileExpr(text, p); err != nil {
			l.ProblemAt(line, "when: %v in %q", err, text)
		}
	}
	for _, c := range p.Components {
		check(c.When, l.whenLines[c.Line])
	}
	q := p.Quiesce
	for _, c := range slices.Concat(q.Stop, q.Start, q.Hold, q.Release) {
		check(c.When, l.whenLines[c.Line])
	}
	inside := func(c Condition) {
		if o, ok := c.Options.(*exprOptions); ok {
			check(o.Expr, c.Line)
		}
	}
	for _, c := range []*Condition{p.Detect, q.Running} {
		if c != nil {
			c.walk(inside)
		}
	}
	for _, n := range p.Notices {
		if n.When != nil {
			n.When.walk(inside)
		}
	}
	for _, stage := range p.Recovery.Stages() {
		for _, s := range stage.Steps {
			check(s.When, l.whenLines[s.Line])
			if s.Done != nil {
				s.Done.walk(inside)
			}
		}
	}
}

// section finds the value of a top-level key.
func (l *loader) section(key string) *yaml.Node {
	for i := 0; i+1 < len(l.Root.Content); i += 2 {
		if l.Root.Kind == yaml.MappingNode && l.Root.Content[i].Value == key {
			return l.Root.Content[i]
		}
	}
	return l.Root
}

// paths checks those values of a mapping that its struct type calls paths.
func (l *loader) paths(node *yaml.Node, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || node.Kind != yaml.MappingNode || slices.Contains(lazy, t) {
		return
	}
	fields := map[string]strict.Field{}
	for _, f := range strict.Fields(t) {
		fields[f.Key] = f
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		f, ok := fields[node.Content[i].Value]
		if !ok {
			continue
		}
		value := node.Content[i+1]
		if value.Kind == yaml.MappingNode {
			l.paths(value, f.Type)
			continue
		}
		if !isPath(f) {
			continue
		}
		for _, n := range append([]*yaml.Node{value}, value.Content...) {
			// What a setting stands for is checked when it is expanded.
			text := n.Value
			if strings.HasPrefix(text, "${") {
				text = "/" + text
			}
			if err := checkPath(text); n.Kind == yaml.ScalarNode && err != nil {
				l.Problem(n, "%s: %v", f.Key, err)
			}
		}
	}
}
