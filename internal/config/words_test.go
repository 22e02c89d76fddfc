package config

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0 s": 0, "45 s": 45 * time.Second, "1 min": time.Minute, "3 min 5 s": 185 * time.Second, "12 min": 12*time.Minute + 50*time.Second,
		"26 h 5 min": 26*time.Hour + 5*time.Minute, "27 h": 27 * time.Hour, "4 days 6 h": 102*time.Hour + 30*time.Minute, "36 days": 864 * time.Hour,
	} {
		if got := Words(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
