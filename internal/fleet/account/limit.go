package account

import (
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// remembered is how many names or addresses a limiter knows; the one not heard of for
// longest is forgotten. Each server counts for itself.
const remembered = 50_000

// limiter gives each key some tries, and one more after each interval.
type limiter struct {
	now      func() time.Time
	tries    float64
	interval time.Duration

	mu   sync.Mutex
	left *lru.Cache[string, allowance]
}

type allowance struct {
	tries float64
	at    time.Time
}

func newLimiter(now func() time.Time, tries int, interval time.Duration) *limiter {
	left, err := lru.New[string, allowance](remembered)
	if err != nil {
		panic(err) // the size is positive
	}
	return &limiter{now: now, tries: float64(tries), interval: interval, left: left}
}

// take uses up a try; false: there is none left.
func (l *limiter) take(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	a, ok := l.left.Get(key)
	if !ok {
		a = allowance{l.tries, now}
	}
	if d := now.Sub(a.at); d > 0 { // a clock may have been set back
		a.tries = min(l.tries, a.tries+float64(d)/float64(l.interval))
	}
	a.at = now
	ok = a.tries >= 1
	if ok {
		a.tries--
	}
	l.left.Add(key, a)
	return ok
}

// forgive gives back a try that was no guess.
func (l *limiter) forgive(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.left.Get(key); ok {
		a.tries = min(l.tries, a.tries+1)
		l.left.Add(key, a)
	}
}

// place is what counts as one address: a whole IPv6 network of a customer is one.
func place(from string) string {
	addr, err := netip.ParseAddr(from)
	if err != nil {
		return from
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
