package account

import (
	"testing"

	"lifeboat/internal/fleet/record"
)

// What the database holds must neither stop the server nor cost it more than a sign-in
// may.
func FuzzPHC(f *testing.F) {
	f.Add(newHashing(defaultCost).nobody)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=-1,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		c, salt, hash, err := parsePHC(text)
		if err != nil {
			return
		}
		if c.memory > mostCost.memory || c.passes > mostCost.passes || c.passes == 0 || len(salt) < 8 || len(hash) < 16 || len(hash) > 64 {
			t.Errorf("%q costs %+v", text, c)
		}
		again, salt2, hash2, err := parsePHC(phc(c, salt, hash))
		if err != nil || again != c || string(salt2) != string(salt) || string(hash2) != string(hash) {
			t.Errorf("%q comes back as %+v, %v", text, again, err)
		}
	})
}

func FuzzRole(f *testing.F) {
	f.Add("a.b", "x")
	f.Add("..", "")
	f.Fuzz(func(t *testing.T, claim, value string) {
		p := provider{Provider: Provider{Claim: claim, Roles: map[string]record.Role{"x": "viewer"}}}
		role := p.role(map[string]any{"a": map[string]any{"b": []any{value, 1, nil}}, value: value})
		if role != "" && value != "x" {
			t.Errorf("%q of %q is %s", value, claim, role)
		}
	})
}
