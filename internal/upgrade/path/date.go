package path

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"
)

// Date is a day, the zero value for none. Support that ends on a day is there until
// the day is over, in UTC.
type Date struct{ time.Time }

// UnmarshalYAML reads 2016-01-31.
func (d *Date) UnmarshalYAML(node *yaml.Node) error {
	day, err := time.Parse(time.DateOnly, node.Value)
	if err != nil {
		return fmt.Errorf("%q is no day; write one like 2016-01-31", node.Value)
	}
	d.Time = day
	return nil
}

// MarshalJSON writes the day, null without one.
func (d Date) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + d.Format(time.DateOnly) + `"`), nil
}

// String is the day, empty without one.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Format(time.DateOnly)
}

// over says whether the day has passed.
func (d Date) over(now time.Time) bool { return !now.UTC().Before(d.AddDate(0, 0, 1)) }
