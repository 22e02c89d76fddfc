package mysql

import (
	"strings"
	"testing"
)

func TestLoginCommand(t *testing.T) {
	for want, a := range map[string]Access{
		"mysql -u smt -p -h localhost -D smt -e SELECT 1":          {User: "smt", Host: "localhost", Password: "hidden"},
		"mysql -u smt -p -h db.example -P 3307 -D smt -e SELECT 1": {User: "smt", Host: "db.example", Port: "3307", Password: "hidden"},
		"mysql -u smt -p -S /run/own.sock -D smt -e SELECT 1":      {User: "smt", Host: "/run/own.sock"},
	} {
		c := &Component{opts: Options{Database: "smt", Access: a}}
		if got := strings.Join(c.LoginCommand(), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
