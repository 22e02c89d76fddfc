package api

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Limits are how often something may be asked; the zero value is the usual. They
// keep one that has gone wild from taking the server from the others; guessing is
// hopeless without them, since every secret has 80 random bits at least.
type Limits struct {
	// Calls of one host, program or person: so many a second, and at once.
	Calls float64
	Burst int
	// Recoveries asked for from one address. Behind one there may be a data centre
	// that is recovered.
	Recoveries    float64
	RecoveryBurst int
	// Failures of one address to say who it is, or to name a code.
	Failures     float64
	FailureBurst int
}

const (
	usualCalls, usualBurst              = 50, 200
	usualRecoveries, usualRecoveryBurst = 50, 600
	usualFailures, usualFailureBurst    = 1, 30
)

// mostKnown bounds how many callers are remembered. Who has been forgotten begins
// anew.
const mostKnown = 20_000

type limiter struct {
	calls, recoveries, failures *buckets
}

type buckets struct {
	known *lru.Cache[string, *rate.Limiter]
	each  rate.Limit
	burst int
}

func newBuckets(each float64, burst int, usual float64, usualBurst int) *buckets {
	if each <= 0 {
		each = usual
	}
	if burst <= 0 {
		burst = usualBurst
	}
	known, err := lru.New[string, *rate.Limiter](mostKnown)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &buckets{known, rate.Limit(each), burst}
}

func (b *buckets) of(who string) *rate.Limiter {
	if l, ok := b.known.Get(who); ok {
		return l
	}
	l := rate.NewLimiter(b.each, b.burst)
	if other, ok, _ := b.known.PeekOrAdd(who, l); ok {
		return other
	}
	return l
}

func newLimiter(l Limits) *limiter {
	return &limiter{
		calls:      newBuckets(l.Calls, l.Burst, usualCalls, usualBurst),
		recoveries: newBuckets(l.Recoveries, l.RecoveryBurst, usualRecoveries, usualRecoveryBurst),
		failures:   newBuckets(l.Failures, l.FailureBurst, usualFailures, usualFailureBurst),
	}
}

func (l *limiter) call(who string) bool      { return l.calls.of(who).Allow() }
func (l *limiter) recovery(from string) bool { return l.recoveries.of(from).Allow() }

// mayFail tells whether an address has not failed too often. It costs nothing.
func (l *limiter) mayFail(from string) bool {
	b, ok := l.failures.known.Peek(from)
	return !ok || b.TokensAt(time.Now()) >= 1
}

func (l *limiter) failed(from string) { l.failures.of(from).Allow() }
