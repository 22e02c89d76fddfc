package runbook

import (
	"slices"
	"strings"
	"sync"
)

// concealer replaces known secrets in text. The zero value conceals nothing.
type concealer struct {
	mu       sync.RWMutex
	secrets  []string
	replacer *strings.Replacer
}

// shortest is the length of a secret from which on it is replaced, in bytes. A
// shorter one stands in too many words by chance.
const shortest = 4

func (c *concealer) add(secrets []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range secrets {
		if len(s) >= shortest && !slices.Contains(c.secrets, s) {
			c.secrets = append(c.secrets, s)
		}
	}
	// The longest first: one secret may be part of another.
	slices.SortFunc(c.secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(c.secrets))
	for _, s := range c.secrets {
		pairs = append(pairs, s, "***")
	}
	c.replacer = strings.NewReplacer(pairs...)
}

func (c *concealer) text(s string) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.replacer != nil {
		s = c.replacer.Replace(s)
	}
	if len(s) > maxText {
		s = s[:maxText] + " …"
	}
	return s
}

func (c *concealer) event(e *Event) {
	for _, s := range []*string{&e.Title, &e.Text, &e.Error, &e.Hint} {
		*s = c.text(*s)
	}
	if e.Check != nil {
		check := *e.Check
		for _, s := range []*string{&check.Name, &check.Expected, &check.Found, &check.Hint} {
			*s = c.text(*s)
		}
		e.Check = &check
	}
}
