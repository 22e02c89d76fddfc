package recovery

import (
	"fmt"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// A group of 100,000 differences keeps the first few and counts all.
func TestGroupIsBounded(t *testing.T) {
	g := Group{limit: 3}
	for i := range 100_000 {
		g.add(component.Difference{Path: fmt.Sprintf("/%06d", (i*7919)%100_000), Kind: repository.New, Below: 1})
	}
	if g.Count != 200_000 || g.Kinds[repository.New] != 200_000 || len(g.List) != 3 || cap(g.List) > 8 {
		t.Errorf("count %d, kinds %v, list of %d", g.Count, g.Kinds, len(g.List))
	}
	for i, d := range g.List {
		if want := fmt.Sprintf("/%06d", i); d.Path != want {
			t.Errorf("%d is %s, not %s", i, d.Path, want)
		}
	}
}
