package action

import (
	"slices"
	"testing"

	"lifeboat/internal/fleet/record"
)

// What two hosts have decides nothing, whichever of them somebody asks for.
func TestDecisive(t *testing.T) {
	alpha := record.Host{ID: "a", Identity: record.Identity{Hostname: "alpha", Serial: "common", MACs: []string{"m1", "m2"}}}
	beta := record.Host{ID: "b", Identity: record.Identity{Hostname: "beta", Serial: "common", MACs: []string{"m2", "m3"}}}
	asks := record.Identity{Hostname: "alpha", Serial: "common", UUID: "u", MACs: []string{"m1", "m2"}}
	like := []record.Host{alpha, beta}
	if d := decisive(like, alpha, asks); d.Hostname != "alpha" || d.Serial != "" || d.UUID != "" || !slices.Equal(d.MACs, []string{"m1"}) {
		t.Errorf("alpha: %+v", d)
	}
	if d := decisive(like, beta, asks); d.Hostname != "" || d.Serial != "" || len(d.MACs) > 0 {
		t.Errorf("beta, asked for by somebody in between: %+v", d)
	}
}
