// Package stall notices transfers that came to a halt, or that go on so slowly
// that they as well might have. It measures only the time in which the other
// side is waited for: a reader that takes its time is no fault of the server.
// What is transferred, and what happens to it, is not known here.
package stall

import (
	"errors"
	"sync"
	"time"
)

// ErrStalled says that the other side sent or took too little for too long.
// The same request may succeed later.
var ErrStalled = errors.New("the connection stalled")

// Limit is the least progress a transfer must make: Bytes in every Window.
type Limit struct {
	Window time.Duration
	Bytes  int64
}

// Default gives up on less than 1 KiB/s over two minutes. A busy server may
// take a minute to make a large file durable; a modem is faster than this.
var Default = Limit{Window: 2 * time.Minute, Bytes: 120 << 10}

// Or returns the limit, or the default where it is not set.
func (l Limit) Or(other Limit) Limit {
	if l.Window <= 0 {
		return other
	}
	return l
}

// Meter watches one transfer. Its methods may be called from several
// goroutines at once.
type Meter struct {
	limit Limit
	abort func(error)

	mu      sync.Mutex
	timer   *time.Timer
	running bool
	ended   bool
	since   time.Time     // start of the present stretch of waiting
	left    time.Duration // of the window, at since
	bytes   int64         // in this window
}

// Watch returns a meter that is paused. It calls abort with ErrStalled once, in
// a goroutine of its own, when the limit is missed.
func Watch(limit Limit, abort func(error)) *Meter {
	return &Meter{limit: limit, abort: abort, left: limit.Window}
}

// Start begins to count time: the other side is being waited for.
func (m *Meter) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running || m.ended {
		return
	}
	m.running = true
	m.since = time.Now()
	if m.timer == nil {
		m.timer = time.AfterFunc(m.left, m.due)
	} else {
		m.timer.Reset(m.left)
	}
}

// Pause stops to count time.
func (m *Meter) Pause() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pause()
}

func (m *Meter) pause() {
	if !m.running {
		return
	}
	m.running = false
	m.timer.Stop()
	m.left = max(0, m.left-time.Since(m.since))
}

// Add counts n bytes of progress.
func (m *Meter) Add(n int) {
	m.mu.Lock()
	m.bytes += int64(n)
	m.mu.Unlock()
}

// Stop ends the watch.
func (m *Meter) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pause()
	m.ended = true
}

func (m *Meter) due() {
	m.mu.Lock()
	// The timer may have fired while Pause was on its way.
	if !m.running || time.Since(m.since) < m.left {
		m.mu.Unlock()
		return
	}
	if m.bytes < m.limit.Bytes {
		m.running, m.ended = false, true
		m.mu.Unlock()
		m.abort(ErrStalled)
		return
	}
	m.bytes = 0
	m.left = m.limit.Window
	m.since = time.Now()
	m.timer.Reset(m.left)
	m.mu.Unlock()
}
