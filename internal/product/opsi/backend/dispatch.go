package backend

import (
	"fmt"
	"slices"
	"strings"
)

// Dispatch is /etc/opsi/backendManager/dispatch.conf: which backends answer which
// methods. The first rule whose expression fits a method decides.
type Dispatch struct {
	Rules []Rule
	Bad   []int // numbers of lines that are no rule; opsi goes on without them
}

// Rule is one line.
type Rule struct {
	Methods  string // a regular expression
	Backends []string
}

// parseDispatch reads lines EXPRESSION : BACKEND[, BACKEND]; the expression ends at
// the first colon.
func parseDispatch(text []byte) (*Dispatch, error) {
	if len(text) > maxConf {
		return nil, fmt.Errorf("is larger than %d bytes", maxConf)
	}
	d := &Dispatch{}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		methods, list, ok := strings.Cut(line, ":")
		var names []string
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
		methods = strings.TrimSpace(methods)
		if !ok || methods == "" || len(names) == 0 {
			d.Bad = append(d.Bad, n)
			continue
		}
		d.Rules = append(d.Rules, Rule{Methods: methods, Backends: names})
	}
	return d, nil
}

// Used lists the backends that occur, in their order.
func (d *Dispatch) Used() []string {
	var used []string
	for _, rule := range d.Rules {
		for _, name := range rule.Backends {
			if !slices.Contains(used, name) {
				used = append(used, name)
			}
		}
	}
	return used
}
