package document

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// null is NULL in SQL; automatic leaves a column to the server.
const (
	null      = "NULL"
	automatic = "DEFAULT"
)

var errUnfit = errors.New("does not fit the column")

// convert makes the SQL of a value for a column. The note says what had to be
// changed about it, or is empty. It fails when the value cannot stand there.
func (c *column) convert(v any) (sql, note string, err error) {
	if v == nil {
		return null, "", nil
	}
	switch c.kind {
	case kindInt:
		sql, err = c.integer(v)
	case kindDouble:
		sql, err = double(v)
	case kindTime:
		sql, err = moment(v)
	default:
		var s string
		if s, err = plainText(v); err == nil {
			s, note = c.fit(s)
			sql = quote(s)
		}
	}
	return sql, note, err
}

// plainText: opsi's values of lists arrive as truth values and numbers too, and the
// database holds them as the server writes them into a text: 1, 0, digits.
func plainText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float64:
		return pythonFloat(v), nil
	}
	return "", errUnfit
}

// fit makes a text that the column takes whole. opsi's tables know no characters
// beyond the basic plane, and the server would cut the text there.
func (c *column) fit(s string) (fitted, note string) {
	if !utf8.ValidString(s) {
		s, note = strings.ToValidUTF8(s, "?"), "holds bytes that are no text; they became question marks"
	}
	if strings.IndexFunc(s, beyond) >= 0 {
		s = strings.Map(func(r rune) rune {
			if beyond(r) {
				return '?'
			}
			return r
		}, s)
		note = "holds characters that the tables of opsi cannot; they became question marks"
	}
	if c.bytes && len(s) > c.limit {
		end := c.limit
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		return s[:end], fmt.Sprintf("is longer than the column; it was cut to %d bytes", c.limit)
	}
	if !c.bytes && len(s) > c.limit && utf8.RuneCountInString(s) > c.limit {
		return string([]rune(s)[:c.limit]), fmt.Sprintf("is longer than the column; it was cut to %d characters", c.limit)
	}
	return s, note
}

func beyond(r rune) bool { return r > 0xffff }

func (c *column) integer(v any) (string, error) {
	var i int64
	switch v := v.(type) {
	case bool:
		if v {
			i = 1
		}
	case int64:
		i = v
	case uint64:
		if v > math.MaxInt64 {
			return "", errUnfit
		}
		i = int64(v)
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return "", errUnfit
		}
		i = int64(v)
	case string:
		s := strings.TrimSpace(v)
		if s == "" {
			return null, nil
		}
		var err error
		if i, err = strconv.ParseInt(s, 10, 64); err != nil {
			return "", errUnfit
		}
	default:
		return "", errUnfit
	}
	if span := int64(1) << (c.limit - 1); c.limit < 64 && (i < -span || i >= span) {
		return "", errUnfit
	}
	return strconv.FormatInt(i, 10), nil
}

func double(v any) (string, error) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", errUnfit
		}
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			return "", errUnfit
		}
		return double(f)
	}
	return "", errUnfit
}

// moments are the ways in which opsi writes a time.
var moments = []string{time.DateTime, "2006-01-02T15:04:05", time.DateOnly, "20060102150405"}

// earliest and latest are the ends of a TIMESTAMP.
var earliest, latest = time.Unix(1, 0), time.Unix(1<<31-1, 0)

// moment reads a local time of the lost server, which says no zone: it is taken to
// be this machine's. "0000-00-00 00:00:00" and an empty text are opsi's words for
// never.
func moment(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errUnfit
	}
	s = strings.TrimSpace(s)
	if s == "" || strings.HasPrefix(s, "0000-00-00") {
		return null, nil
	}
	for _, layout := range moments {
		t, err := time.ParseInLocation(layout, s, time.Local)
		if err == nil && !t.Before(earliest) && !t.After(latest) {
			return timestamp(t), nil
		}
	}
	return "", errUnfit
}

// timestamp is a time as the dump has it, in UTC.
func timestamp(t time.Time) string { return quote(t.UTC().Format(time.DateTime)) }

// quote makes a SQL text for a server that takes the backslash as escape.
func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('\'')
	for i := range len(s) {
		switch c := s[i]; c {
		case 0:
			b.WriteString(`\0`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case 0x1a:
			b.WriteString(`\Z`)
		case '\'', '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
