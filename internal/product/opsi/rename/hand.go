package rename

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// hand collects what may mean the old server and is not changed, since only a
// person can tell: its id in a path or written with escapes, its short name alone.
type hand struct {
	names         Names
	ids, shorts   []string // the first places
	nIDs, nShorts int
}

// maxPlaces bounds the places that are told of one sort.
const maxPlaces = 10

// look notes a place whose text, which Rewrite has gone over, still has a name.
func (h *hand) look(place, text string) {
	plain := unescaped(text)
	note := func(list *[]string, n *int) {
		if *n++; *n <= maxPlaces {
			*list = append(*list, place)
		}
	}
	if stands(plain, h.names.Old, false) {
		note(&h.ids, &h.nIDs)
	} else if old := short(h.names.Old); old != short(h.names.New) && stands(plain, old, true) {
		note(&h.shorts, &h.nShorts)
	}
}

// lines tell it, for people.
func (h *hand) lines() []string {
	var all []string
	add := func(what string, places []string, n int) {
		if n == 0 {
			return
		}
		text := fmt.Sprintf("%s: %s", what, strings.Join(places, ", "))
		if n > len(places) {
			text += fmt.Sprintf(" and %d more places", n-len(places))
		}
		all = append(all, text)
	}
	add(h.names.Old+" in a path, or written with escapes", h.ids, h.nIDs)
	add(fmt.Sprintf("“%s” alone, which may be the server's short name", short(h.names.Old)), h.shorts, h.nShorts)
	return all
}

// stands tells whether a name is in a text as a whole, outside of paths if asked for.
func stands(text, name string, outside bool) bool {
	lower := strings.ToLower(text)
	if len(lower) != len(text) {
		lower = text
	}
	for at := 0; at < len(lower); {
		i := strings.Index(lower[at:], name)
		if i < 0 {
			return false
		}
		i += at
		at = i + len(name)
		inPath := i > 0 && isSlash(text[i-1]) || at < len(text) && isSlash(text[at])
		if whole(text, i, at) && !(outside && inPath) {
			return true
		}
	}
	return false
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

// unescaped resolves what JSON and URLs may write in place of a character: \/,
// \u006f, %6f. Other escapes stay.
func unescaped(text string) string {
	if !strings.ContainsAny(text, `\%`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		n, r := escape(text[i:])
		if n == 0 {
			b.WriteByte(text[i])
			i++
			continue
		}
		if r == utf8.RuneError {
			b.WriteString(text[i : i+n])
		} else {
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// escape reads one at the beginning of a text: its length, 0 for none, and what it
// stands for, RuneError for what stays.
func escape(text string) (int, rune) {
	digits := func(from, to int) (int, rune) {
		if len(text) < to {
			return 0, 0
		}
		v, err := strconv.ParseUint(text[from:to], 16, 16)
		if err != nil || from == 1 && v >= utf8.RuneSelf {
			return 0, 0
		}
		return to, rune(v)
	}
	switch {
	case text[0] == '%':
		return digits(1, 3)
	case text[0] != '\\' || len(text) < 2:
		return 0, 0
	case text[1] == '/':
		return 2, '/'
	case text[1] == 'u':
		return digits(2, 6)
	}
	return 2, utf8.RuneError
}
