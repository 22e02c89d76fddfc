package strict

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Validator is implemented by values that check what tags cannot say. Validate is
// called once their keys were read without a problem. Several errors may be
// joined.
type Validator interface{ Validate() error }

// Decode reads a node into the value that a pointer points to. Numbers and true
// or false are taken literally where text is wanted, so that 0640 and 1.10 stay
// what was written.
func (d *Document) Decode(node *yaml.Node, into any) {
	before := d.Count()
	d.value(node, reflect.ValueOf(into).Elem(), "")
	if d.Count() == before {
		d.validate(node, into)
	}
}

// Fill reads the keys of one mapping into several structs: each takes the keys it
// knows, and a key that none knows is a problem. Handlers of the structs' own
// types are not asked, so a handler may call it.
func (d *Document) Fill(node *yaml.Node, structs ...any) {
	before := d.Count()
	values := make([]reflect.Value, len(structs))
	for i, v := range structs {
		values[i] = reflect.ValueOf(v).Elem()
	}
	d.mapping(node, values)
	if d.Count() == before {
		for _, v := range structs {
			d.validate(node, v)
		}
	}
}

func (d *Document) validate(node *yaml.Node, v any) {
	validator, ok := v.(Validator)
	if !ok {
		return
	}
	err := validator.Validate()
	if err == nil {
		return
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			d.Problem(node, "%v", e)
		}
		return
	}
	d.Problem(node, "%v", err)
}

var durationType = reflect.TypeFor[time.Duration]()

// value decodes one node; key names it in messages.
func (d *Document) value(node *yaml.Node, v reflect.Value, key string) {
	if handle, ok := d.handlers[v.Type()]; ok {
		handle(node, v)
		return
	}
	// A type's own way of reading is asked for plain values and lists; a mapping
	// is read by the fields' tags, so that its keys are checked.
	if v.CanAddr() && (node.Kind != yaml.MappingNode || v.Kind() != reflect.Struct) {
		if own, ok := v.Addr().Interface().(yaml.Unmarshaler); ok {
			if err := own.UnmarshalYAML(node); err != nil {
				d.Problem(node, "%s%v", prefix(key), err)
			}
			return
		}
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.value(node, v.Elem(), key)
		return
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		d.Problem(node, "%shas no value; give it one or remove it", prefix(key))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(node, v, key)
	case reflect.Slice:
		d.list(node, v, key)
	case reflect.Map:
		d.dictionary(node, v, key)
	case reflect.Interface:
		var free any
		if err := node.Load(&free); err != nil {
			d.Problem(node, "%s%v", prefix(key), err)
			return
		}
		v.Set(reflect.ValueOf(free))
	default:
		d.scalar(node, v, key)
	}
}

func prefix(key string) string {
	if key == "" {
		return ""
	}
	return key + ": "
}

// structure decodes a mapping into a struct, or a plain value into its short
// field.
func (d *Document) structure(node *yaml.Node, v reflect.Value, key string) {
	if node.Kind != yaml.MappingNode {
		for _, f := range Fields(v.Type()) {
			if f.Short {
				d.value(node, v.FieldByIndex(f.Index), key)
				d.choice(node, f, v)
				return
			}
		}
	}
	d.mapping(node, []reflect.Value{v})
}

func (d *Document) mapping(node *yaml.Node, structs []reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.Problem(node, "must be a mapping (key: value), not %s", describe(node))
		return
	}
	type slot struct {
		Field
		in reflect.Value
	}
	slots := map[string]slot{}
	var keys []string
	for _, s := range structs {
		for _, f := range Fields(s.Type()) {
			if _, taken := slots[f.Key]; !taken {
				slots[f.Key] = slot{f, s}
				keys = append(keys, f.Key)
			}
		}
	}
	given := map[string]bool{}
	for _, e := range d.Entries(node) {
		s, ok := slots[e.Key]
		if !ok {
			d.Problem(e.Name, "unknown key %s%s", e.Key, Suggest(e.Key, keys))
			continue
		}
		given[e.Key] = true
		d.value(e.Value, s.in.FieldByIndex(s.Index), e.Key)
		d.choice(e.Value, s.Field, s.in)
	}
	for _, key := range keys {
		if slots[key].Required && !given[key] {
			d.Problem(node, "%s is missing", key)
		}
	}
}

// choice checks a field against its enum.
func (d *Document) choice(node *yaml.Node, f Field, in reflect.Value) {
	v := in.FieldByIndex(f.Index)
	if len(f.Enum) == 0 || v.Kind() != reflect.String || node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return
	}
	if !slices.Contains(f.Enum, v.String()) {
		near := Nearest(v.String(), f.Enum)
		if near != "" {
			near = "; did you mean " + near + "?"
		}
		d.Problem(node, "%s: %q is none of %s%s", f.Key, v.String(), strings.Join(f.Enum, ", "), near)
	}
}

func (d *Document) list(node *yaml.Node, v reflect.Value, key string) {
	if node.Kind != yaml.SequenceNode {
		d.Problem(node, "%smust be a list, like [%s], not %s", prefix(key), example(node), describe(node))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, child := range node.Content {
		d.value(child, out.Index(i), key)
	}
	v.Set(out)
}

func (d *Document) dictionary(node *yaml.Node, v reflect.Value, key string) {
	if node.Kind != yaml.MappingNode {
		d.Problem(node, "%smust be a mapping (key: value), not %s", prefix(key), describe(node))
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, e := range d.Entries(node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(e.Value, element, e.Key)
		out.SetMapIndex(reflect.ValueOf(e.Key).Convert(v.Type().Key()), element)
	}
	v.Set(out)
}

func (d *Document) scalar(node *yaml.Node, v reflect.Value, key string) {
	if node.Kind != yaml.ScalarNode {
		d.Problem(node, "%smust be a single value, not %s", prefix(key), describe(node))
		return
	}
	text := node.Value
	if v.Type() == durationType {
		span, err := ParseDuration(text)
		if err != nil {
			d.Problem(node, "%s%v", prefix(key), err)
			return
		}
		v.SetInt(int64(span))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		switch text {
		case "true", "false":
			v.SetBool(text == "true")
		default:
			d.Problem(node, "%s%q must be true or false", prefix(key), text)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			d.Problem(node, "%s%q must be a whole number", prefix(key), text)
			return
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			d.Problem(node, "%s%q must be a whole number, not negative", prefix(key), text)
			return
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			d.Problem(node, "%s%q must be a number", prefix(key), text)
			return
		}
		v.SetFloat(n)
	default:
		d.Problem(node, "%scannot be read into %s", prefix(key), v.Type())
	}
}

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		if node.Tag == "!!null" {
			return "nothing"
		}
		return strconv.Quote(node.Value)
	}
}

func example(node *yaml.Node) string {
	if node.Kind == yaml.ScalarNode && node.Tag != "!!null" {
		return node.Value
	}
	return "one, two"
}
