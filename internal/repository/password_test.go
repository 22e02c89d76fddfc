package repository

import (
	"strings"
	"testing"

	"lifeboat/internal/storage/faulty"
)

func TestGenerated(t *testing.T) {
	made := NewPassword()
	if string(made) == string(NewPassword()) || !generated(made) {
		t.Fatalf("%s", made)
	}
	for _, password := range []string{
		"", "lifeboat_", "secret", "lifeboat_secret", strings.TrimPrefix(string(made), generatedMark),
		string(made[:len(made)-1]), string(made) + "A", string(made) + "\n", "lifeboat_" + strings.Repeat("b", 43),
	} {
		if generated([]byte(password)) {
			t.Errorf("%q", password)
		}
	}
}

// TestCost has a guess at a person's password cost what a guess at a random one need
// not.
func TestCost(t *testing.T) {
	for name, test := range map[string]struct {
		password string
		least    bool
	}{"generated": {string(NewPassword()), true}, "a person's": {"correct horse battery staple", false}} {
		t.Run(name, func(t *testing.T) {
			repo, err := Create(t.Context(), faulty.NewMemory(), []byte(test.password), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer repo.Close()
			k, err := repo.loadKeyFile(t.Context(), repo.keyID)
			if err != nil {
				t.Fatal(err)
			}
			if k.N != leastCost.N || k.R != leastCost.R || (test.least && k.P != leastCost.P) {
				t.Errorf("N=%d r=%d p=%d", k.N, k.R, k.P)
			}
		})
	}
}
