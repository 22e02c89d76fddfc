// Package excerpt makes what others have sent fit to be shown: in messages, logs and
// on terminals, which obey control characters. Escaping for a format (shells, pages,
// SQL) is a matter of those who write it and must not enter.
package excerpt

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line gives text as one line of at most so many characters, and "…" if it is longer.
// White space becomes a blank; what is no UTF-8, does not print or turns the direction
// of writing becomes a question mark.
func Line(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Plain tells whether text is one line of UTF-8, of at most so many bytes, that is shown
// as it stands. Characters that turn the direction of writing are refused.
func Plain(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
