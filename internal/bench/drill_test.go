package bench

import (
	"strings"
	"testing"
	"time"
)

func TestLastLine(t *testing.T) {
	var got struct{ RTO time.Duration }
	if err := lastLine([]byte("{\"rto\": 1}\n{\"rto\": 2}\n"), &got); err != nil || got.RTO != 2 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "{}\nno JSON\n"} {
		if err := lastLine([]byte(bad), &got); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestDrillTable(t *testing.T) {
	got := drillTable([]time.Duration{9 * time.Second, 11 * time.Second, 10 * time.Second}, []time.Duration{8 * time.Second})
	if row := "| 10.0 | 8.0 | 1.25 | 0.75 to 1.25 |"; !strings.Contains(got, row) {
		t.Errorf("no %q in %s", row, got)
	}
}
