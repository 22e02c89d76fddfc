package document

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// valuesJSON writes a list as opsi keeps lists in a column: JSON as Python writes
// it, with ", " and ": " between parts and nothing beyond ASCII, so that rows are
// equal to those of the lost server.
func valuesJSON(v any) (string, error) {
	if v == nil {
		return "[]", nil // opsiconfd cannot read NULL here
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var b strings.Builder
	if err := writeJSON(&b, list); err != nil {
		return "", err
	}
	if b.Len() >= 1<<16 {
		return "", errUnfit
	}
	return b.String(), nil
}

func writeJSON(b *strings.Builder, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64, uint64:
		fmt.Fprint(b, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errUnfit
		}
		b.WriteString(pythonFloat(v))
	case string:
		writeText(b, v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := writeJSON(b, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case map[string]any:
		return writeMap(b, v)
	default:
		return errUnfit
	}
	return nil
}

func writeMap(b *strings.Builder, m map[string]any) error {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		writeText(b, name)
		b.WriteString(": ")
		if err := writeJSON(b, m[name]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func writeText(b *strings.Builder, s string) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case short[r] != "":
			b.WriteString(short[r])
		case r >= 0x20 && r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
}

// pythonFloat writes a number as Python does: 1.0 and not 1, 1e+16 and 1e-05.
func pythonFloat(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
