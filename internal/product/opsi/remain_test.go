package opsi

import (
	"strings"
	"testing"

	"lifeboat/internal/host/hosttest"
)

func TestRemaining(t *testing.T) {
	for name, c := range map[string]struct {
		saved, components string
		configuration     bool
		want              string
	}{
		"all of it":                      {"file mysql", "file-backend database", false, ""},
		"the archive is of files alone":  {"file", "file-backend", false, "mysql"},
		"DHCP is nothing to go on with":  {"file mysql dhcp", "file-backend database", true, ""},
		"so it will be":                  {"file", "configuration file-backend", true, ""},
		"it will use what is left out":   {"file mysql", "configuration file-backend", true, "mysql"},
		"only the DHCP server's is kept": {"dhcp", "dhcp", false, "file mysql"},
	} {
		got, err := Remaining(t.Context(), hosttest.With(t, bothBackends()), map[string]string{"backends": c.saved}, strings.Fields(c.components), c.configuration)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestCheckServerID(t *testing.T) {
	for id, good := range map[string]bool{"opsi2.example.com": true, "kurz": false, "opsi.example": false, "Opsi.example.com": false, "a b.example.com": false, "": false} {
		if err := CheckServerID(id); (err == nil) != good {
			t.Errorf("%q: %v", id, err)
		}
	}
}
