package config

import (
	"fmt"
	"time"
)

// Words writes a length of time for people, as exact as it matters: 45 s, 12 min,
// 26 h 5 min, 4 days 6 h, 100 days.
func Words(d time.Duration) string {
	two := func(n int64, unit string, more int64, smaller string) string {
		if more == 0 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		return fmt.Sprintf("%d %s %d %s", n, unit, more, smaller)
	}
	seconds := int64(d / time.Second)
	minutes, hours := seconds/60, seconds/3600
	days := hours / 24
	switch {
	case minutes < 1:
		return fmt.Sprintf("%d s", seconds)
	case minutes < 10:
		return two(minutes, "min", seconds%60, "s")
	case hours < 1:
		return fmt.Sprintf("%d min", minutes)
	case days < 2:
		return two(hours, "h", minutes%60, "min")
	case days < 10:
		return two(days, "days", hours%24, "h")
	}
	return fmt.Sprintf("%d days", days)
}
