package strict

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "90sec": 90 * time.Second, "250ms": 250 * time.Millisecond,
		"30m": 30 * time.Minute, "30min": 30 * time.Minute, "1h30m0s": 90 * time.Minute, "1.5h": 90 * time.Minute,
		"2d": 48 * time.Hour, "1w": 168 * time.Hour, "2d6h": 54 * time.Hour, "1us": time.Microsecond, "1500ns": 1500, "0.1s": 100 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if got, err := ParseDuration(want.String()); err != nil || got != want {
			t.Errorf("%s, as it is written: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "is no duration", "5": "write one like 90s, 30min", "-3s": "is no duration", "3 hours": "is no duration",
		"3M": "is no duration", "1..5h": "is no duration", "99999999999w": "is no duration", "h": "is no duration",
		"3mo": "months and years are not all as long; write days", "1y": "write days",
	} {
		if got, err := ParseDuration(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
