package backend

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Conf is one file of /etc/opsi/backends. What opsi does with such a file: run it
// as Python, then take the names module and config.
type Conf struct {
	// Name is how dispatch.conf calls it: the lower-case part of the file's
	// name before the first dot.
	Name   string
	File   string // name of the file
	Module string // File, MySQL, DHCPD …
	Config map[string]any
	// Err says why the file could not be read. opsi itself goes on without
	// such a backend.
	Err error
}

// parseConf reads a file. Values are string, int64, float64, bool, nil, []any,
// map[string]any and Opaque.
func parseConf(text []byte) (module string, config map[string]any, err error) {
	switch {
	case len(text) > maxConf:
		return "", nil, fmt.Errorf("is larger than %d bytes", maxConf)
	case !utf8.Valid(text):
		return "", nil, fmt.Errorf("is not UTF-8")
	}
	r := &reader{text: strings.TrimPrefix(string(text), "\ufeff"), names: map[string]any{}}
	if err := r.statements(); err != nil {
		return "", nil, err
	}
	module, ok := r.names["module"].(string)
	if !ok || module == "" {
		return "", nil, fmt.Errorf("gives no text to the name module")
	}
	switch c := r.names["config"].(type) {
	case map[string]any:
		return module, c, nil
	case nil:
		return module, map[string]any{}, nil
	}
	return "", nil, fmt.Errorf("gives no dictionary to the name config")
}

// statements reads a whole file: assignments, imports and texts that stand alone.
func (r *reader) statements() error {
	for {
		lineStart := r.at == 0 || r.text[r.at-1] == '\n'
		before := r.at
		switch c := r.peek(); {
		case c == 0:
			return nil
		case c == '\n' || c == ';':
			r.at++
			continue
		case lineStart && r.at > before && r.text[before] != '#' && r.text[before] != '\\':
			return r.fail("%w", errProgram) // an indented line belongs to something before it
		}
		if err := r.statement(); err != nil {
			return err
		}
		if c := r.peek(); c != 0 && c != '\n' && c != ';' {
			return r.fail("%w", errProgram)
		}
	}
}

func (r *reader) statement() error {
	before := r.at
	name := r.word()
	switch name {
	case "import", "from":
		for r.at < len(r.text) && !strings.ContainsRune("\n;#", rune(r.text[r.at])) {
			r.at++
		}
		return nil
	case "pass":
		return nil
	case "if", "for", "while", "def", "class", "try", "with", "del", "global", "assert", "raise", "return":
		return r.fail("%w", errProgram)
	}
	if name != "" && r.peek() == '=' && !strings.HasPrefix(r.text[r.at:], "==") {
		r.at++
		v, err := r.assigned()
		r.names[name] = v
		return err
	}
	if dict, ok := r.names[name].(map[string]any); ok && r.peek() == '[' {
		at := r.at
		key, err := r.list()
		if err != nil {
			return err
		}
		if r.peek() == '=' && len(key) == 1 {
			r.at++
			v, err := r.assigned()
			switch v.(type) {
			case map[string]any, []any:
				v = Opaque{r.line()} // it might hold the dictionary itself
			}
			if text, ok := key[0].(string); ok {
				dict[text] = v
			}
			return err
		}
		r.at = at
	}
	r.at = before
	_, err := r.joined() // a text or a call that stands alone changes no name
	return err
}

// assigned reads the value of an assignment, outside of brackets.
func (r *reader) assigned() (any, error) {
	v, err := r.joined()
	if err == nil && r.peek() == ',' {
		return nil, r.fail("a list without brackets is not understood")
	}
	if err == nil && r.peek() == '=' {
		return nil, r.fail("%w", errProgram)
	}
	return v, err
}
