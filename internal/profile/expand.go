package profile

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/strict"
)

var settingName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// ErrNoSetting says that a text uses a setting that has no value.
var ErrNoSetting = errors.New("setting has no value")

// Expand replaces each ${name} by that setting's value. A $ without a brace stays
// what it is, so names such as $RCE and $releasever need no care; $${ writes a
// literal ${.
func Expand(text string, settings map[string]string) (string, error) {
	return expand(text, func(name string) (string, error) {
		value, ok := settings[name]
		if !ok {
			return "", fmt.Errorf("${%s}: %w", name, ErrNoSetting)
		}
		return value, nil
	})
}

func expand(text string, lookup func(name string) (string, error)) (string, error) {
	var out strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if at > 0 && text[at-1] == '$' {
			out.WriteString(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		out.WriteString(text[:at])
		name, rest, closed := strings.Cut(text[at+2:], "}")
		if !closed {
			return "", fmt.Errorf("%q has no closing brace; write $${ for a literal ${", text[at:])
		}
		if !settingName.MatchString(name) {
			return "", fmt.Errorf("${%s} is no setting name; write $${ for a literal ${", name)
		}
		value, err := lookup(name)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = rest
	}
}

// Uses lists the settings that a text uses, in its order.
func uses(text string) ([]string, error) {
	var names []string
	_, err := expand(text, func(name string) (string, error) {
		names = append(names, name)
		return "", nil
	})
	return names, err
}

// ExpandOptions returns a copy of an options value in which every text, however
// deep in structs, lists and maps, has had its ${settings} replaced. Conditions,
// steps and settings inside are left alone: they are expanded when they are
// looked at. A path that a value turned into a relative one or one with .. is
// refused, because recorded settings come from a recovery point.
func ExpandOptions(options any, settings map[string]string) (any, error) {
	if options == nil {
		return nil, nil
	}
	v := reflect.ValueOf(options)
	out := reflect.New(v.Type()).Elem()
	if err := expandValue(v, out, settings, role{}); err != nil {
		return nil, err
	}
	return out.Interface(), nil
}

var lazy = []reflect.Type{
	reflect.TypeFor[Condition](), reflect.TypeFor[Setting](), reflect.TypeFor[Step](), reflect.TypeFor[Component](),
}

// role is what a text with settings stands for.
type role struct {
	path    bool // one absolute path of the machine
	pattern bool // tag pattern:"true": a path pattern, in which settings are literal
}

// literally takes the meaning of pattern characters away from a setting's value:
// a directory may be called [1].
var literally = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`)

func expandValue(in, out reflect.Value, settings map[string]string, as role) error {
	if slices.Contains(lazy, in.Type()) {
		out.Set(in)
		return nil
	}
	switch in.Kind() {
	case reflect.String:
		text, err := expand(in.String(), func(name string) (string, error) {
			value, ok := settings[name]
			if !ok {
				return "", fmt.Errorf("${%s}: %w", name, ErrNoSetting)
			}
			if as.pattern {
				value = literally.Replace(value)
			}
			return value, nil
		})
		if err != nil {
			return err
		}
		if as.path {
			if err := checkPath(text); err != nil {
				return err
			}
		}
		out.SetString(text)
	case reflect.Pointer:
		if in.IsNil() {
			return nil
		}
		out.Set(reflect.New(in.Type().Elem()))
		return expandValue(in.Elem(), out.Elem(), settings, as)
	case reflect.Interface:
		if in.IsNil() {
			return nil
		}
		inner := reflect.New(in.Elem().Type()).Elem()
		if err := expandValue(in.Elem(), inner, settings, as); err != nil {
			return err
		}
		out.Set(inner)
	case reflect.Struct:
		out.Set(in)
		for _, f := range strict.Fields(in.Type()) {
			if err := expandValue(in.FieldByIndex(f.Index), out.FieldByIndex(f.Index), settings, role{path: isPath(f), pattern: f.Tag.Get("pattern") == "true"}); err != nil {
				return fmt.Errorf("%s: %w", f.Key, err)
			}
		}
	case reflect.Slice:
		if in.IsNil() {
			return nil
		}
		out.Set(reflect.MakeSlice(in.Type(), 0, in.Len()))
		for i := range in.Len() {
			for _, values := range lines(in.Index(i), settings, as) {
				item := reflect.New(in.Type().Elem()).Elem()
				if err := expandValue(in.Index(i), item, values, as); err != nil {
					return err
				}
				out.Set(reflect.Append(out, item))
			}
		}
	case reflect.Map:
		if in.IsNil() {
			return nil
		}
		out.Set(reflect.MakeMap(in.Type()))
		for entry := in.MapRange(); entry.Next(); {
			value := reflect.New(in.Type().Elem()).Elem()
			if err := expandValue(entry.Value(), value, settings, role{}); err != nil {
				return err
			}
			out.SetMapIndex(entry.Key(), value)
		}
	default:
		out.Set(in)
	}
	return nil
}

// lines tells with which settings an entry of a list is expanded: once with all of
// them, or, if it is a path that is one setting alone, once with each line of it. So
// a setting can name several paths.
func lines(entry reflect.Value, settings map[string]string, as role) []map[string]string {
	if entry.Kind() != reflect.String || !as.path {
		return []map[string]string{settings}
	}
	name, ok := strings.CutPrefix(entry.String(), "${")
	name, closed := strings.CutSuffix(name, "}")
	if value := settings[name]; ok && closed && strings.Contains(value, "\n") {
		var each []map[string]string
		for line := range strings.SplitSeq(value, "\n") {
			each = append(each, map[string]string{name: line})
		}
		return each
	}
	return []map[string]string{settings}
}

// pathKeys are the keys whose values are absolute paths of the machine, whoever
// defines them. A field can also say so with path:"true", or deny it with
// path:"false".
var pathKeys = map[string]bool{
	"path": true, "paths": true, "file": true, "files": true, "dir": true, "dirs": true,
	"lock": true, "log": true, "into": true, "files_equal": true, "defaults_file": true,
}

func isPath(f strict.Field) bool {
	switch f.Tag.Get("path") {
	case "true":
		return true
	case "false":
		return false
	}
	return pathKeys[f.Key]
}

// checkPath refuses what could lead anywhere but to one place of the machine. An
// empty text is an option that a setting left empty.
func checkPath(path string) error {
	if path == "" {
		return nil
	}
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("path %q is not absolute; it must start with /", path)
	}
	if slices.Contains(strings.Split(path, "/"), "..") {
		return fmt.Errorf("path %q has .. in it; write where it leads", path)
	}
	if strings.ContainsRune(path, 0) {
		return fmt.Errorf("path %q holds a NUL", path)
	}
	return nil
}
