package mysql

import (
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
)

// A server that refuses is there; one that does not listen is not.
func TestReach(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		access Access
		wrong  string
	}{
		"administrator": {Access{Socket: l.socket}, ""},
		"refused":       {Access{Host: "localhost", Socket: l.socket, User: "nobody-known", Password: "x"}, ""},
		"not there":     {Access{Socket: t.TempDir() + "/none.sock"}, "does not answer"},
	} {
		made, err := New(component.Env{Host: host.Local()}, Options{Database: l.name, Access: c.access}, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = made.Reach(t.Context())
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
