package screen

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Clean replaces control characters.
func Clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c == 0x7f || c >= 0x80 && c < 0xa0 || c < 0x20 && c != '\n' && c != '\t' {
			return '\uFFFD'
		}
		return c
	}, s)
}

// Printable leaves out what a terminal should not get from others.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// FirstLine is the first line of a text without the space around it.
func FirstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// When is a moment in local time, "-" for none.
func When(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// Count is a number of things.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
