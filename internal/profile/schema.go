package profile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

// Schema returns the JSON Schema (draft 2020-12) of profiles for editors, made of
// the same types that the loader reads into. What only the whole tells, such as
// names that refer to each other, is left to the loader.
func Schema(r *Registry) ([]byte, error) {
	s := &schemer{registry: r}
	top := s.object(reflect.TypeFor[Profile]())
	top["$schema"] = jsonschema.Version
	top["title"] = "Lifeboat profile"
	top["anyOf"] = []any{
		node{"required": []any{"components", "recovery"}},
		node{"required": []any{"upgrade"}},
	}
	top["$defs"] = map[string]any{
		"condition": s.condition(),
		"setting":   s.setting(),
		"component": s.component(),
		"step":      s.step(),
		"command":   s.command(),
		"upgrade":   s.upgrade(),
	}
	if s.err != nil {
		return nil, fmt.Errorf("make the schema of profiles: %w", s.err)
	}
	return json.MarshalIndent(loosen(top), "", "  ")
}

// defs are the types whose shape the registry decides.
var defs = map[reflect.Type]string{
	reflect.TypeFor[Condition](): "condition",
	reflect.TypeFor[Setting]():   "setting",
	reflect.TypeFor[Component](): "component",
	reflect.TypeFor[Step]():      "step",
	reflect.TypeFor[Command]():   "command",
	reflect.TypeFor[Upgrade]():   "upgrade",
}

type node = map[string]any

type schemer struct {
	registry *Registry
	err      error
}

// object is the schema of a struct type as a mapping.
func (s *schemer) object(t reflect.Type) node {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	top := true
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true,
		FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true,
		Mapper: func(inner reflect.Type) *jsonschema.Schema {
			if top {
				top = false
				return nil
			}
			return s.mapped(inner)
		},
	}
	text, err := json.Marshal(reflector.ReflectFromType(t))
	out := node{}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil && s.err == nil {
		s.err = err
	}
	delete(out, "$schema")
	return out
}

// mapped refers to the registry's types, and lets a struct inside be written
// short.
func (s *schemer) mapped(inner reflect.Type) *jsonschema.Schema {
	if name, ok := defs[inner]; ok {
		return &jsonschema.Schema{Ref: "#/$defs/" + name}
	}
	if inner.Kind() == reflect.Struct && reflect.PointerTo(inner).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		return &jsonschema.Schema{Type: "string"} // a plain value, which the type reads itself
	}
	if inner.Kind() != reflect.Struct || short(inner) == "" {
		return nil
	}
	text, err := json.Marshal(s.either(inner))
	out := new(jsonschema.Schema)
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil && s.err == nil {
		s.err = err
	}
	return out
}

// either is a mapping, or the value of the short field alone.
func (s *schemer) either(t reflect.Type) node {
	object := s.object(t)
	name := short(t)
	if name == "" || len(required(object)) > 1 {
		return object
	}
	return node{"anyOf": []any{properties(object)[name], object}}
}

func short(t reflect.Type) string {
	for _, f := range strict.Fields(t) {
		if f.Short {
			return f.Key
		}
	}
	return ""
}

func properties(object node) node {
	p, ok := object["properties"].(node)
	if !ok {
		p = node{}
		object["properties"] = p
	}
	return p
}

func required(object node) []any {
	list, _ := object["required"].([]any)
	return list
}

// typed lists the ways to name one of the registry's types by a key: its options
// under the key or, where beside is true, the short value with the others beside.
func (s *schemer) typed(name string, d Definition, common node, beside bool) []any {
	if d.Options == nil {
		return nil
	}
	t := reflect.TypeOf(d.Options()).Elem()
	if t.Kind() != reflect.Struct {
		return []any{closed(common, node{name: true}, name)}
	}
	if !beside {
		options := s.either(t)
		options["description"] = d.Summary
		return []any{closed(common, node{name: options}, name)}
	}
	object := s.object(t)
	object["description"] = d.Summary
	ways := []any{closed(common, node{name: object}, name)}
	key := short(t)
	if key == "" {
		return ways
	}
	flat := node{}
	for k, v := range properties(object) {
		flat[k] = v
	}
	value := flat[key]
	delete(flat, key)
	flat[name] = value
	needs := []any{name}
	for _, r := range required(object) {
		if r != key {
			needs = append(needs, r)
		}
	}
	way := closed(common, flat)
	way["required"] = needs
	return append(ways, way)
}

// closed is a mapping with exactly these properties.
func closed(common, own node, required ...string) node {
	all := node{}
	for k, v := range common {
		all[k] = v
	}
	for k, v := range own {
		all[k] = v
	}
	out := node{"type": "object", "properties": all, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func ref(name string) node { return node{"$ref": "#/$defs/" + name} }

func (s *schemer) condition() node {
	list := node{"type": "array", "items": ref("condition"), "minItems": 1}
	ways := []any{
		closed(nil, node{"any": list}, "any"),
		closed(nil, node{"all": list}, "all"),
		closed(nil, node{"not": ref("condition")}, "not"),
	}
	for _, name := range keys(s.registry.Predicates) {
		ways = append(ways, s.typed(name, s.registry.Predicates[name].Definition, nil, true)...)
	}
	return node{"description": "A condition: any, all, not, or one predicate", "anyOf": ways}
}

func (s *schemer) setting() node {
	common := properties(s.object(reflect.TypeFor[Setting]()))
	var ways []any
	for _, name := range keys(s.registry.Sources) {
		ways = append(ways, s.typed(name, s.registry.Sources[name].Definition, common, true)...)
	}
	return node{"description": "A value read from the system's own configuration", "anyOf": ways}
}

func (s *schemer) step() node {
	common := properties(s.object(reflect.TypeFor[Step]()))
	common["done"], common["drill"] = ref("condition"), ref("step")
	var ways []any
	for _, name := range keys(s.registry.Steps) {
		ways = append(ways, s.typed(name, s.registry.Steps[name], common, false)...)
	}
	return node{"description": "One step of the recovery", "anyOf": ways}
}

func (s *schemer) component() node {
	common := s.object(reflect.TypeFor[Component]())
	var ways []any
	for _, name := range keys(s.registry.Kinds) {
		d := s.registry.Kinds[name]
		options := node{}
		if t := reflect.TypeOf(d.Options()).Elem(); t.Kind() == reflect.Struct {
			options = s.object(t)
		}
		way := closed(properties(common), properties(options))
		properties(way)["kind"] = node{"const": name, "description": d.Summary}
		way["required"] = slices.Concat(required(common), required(options))
		ways = append(ways, way)
	}
	return node{"description": "A part of the system, captured and restored as a unit", "anyOf": ways}
}

func (s *schemer) upgrade() node {
	if s.registry.Upgrade.Options == nil {
		return node{"type": "object"}
	}
	out := s.object(reflect.TypeOf(s.registry.Upgrade.Options()))
	out["description"] = s.registry.Upgrade.Summary
	return out
}

func (s *schemer) command() node {
	list := node{"type": "array", "items": node{"type": "string"}, "minItems": 1}
	line := node{"anyOf": []any{node{"type": "string"}, list}}
	return node{
		"description": "A program call: a line without quotes, or a list of arguments",
		"anyOf": []any{
			node{"type": "string"},
			list,
			closed(nil, node{"run": line, "when": node{"type": "string"}}, "run"),
		},
	}
}

// loosen lets numbers and true or false stand where text is wanted, as the
// loader does: a port, a mode, a version.
func loosen(value any) any {
	switch v := value.(type) {
	case node:
		out := node{}
		for k, inner := range v {
			out[k] = loosen(inner)
		}
		if v["type"] == "string" && v["enum"] == nil {
			out["type"] = []string{"string", "number", "boolean"}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = loosen(v[i])
		}
		return out
	}
	return value
}
