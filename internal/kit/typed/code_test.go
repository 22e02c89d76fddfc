package typed

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// A code that a console shows is typed on media that are years old.
func TestCode(t *testing.T) {
	var code Code
	for i := range code {
		code[i] = byte(i * 33)
	}
	const text = "00GMV-4RW4Z-MQ3EJ-E219K"
	if got := code.String(); got != text {
		t.Fatalf("%s", got)
	}
	for _, typed := range []string{
		text, strings.ToLower(text), strings.ReplaceAll(text, "-", ""), strings.ReplaceAll(text, "-", " "),
		" " + strings.ReplaceAll(text, "-", "\n") + "\r\n", strings.ReplaceAll(text, "1", "l"), strings.ReplaceAll(text, "1", "I"),
		"1. " + strings.ReplaceAll(text, "-", " / "),
	} {
		if got, err := ParseCode(typed); err != nil || got != code {
			t.Errorf("%q: %v, %v", typed, got, err)
		}
	}
	for range 200 {
		c := NewCode()
		if got, err := ParseCode(strings.ReplaceAll(c.String(), "0", "o")); err != nil || got != c {
			t.Fatalf("%v: %v, %v", c, got, err)
		}
	}
}

func TestCodeMistyped(t *testing.T) {
	right := NewCode().String()
	for i := range right {
		if right[i] == '-' {
			continue
		}
		for _, sign := range alphabet {
			wrong := right[:i] + string(sign) + right[i+1:]
			if wrong == right {
				continue
			}
			_, err := ParseCode(wrong)
			var e *GroupError
			if !errors.As(err, &e) || !slices.Equal(e.Wrong, []int{i/(groupSize+1) + 1}) {
				t.Fatalf("%s instead of %s: %v", wrong, right, err)
			}
			if strings.Contains(err.Error(), right[:groupSize]) {
				t.Fatalf("the error shows the code: %v", err)
			}
		}
	}
	if _, err := ParseCode(" - "); !errors.Is(err, ErrNoCode) {
		t.Error(err)
	}
	var e *GroupError
	for _, text := range []string{right[:17], right + "-AAAAA", "ß", strings.Repeat("A", 1<<16), Password([SecretSize]byte{})[:23]} {
		if _, err := ParseCode(text); !errors.As(err, &e) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
}
