package strict

import (
	"reflect"
	"strings"
)

// Field is one key that a struct takes.
type Field struct {
	Key      string
	Index    []int // for reflect.Value.FieldByIndex
	Type     reflect.Type
	Short    bool     // takes the whole value when it is not a mapping
	Required bool     // jsonschema:"required"
	Enum     []string // jsonschema:"enum=…,enum=…"
	Tag      reflect.StructTag
}

// Fields lists the keys of a struct type from its tags: yaml:"key", with
// yaml:",inline" for embedded structs and yaml:"-" for what is no key;
// short:"true" marks the field that a plain value stands for; required and enum
// of the jsonschema tag are enforced, so that the JSON Schema and the reader
// cannot disagree.
func Fields(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Anonymous && f.Type.Kind() == reflect.Struct && (flags == "inline" || name == "") {
			for _, inner := range Fields(f.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				fields = append(fields, inner)
			}
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		field := Field{Key: name, Index: []int{i}, Type: f.Type, Short: f.Tag.Get("short") == "true", Tag: f.Tag}
		for word := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			if word == "required" {
				field.Required = true
			}
			if v, ok := strings.CutPrefix(word, "enum="); ok {
				field.Enum = append(field.Enum, v)
			}
		}
		fields = append(fields, field)
	}
	return fields
}
