package standing

import (
	"slices"
	"testing"

	"lifeboat/internal/fleet/record"
)

func TestMissing(t *testing.T) {
	of := func(kind, detail string) record.Report { return record.Report{Kind: kind, Detail: []byte(detail)} }
	for name, c := range map[string]struct {
		reports []record.Report
		want    []string
	}{
		"none":                 {nil, nil},
		"newest with one":      {[]record.Report{of("drill", `{"missing":["no"]}`), of("backup", `{}`), of("backup", `{"missing":["key"]}`), of("backup", `{"missing":["old"]}`)}, []string{"key"}},
		"nothing is missing":   {[]record.Report{of("backup", `{"missing":[]}`), of("backup", `{"missing":["old"]}`)}, []string{}},
		"damaged, and nothing": {[]record.Report{of("backup", `{`), of("backup", "")}, nil},
	} {
		if got := Missing(c.reports); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
