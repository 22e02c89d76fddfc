package path

import (
	"strings"
	"testing"
)

func TestParseEdition(t *testing.T) {
	for text, want := range map[string]string{
		"12": "12", "12 GA": "12", "12-GA": "12", "12 SP1": "12 SP1", "12-SP1": "12 SP1", "12.1": "12 SP1", "12sp1": "12 SP1",
		" 11 sp 4 ": "11 SP4", "15.0": "15", "10": "10",
	} {
		r, err := ParseEdition(text)
		if err != nil || r.Edition() != want {
			t.Errorf("%q: %q, %v", text, r.Edition(), err)
		}
	}
	for _, text := range []string{"", "SP1", "x", "12 SP", "12 SP1 SP2", "-1", "0", "12.1.1", "12 SP100", "99999", strings.Repeat("1", 1000), "12\nSP1"} {
		if r, err := ParseEdition(text); err == nil {
			t.Errorf("%q is %v", text, r)
		}
	}
}

// What was read is written so that it reads the same.
func FuzzParseEdition(f *testing.F) {
	for _, text := range []string{"12", "11 SP3", "12.1", "15-sp6", "11 GA", "00", "1.00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseEdition(text)
		if err != nil {
			return
		}
		again, err := ParseEdition(r.Edition())
		if err != nil || again != r {
			t.Errorf("%q: %+v, then %+v, %v", text, r, again, err)
		}
	})
}
