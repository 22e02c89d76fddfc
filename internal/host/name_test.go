package host

import "testing"

func TestSameName(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"smt1", "smt1.example.com", true},
		{"SMT1.example.com.", "smt1.Example.com", true},
		{"smt1.example.com", "smt1.example.org", false},
		{"smt1", "smt10", false},
		{"smt1", "smt2.example.com", false},
		{"", "smt1", false},
		{"", "", true},
	} {
		if SameName(c.a, c.b) != c.want || SameName(c.b, c.a) != c.want {
			t.Errorf("%q and %q: want %v", c.a, c.b, c.want)
		}
	}
}
