package backend

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// texts reads string literals; those that follow each other are one. The prefix
// of the first was read already.
func (r *reader) texts(prefix string) (any, error) {
	var all strings.Builder
	opaque := false
	for {
		text, known, err := r.text1(prefix)
		if err != nil {
			return nil, err
		}
		opaque = opaque || !known
		all.WriteString(text)
		before := r.at
		if c := r.peek(); c == '"' || c == '\'' {
			prefix = ""
			continue
		}
		prefix = strings.ToLower(r.word())
		if prefix == "" || len(prefix) > 2 || r.at == len(r.text) || r.text[r.at] != '"' && r.text[r.at] != '\'' {
			r.at = before
			break
		}
	}
	if opaque {
		return Opaque{r.line()}, nil
	}
	return all.String(), nil
}

// text1 reads one literal. It is not known when Python would calculate in it.
func (r *reader) text1(prefix string) (text string, known bool, err error) {
	for _, c := range prefix {
		if !strings.ContainsRune("urbf", c) {
			return "", false, r.fail("%q before a text is not understood", prefix)
		}
	}
	raw, formatted := strings.Contains(prefix, "r"), strings.Contains(prefix, "f")
	quote := r.text[r.at : r.at+1]
	if strings.HasPrefix(r.text[r.at:], quote+quote+quote) {
		quote += quote + quote
	}
	r.at += len(quote)
	var out strings.Builder
	for {
		rest := r.text[r.at:]
		switch {
		case rest == "" || len(quote) == 1 && rest[0] == '\n':
			return "", false, r.fail("a text is not closed")
		case strings.HasPrefix(rest, quote):
			r.at += len(quote)
			return out.String(), !formatted || !strings.ContainsAny(out.String(), "{}"), nil
		case rest[0] != '\\':
			out.WriteByte(rest[0])
			r.at++
		case len(rest) == 1:
			return "", false, r.fail("a text is not closed")
		case raw:
			out.WriteString(rest[:2])
			r.at += 2
		default:
			if err := r.escape(&out); err != nil {
				return "", false, err
			}
		}
	}
}

// simple are the escapes of one letter.
var simple = map[byte]string{
	'\n': "", '\\': `\`, '\'': `'`, '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// escape reads what a backslash begins. An unknown escape stays as it is written.
func (r *reader) escape(out *strings.Builder) error {
	c := r.text[r.at+1]
	if c == '\r' && strings.HasPrefix(r.text[r.at:], "\\\r\n") {
		r.at += 3
		return nil
	}
	if text, ok := simple[c]; ok {
		out.WriteString(text)
		r.at += 2
		return nil
	}
	digits, base := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c], 16
	start := r.at + 2
	switch {
	case c >= '0' && c <= '7':
		start, base = r.at+1, 8
		for digits < 3 && start+digits < len(r.text) && r.text[start+digits] >= '0' && r.text[start+digits] <= '7' {
			digits++
		}
	case c == 'N':
		return r.fail(`a character by its name, \N{…}, is not understood; write the character itself`)
	case digits == 0:
		out.WriteByte('\\')
		r.at++
		return nil
	}
	if start+digits > len(r.text) {
		return r.fail("a text is not closed")
	}
	n, err := strconv.ParseUint(r.text[start:start+digits], base, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return r.fail("%q is no character", r.text[r.at:start+digits])
	}
	out.WriteRune(rune(n))
	r.at = start + digits
	return nil
}
