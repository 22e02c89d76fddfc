package upgrade

import "testing"

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"file:///srv/pool", "file:/srv/pool", true},
		{"file:/srv/pool/", "file:///srv/pool", true},
		{"https://example.com/pool/", "https://example.com/pool", true},
		{"https://example.com/pool", "http://example.com/pool", false},
		{"file:///srv/pool", "file:///srv/other", false},
	} {
		if got := sameAddress(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
