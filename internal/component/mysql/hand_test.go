package mysql

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeboat/internal/component"
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

// Nothing is dropped before the dump is seen to be whole and what is there is kept:
// the page's commands are one chain.
func TestByHandDropsLast(t *testing.T) {
	detail, err := json.Marshal(Detail{Database: "smt", Charset: "latin1", Collation: "latin1_bin", Tables: []Table{{Name: "Clients"}}, Views: []string{"v"}})
	if err != nil {
		t.Fatal(err)
	}
	page := byHand(component.Record{Streams: []string{"databases/smt.tables.sql", "databases/smt.objects.sql"}, Detail: detail})
	_, block, _ := strings.Cut(page, "```sh\n")
	block, _, _ = strings.Cut(block, "```")
	at := -1
	for _, part := range []string{"Dump completed", "mysqldump", "DROP DATABASE", "smt.tables.sql &&", "smt.objects.sql &&", `TABLE_TYPE <> "VIEW"'    # 1`} {
		i := strings.Index(block, part)
		if i <= at {
			t.Errorf("%q is not in its place in\n%s", part, block)
		}
		at = i
	}
	lines := strings.Split(strings.TrimSpace(block), "\n")
	for _, line := range lines[:len(lines)-1] {
		command, _, _ := strings.Cut(line, "    #")
		if !strings.HasSuffix(command, "&&") {
			t.Errorf("the chain ends at %q", line)
		}
	}
}
