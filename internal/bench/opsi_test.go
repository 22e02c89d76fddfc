package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The rows are the same at each build, whole statements, and about as many bytes
// as are asked for.
func TestRows(t *testing.T) {
	var texts [2]string
	for i := range texts {
		file := filepath.Join(t.TempDir(), "rows.sql")
		if err := writeRows(file, 1e5); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(data)
	}
	if texts[0] != texts[1] || len(texts[0]) < 1e5 || !strings.HasSuffix(texts[0], ");\n") {
		t.Errorf("%d and %d bytes", len(texts[0]), len(texts[1]))
	}
}

func TestOpsiTable(t *testing.T) {
	of := func(seconds int) []Sample { return []Sample{{Wall: time.Duration(seconds) * time.Second}} }
	got := opsiTable(&opsiWay{name: "a", first: of(10), second: of(16), restored: of(3)}, &opsiWay{name: "b", first: of(2), second: of(2), restored: of(2)})
	for _, row := range []string{"| create | 10.0 | 2.0 | 5.0 | 5 |", "| second create | 16.0 | 2.0 | 8.0 | 8 |", "| restore | 3.0 | 2.0 | 1.5 | 2 |"} {
		if !strings.Contains(got, row) {
			t.Errorf("no %q in %s", row, got)
		}
	}
}
