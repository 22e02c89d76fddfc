package server

import (
	"testing"

	"lifeboat/internal/component"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	rows := func(clients, jobs int64) map[string]int64 {
		return map[string]int64{"Clients": clients, "JobQueue": jobs}
	}
	was := component.Census{Schema: "3.08", Rows: rows(40, 5)}
	for _, c := range []struct {
		name        string
		is          component.Census
		schema      bool
		tables, all string // what is found
		fewer       bool
	}{
		{"migrated", component.Census{Schema: "3.09", Rows: map[string]int64{"Clients": 41, "JobQueue": 5, "New": 0}}, true, "3 tables, schema 3.09, was 3.08", "46 rows in all", false},
		{"as before", was, true, "2 tables, schema 3.08", "45 rows in all", false},
		{"rows lost", component.Census{Schema: "3.09", Rows: rows(30, 5)}, true, "2 tables, schema 3.09, was 3.08", "table Clients has 30 of 40 rows", true},
		{"table lost", component.Census{Schema: "3.09", Rows: map[string]int64{"Clients": 40}, Lacking: []string{"JobQueue"}}, false, "1 tables, schema 3.09, was 3.08, without JobQueue", "table JobQueue with 5 rows is gone", true},
	} {
		got := judge("database", was, c.is)
		if got[0].OK != c.schema || got[0].Warning || got[0].Found != c.tables {
			t.Errorf("%s: %+v", c.name, got[0])
		}
		if got[1].OK == c.fewer || got[1].Warning != c.fewer || got[1].Found != c.all {
			t.Errorf("%s: %+v", c.name, got[1])
		}
	}
	// What was missing before is no news.
	lacking := component.Census{Schema: "3.08", Rows: rows(40, 5), Lacking: []string{"Filters"}}
	if got := judge("database", lacking, lacking); !got[0].OK {
		t.Errorf("%+v", got[0])
	}
}
