package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
)

// An account that has another password, no rights or is not there gets in after
// Admit, and is what it was after Withdraw.
func TestAdmit(t *testing.T) {
	const password = "pa'ss\"w#ord \\ ü"
	for name, setup := range map[string][]string{
		"other password": {"CREATE USER admitted@localhost IDENTIFIED BY 'other'", "GRANT SELECT ON `NAME`.* TO admitted@localhost"},
		"no password":    {"CREATE USER admitted@localhost"},
		"no rights":      {"CREATE USER admitted@localhost IDENTIFIED BY 'pa\\'ss\"w#ord \\\\ ü'"},
		"pattern":        {"CREATE USER admitted@'%' IDENTIFIED BY 'other'"},
		"socket":         {"CREATE USER admitted@localhost IDENTIFIED VIA unix_socket", "GRANT ALL ON `NAME`.* TO admitted@localhost"},
		"absent":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			for _, s := range setup {
				l.run(strings.ReplaceAll(s, "NAME", l.name))
			}
			t.Cleanup(func() { l.run("DROP USER IF EXISTS admitted@localhost, admitted@'%'") })
			picture := func() string {
				var lines []string
				for _, host := range l.column("SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User = 'admitted'") {
					lines = append(append(lines, l.column("SHOW CREATE USER "+host)...), l.column("SHOW GRANTS FOR "+host)...)
				}
				return strings.Join(lines, "\n")
			}
			state := memory(t)
			made := func() *Component {
				c, err := New(component.Env{Host: host.Local(), State: state, Run: "r1"}, Options{Database: l.name, Access: Access{Socket: l.socket, User: "admitted", Password: password}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			before := picture()
			if err := made().Login(t.Context()); err == nil || !Refused(err) {
				t.Fatalf("login before: %v", err)
			}
			said, err := made().Admit(t.Context())
			if err != nil || !strings.Contains(said, "admitted") {
				t.Fatalf("%q %v", said, err)
			}
			if said, err := made().Admit(t.Context()); err != nil || said != "" {
				t.Errorf("again: %q %v", said, err)
			}
			files, _ := filepath.Glob(state + "/*")
			for _, file := range files {
				if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), "w#ord") {
					t.Errorf("%s has the password (%v)", file, err)
				}
			}
			for range 2 {
				if err := made().Withdraw(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			after := strings.ReplaceAll(picture(), " IDENTIFIED BY PASSWORD ''", "")
			if after != before {
				t.Errorf("account was\n%s\nand is\n%s", before, after)
			}
			if kept, _ := filepath.Glob(state + "/*.sql"); len(kept) > 0 {
				t.Errorf("kept %v", kept)
			}
			if _, err := made().Admit(t.Context()); err != nil {
				t.Errorf("after the withdrawal: %v", err)
			}
			if err := made().Discard(t.Context()); err != nil {
				t.Error(err)
			}
			if kept, _ := filepath.Glob(state + "/*.sql"); len(kept) > 0 {
				t.Errorf("kept %v", kept)
			}
		})
	}
}

// Accounts with more power than the application's are not touched.
func TestAdmitLeavesAdministrators(t *testing.T) {
	l := newLab(t)
	l.run("CREATE USER mighty@localhost IDENTIFIED BY 'other'", "GRANT SELECT ON *.* TO mighty@localhost")
	t.Cleanup(func() { l.run("DROP USER mighty@localhost") })
	c, err := New(component.Env{Host: host.Local(), State: memory(t)}, Options{Database: l.name, Access: Access{Socket: l.socket, User: "mighty", Password: "secret"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Admit(t.Context()); err == nil || !strings.Contains(err.Error(), "whole server") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
