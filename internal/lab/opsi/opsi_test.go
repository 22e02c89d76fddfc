package opsi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSchemaTables(t *testing.T) {
	// Two of each are hardware.
	for line, tables := range map[string]int{"4.2": 26, "4.3": 27} {
		text, err := schemas.ReadFile("schema/" + line + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(text), "CREATE TABLE"); got != tables {
			t.Errorf("%s: %d tables, want %d", line, got, tables)
		}
	}
}

func TestPasswordSurvivesItsFile(t *testing.T) {
	for _, password := range []string{"plain", `it's "q#uo;te' \d = b$`, `\`, `\"`} {
		path := filepath.Join(t.TempDir(), "mysql.conf")
		if err := os.WriteFile(path, []byte(mysqlText(Spec{Variant: Hybrid}, password)), 0o600); err != nil {
			t.Fatal(err)
		}
		conf, err := readConf(path)
		if err != nil || conf["password"] != password || conf["address"] != "localhost" {
			t.Errorf("%q: %q %v", password, conf, err)
		}
	}
}

func TestCountsOfModel(t *testing.T) {
	for _, c := range []struct {
		large           bool
		clients, states int
	}{{false, Clients, SmallStates}, {true, LargeClients, LargeClients * StatesPerClient}} {
		m := newModel(Spec{Variant: MySQL, Large: c.large}, "opsi.example.com")
		states := 0
		for _, conf := range m.configs {
			states += len(conf.states)
		}
		if len(m.clients) != c.clients || states != c.states {
			t.Errorf("%d clients and %d states, want %d and %d", len(m.clients), states, c.clients, c.states)
		}
	}
}
