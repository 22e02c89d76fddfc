package backend

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Opaque stands for a value that only a running Python could tell: the result
// of a call, or of a name that the file does not define.
type Opaque struct {
	Line int // where it stands
}

const (
	maxConf  = 1 << 16 // bytes of a file
	maxDepth = 64      // brackets within brackets
)

// errProgram says that a file does more than giving names to values.
var errProgram = errors.New("is a program and no list of values; write the value itself")

// reader reads the part of Python that backend files are written in: names given
// to literals. https://docs.python.org/3/reference/lexical_analysis.html
type reader struct {
	text  string
	at    int
	depth int
	names map[string]any
}

func (r *reader) line() int { return 1 + strings.Count(r.text[:min(r.at, len(r.text))], "\n") }

func (r *reader) fail(format string, args ...any) error {
	return fmt.Errorf("line %d: %w", r.line(), fmt.Errorf(format, args...))
}

// space skips blanks and comments; inside brackets ends of lines too.
func (r *reader) space() {
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\f':
			r.at++
		case c == '\n' && r.depth > 0:
			r.at++
		case c == '\\' && strings.HasPrefix(r.text[r.at:], "\\\n"):
			r.at += 2
		case c == '\\' && strings.HasPrefix(r.text[r.at:], "\\\r\n"):
			r.at += 3
		case c == '#':
			for r.at < len(r.text) && r.text[r.at] != '\n' {
				r.at++
			}
		default:
			return
		}
	}
}

// peek is the next byte after blanks, 0 at the end.
func (r *reader) peek() byte {
	r.space()
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

// word reads a name; "" when there is none.
func (r *reader) word() string {
	r.space()
	start := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
		if !letter && (r.at == start || c < '0' || c > '9') {
			break
		}
		r.at++
	}
	return r.text[start:r.at]
}

// operators are the signs and words that join two values.
var operators = []string{"**", "//", "<<", ">>", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "|", "&", "^", "<", ">"}

var operatorWords = map[string]bool{"and": true, "or": true, "in": true, "is": true, "if": true, "else": true, "not": true}

// value reads an expression.
func (r *reader) value() (any, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, r.fail("brackets are nested too deeply")
	}
	defer func() { r.depth-- }()
	return r.joined()
}

// joined reads values with operators between them. Only texts added to each other
// have a value; nothing else is calculated.
func (r *reader) joined() (any, error) {
	left, err := r.single()
	if err != nil {
		return nil, err
	}
	for {
		sign := r.operator()
		if sign == "" {
			return left, nil
		}
		if sign == "not" { // not in
			continue
		}
		right, err := r.single()
		if err != nil {
			return nil, err
		}
		a, ok1 := left.(string)
		b, ok2 := right.(string)
		if sign == "+" && ok1 && ok2 && len(a)+len(b) <= maxConf {
			left = a + b
		} else {
			left = Opaque{r.line()}
		}
	}
}

func (r *reader) operator() string {
	r.space()
	for _, sign := range operators {
		if strings.HasPrefix(r.text[r.at:], sign) {
			r.at += len(sign)
			return sign
		}
	}
	before := r.at
	if word := r.word(); operatorWords[word] {
		return word
	}
	r.at = before
	return ""
}

// single reads one value with what is called on it.
func (r *reader) single() (any, error) {
	line := 0
	sign := byte(0)
	for c := r.peek(); c == '-' || c == '+' || c == '~'; c = r.peek() {
		sign = c
		r.at++
	}
	v, err := r.atom()
	if err != nil {
		return nil, err
	}
	line = r.line()
	switch n := v.(type) {
	case int64:
		if sign == '-' {
			v = -n
		}
	case float64:
		if sign == '-' {
			v = -n
		}
	default:
		if sign != 0 {
			v = Opaque{line}
		}
	}
	for {
		switch r.peek() {
		case '.':
			r.at++
			if r.word() == "" {
				return nil, r.fail("a name is missing after the dot")
			}
		case '(', '[':
			if _, err := r.list(); err != nil {
				return nil, err
			}
		default:
			return v, nil
		}
		v = Opaque{line}
	}
}

func (r *reader) atom() (any, error) {
	switch c := r.peek(); {
	case c == 0 || c == '\n':
		return nil, r.fail("a value is missing")
	case c == '{':
		return r.dict()
	case c == '[':
		return r.list()
	case c == '(':
		list, err := r.list()
		if len(list) == 1 {
			return list[0], err // brackets around one value; a tuple of one is not told apart
		}
		return list, err
	case c == '"' || c == '\'':
		return r.texts("")
	case c >= '0' && c <= '9' || c == '.':
		return r.number()
	}
	name := r.word()
	if name == "" {
		return nil, r.fail("%q is not understood", r.text[r.at:min(r.at+1, len(r.text))])
	}
	if r.at < len(r.text) && (r.text[r.at] == '"' || r.text[r.at] == '\'') && len(name) <= 2 {
		return r.texts(strings.ToLower(name))
	}
	switch name {
	case "True":
		return true, nil
	case "False":
		return false, nil
	case "None":
		return nil, nil
	case "not", "await":
		if r.depth++; r.depth > maxDepth {
			return nil, r.fail("brackets are nested too deeply")
		}
		defer func() { r.depth-- }()
		if _, err := r.single(); err != nil {
			return nil, err
		}
		return Opaque{r.line()}, nil
	case "lambda", "yield":
		return nil, r.fail("%w", errProgram)
	}
	if v, ok := r.names[name]; ok {
		return v, nil
	}
	return Opaque{r.line()}, nil
}

// list reads what stands between brackets, named arguments of a call included.
func (r *reader) list() ([]any, error) {
	end := byte(']')
	if r.peek() == '(' {
		end = ')'
	}
	r.at++
	r.depth++
	defer func() { r.depth-- }()
	list := []any{}
	for {
		if r.peek() == end {
			r.at++
			return list, nil
		}
		for c := r.peek(); c == '*'; c = r.peek() {
			r.at++
		}
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		switch c := r.peek(); c {
		case '=', ':': // a named argument; a slice
			r.at++
			if v, err = r.value(); err != nil {
				return nil, err
			}
		case 'f':
			return nil, r.fail("%w", errProgram) // a comprehension
		}
		list = append(list, v)
		switch c := r.peek(); c {
		case ',':
			r.at++
		case end:
		default:
			return nil, r.fail("a bracket is not closed")
		}
	}
}

func (r *reader) dict() (any, error) {
	r.at++
	r.depth++
	defer func() { r.depth-- }()
	dict := map[string]any{}
	for {
		if r.peek() == '}' {
			r.at++
			return dict, nil
		}
		key, err := r.value()
		if err != nil {
			return nil, err
		}
		if r.peek() != ':' {
			return nil, r.fail("a key without a value")
		}
		r.at++
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		if name, ok := key.(string); ok {
			dict[name] = v
		}
		switch r.peek() {
		case ',':
			r.at++
		case '}':
		default:
			return nil, r.fail("a brace is not closed")
		}
	}
}

func (r *reader) number() (any, error) {
	start := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		exponent := (c == '-' || c == '+') && (r.text[r.at-1] == 'e' || r.text[r.at-1] == 'E') && r.at > start
		if c != '.' && c != '_' && !exponent && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		r.at++
	}
	text := r.text[start:r.at]
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return f, nil
	}
	return nil, r.fail("%q is no number", text)
}
