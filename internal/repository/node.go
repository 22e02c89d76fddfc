package repository

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// plainNode has Node's fields and no methods.
type plainNode Node

// UnmarshalJSON is the reverse of MarshalJSON.
func (n *Node) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*plainNode)(n)); err != nil {
		return err
	}
	name, err := unquoteName(n.Name)
	if err != nil {
		return fmt.Errorf("name %q: %w", n.Name, err)
	}
	n.Name = name
	if len(n.LinkTargetRaw) > 0 {
		n.LinkTarget = string(n.LinkTargetRaw)
		n.LinkTargetRaw = nil
	}
	return nil
}

func quoteName(name string) string {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			q := strconv.Quote(name)
			return q[1 : len(q)-1]
		}
	}
	return name
}

func unquoteName(name string) (string, error) {
	if !strings.ContainsAny(name, "\"\\\n") {
		return name, nil
	}
	return strconv.Unquote(`"` + name + `"`)
}

func representable(t time.Time) time.Time {
	switch year := t.Year(); {
	case year < 0:
		return time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	case year > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}
