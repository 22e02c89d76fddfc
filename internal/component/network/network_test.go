package network

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

func TestConformance(t *testing.T) {
	componenttest.Run(t, componenttest.Fixture{
		Kind: Kind(),
		Spec: func(dir string) profile.Component {
			return profile.Component{Name: "network", Kind: "network", Importance: profile.Recommended, Options: &Options{Paths: []string{dir + "/etc/*"}}}
		},
		Populate: func(t testing.TB, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "etc", "ifcfg-eth0"), []byte("IPADDR=10.0.0.5/24\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			componenttest.Age(t, dir)
		},
		Alter: func(t testing.TB, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "etc", "ifcfg-eth0"), []byte("BOOTPROTO=dhcp\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		State: func(t testing.TB, dir string) string {
			return componenttest.Digest(t, dir, "/etc/hosts", "/etc/hostname")
		},
		Passive: true,
		Stays:   true,
	})
}

func identity() Identity {
	return Identity{
		Hostname: "smt1", FQDN: "smt1.example.com",
		Network: host.Network{
			Interfaces: []host.Interface{{Name: "eth0", MAC: "52:54:00:00:00:01", Up: true, MTU: 1500, Addresses: []string{"192.0.2.5/24"}}},
			Routes:     []host.Route{{Destination: "default", Gateway: "192.0.2.1", Interface: "eth0"}, {Destination: "198.51.100.0/24", Gateway: "192.0.2.2", Interface: "eth0"}},
			DNS:        host.DNS{Servers: []string{"192.0.2.53"}, Search: []string{"example.com"}},
		},
		Hosts: []Entry{{"192.0.2.5", []string{"smt1.example.com", "smt1"}}},
	}
}

func TestDifferencesAreShownAndNothingIsChanged(t *testing.T) {
	detail, err := json.Marshal(Detail{Identity: identity()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Kind().New(component.Env{Host: host.Local(), Run: "r", State: t.TempDir()}, profile.Component{Name: "network"})
	if err != nil {
		t.Fatal(err)
	}
	checks, err := c.Check(t.Context(), component.Record{Detail: detail})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"host name", "full name", "addresses", "hosts file", "hardware addresses"} {
		found := false
		for _, check := range checks {
			if strings.HasSuffix(check.Name, ": "+name) {
				found = true
				if check.OK || !check.Warning || check.Hint == "" {
					t.Errorf("difference not shown as a warning with a hint: %+v", check)
				}
			}
		}
		if !found {
			t.Errorf("%s is not compared", name)
		}
	}
	if lines, err := c.(component.Planner).Plan(t.Context(), nil, component.Record{Detail: detail}); err != nil || len(lines) < 5 {
		t.Errorf("Plan: %v, %v", lines, err)
	}
	if _, err := c.Check(t.Context(), component.Record{}); err == nil {
		t.Error("an empty record is no error")
	}
}

func TestText(t *testing.T) {
	text := identity().Text()
	for _, want := range []string{"smt1.example.com", "52:54:00:00:00:01", "192.0.2.5/24", "192.0.2.1", "198.51.100.0/24", "192.0.2.53"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
}

func TestHosts(t *testing.T) {
	got := parseHosts(strings.NewReader("127.0.0.1 localhost\n::1 localhost\nff02::1 ip6-allnodes\nfe00::0 ip6-localnet\n10.0.0.5\tsmt1.x smt1 # me\nnonsense line\n10.0.0.6\n"))
	want := []Entry{{"10.0.0.5", []string{"smt1.x", "smt1"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
