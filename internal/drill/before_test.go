package drill

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

func TestLessThanBefore(t *testing.T) {
	database := func(tables ...mysql.Table) component.Record {
		detail, err := json.Marshal(mysql.Detail{Tables: tables})
		if err != nil {
			t.Fatal(err)
		}
		return component.Record{Name: "database", Kind: "mysql", Status: component.StatusCaptured, Detail: detail}
	}
	of := func(records ...component.Record) *vault.Point {
		return &vault.Point{Snapshot: &repository.Snapshot{}, Manifest: &vault.Manifest{Moment: time.Now(), Components: records}}
	}
	files := func(status component.Status, items int64) component.Record {
		return component.Record{Name: "files", Kind: "files", Status: status, Items: items}
	}
	whole := database(mysql.Table{Name: "Clients", Rows: 40}, mysql.Table{Name: "Queue", Rows: 3}, mysql.Table{Name: "Groups"})
	for name, test := range map[string]struct {
		before, now *vault.Point
		want        string
	}{
		"the same":            {of(whole, files(component.StatusCaptured, 80)), of(whole, files(component.StatusCaptured, 80)), ""},
		"the first":           {nil, of(whole), ""},
		"a table is empty":    {of(whole), of(database(mysql.Table{Name: "Clients"}, mysql.Table{Name: "Queue", Rows: 3}, mysql.Table{Name: "Groups"})), "table Clients of component database is empty and had 40 rows"},
		"a queue is empty":    {of(whole), of(database(mysql.Table{Name: "Clients", Rows: 1}, mysql.Table{Name: "Queue"}, mysql.Table{Name: "Groups"})), ""},
		"a table is missing":  {of(whole), of(database(mysql.Table{Name: "Clients", Rows: 40}, mysql.Table{Name: "Queue", Rows: 3})), "table Groups of component database is missing"},
		"files are missing":   {of(files(component.StatusCaptured, 80)), of(files(component.StatusCaptured, 30)), "has 30 entries and had 80"},
		"few files":           {of(files(component.StatusCaptured, 5)), of(files(component.StatusCaptured, 1)), ""},
		"more files":          {of(files(component.StatusCaptured, 5)), of(files(component.StatusCaptured, 100)), ""},
		"a component is gone": {of(files(component.StatusCaptured, 5)), of(files(component.StatusAbsent, 0)), "component files is missing"},
		"not in the profile":  {of(files(component.StatusCaptured, 5)), of(), "component files is missing"},
		"left out by choice":  {of(files(component.StatusCaptured, 5)), of(files(component.StatusSkipped, 0)), ""},
		"it was not there":    {of(files(component.StatusAbsent, 0)), of(files(component.StatusAbsent, 0)), ""},
	} {
		got := strings.Join(lessThan(test.before, test.now), "\n")
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestOtherOwners(t *testing.T) {
	was := map[string]string{"/a": "smt:www", "/b": "root:root", "/c": "root:root", "/d": "root:root", "/e": "root:root", "/gone": "root:root"}
	is := map[string]string{"/a": "smt:www", "/b": "smt:root", "/c": "root:www", "/d": "99:root", "/e": "root:99", "/new": "smt:www"}
	got := otherOwners("site", "then", was, is)
	want := []string{
		"/b of component site belongs to smt:root and belonged to root:root then",
		"/c of component site belongs to root:www and belonged to root:root then",
		"/d of component site belongs to 99:root and belonged to root:root then",
		"component site has more that belongs to others than then: 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := otherOwners("site", "then", was, was); got != nil {
		t.Errorf("%q", got)
	}
}
