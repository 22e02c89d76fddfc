package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// meterEvery is the shortest time between two states that a meter shows.
const meterEvery = 200 * time.Millisecond

// meter shows on one line of a terminal how far a call is. Elsewhere it shows
// nothing. It may be used from several goroutines at once.
type meter struct {
	out *os.File // nil shows nothing

	mu    sync.Mutex
	shown time.Time
}

// meter begins one; clear ends it.
func (a *app) meter() *meter {
	if f, ok := a.Err.(*os.File); ok && !a.JSON && term.IsTerminal(int(f.Fd())) {
		return &meter{out: f}
	}
	return &meter{}
}

// show replaces what was shown.
func (m *meter) show(format string, args ...any) {
	if m.out == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.shown) < meterEvery {
		return
	}
	m.shown = now
	width, _, err := term.GetSize(int(m.out.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	fmt.Fprintf(m.out, "\r\x1b[K%s", short(fmt.Sprintf(format, args...), width-1))
}

// clear takes the line away.
func (m *meter) clear() {
	if m.out == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.shown.IsZero() {
		fmt.Fprint(m.out, "\r\x1b[K")
	}
}

// part writes an amount of a whole that may not be known.
func part(done, total int64, text func(int64) string) string {
	if total <= 0 {
		return text(done)
	}
	return fmt.Sprintf("%s of %s (%d%%)", text(done), text(total), min(100, done*100/total))
}
