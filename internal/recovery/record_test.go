package recovery

import (
	"strings"
	"testing"

	"lifeboat/internal/vault"
)

func TestCompareRows(t *testing.T) {
	r := &Recovery{Options: Options{Manifest: &vault.Manifest{Records: map[string][][]string{
		"repositories": {{"SLES11-SP3-Pool"}, {"SLES11-SP3-Updates"}},
	}}}}
	o := &CheckOptions{Description: "enabled repositories"}
	for name, c := range map[string]struct {
		record      string
		rows        [][]string
		ok, warning bool
		found       string
	}{
		"same in another order": {"repositories", [][]string{{"SLES11-SP3-Updates"}, {"SLES11-SP3-Pool"}}, true, false, "2 rows"},
		"one is missing":        {"repositories", [][]string{{"SLES11-SP3-Pool"}}, false, true, "missing: SLES11-SP3-Updates"},
		"one is new":            {"repositories", [][]string{{"SLES11-SP3-Pool"}, {"SLES11-SP3-Updates"}, {"SDK"}}, false, true, "new: SDK"},
		"never recorded":        {"jobs", nil, true, false, "0 rows"},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.compareRows(o, c.record, c.rows)
			if got.OK != c.ok || got.Warning != c.warning || !strings.Contains(got.Found, c.found) {
				t.Errorf("got %+v", got)
			}
		})
	}
	o.SQL = &SQLCheck{Query: "SELECT name, COUNT(*) FROM repositories GROUP BY name"}
	if got := r.compareRows(o, "jobs", [][]string{{"a", "40"}, {"b", "20"}}); got.Found != "2 groups" {
		t.Errorf("what is grouped: %+v", got)
	}
}
