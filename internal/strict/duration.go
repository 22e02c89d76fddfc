package strict

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

var (
	durationForm = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|sec|s|min|m|h|d|w))+$`)
	durationPart = regexp.MustCompile(`([0-9.]+)([a-zµ]+)`)
	monthOrYear  = regexp.MustCompile(`[0-9](mo|y)`)
)

// units are those that a clock measures. m is minutes, here and wherever a time is
// read.
var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "sec": time.Second, "m": time.Minute, "min": time.Minute,
	"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// ParseDuration reads a length of time, which is never negative: 90s, 30min, 1h30m,
// 2d; a lone 0 is none.
func ParseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	wrong := fmt.Errorf("%q is no duration; write one like 90s, 30min, 4h or 7d", text)
	if !durationForm.MatchString(text) {
		if monthOrYear.MatchString(text) {
			return 0, fmt.Errorf("%q is no duration: months and years are not all as long; write days, such as 90d", text)
		}
		return 0, wrong
	}
	sum := 0.0
	for _, part := range durationPart.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, wrong
		}
		sum += n * float64(units[part[2]])
	}
	if sum > math.MaxInt64/2 { // 146 years
		return 0, wrong
	}
	return time.Duration(math.Round(sum)), nil
}
