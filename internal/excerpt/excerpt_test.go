package excerpt

import (
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "",
		"smt1 läuft":            "smt1 läuft",
		"a\nb\tc\r":             "a b c ",
		"\x1b[2Jx\x00\x7f":      "?[2Jx??",
		"\xff\xfe":              "??",
		"a\u202eb":              "a?b",
		strings.Repeat("ö", 20): strings.Repeat("ö", 20),
		strings.Repeat("ö", 21): strings.Repeat("ö", 20) + "…",
		"日本語" + "\u00a0" + "x":  "日本語 x",
	} {
		if got := Line(text, 20); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "Büro": true, "a b": true, "a\nb": false, "\x1b": false, "\xff": false, "a\u202eb": false, strings.Repeat("x", 21): false,
	} {
		if Plain(text, 20) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
