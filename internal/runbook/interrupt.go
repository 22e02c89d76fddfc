package runbook

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Interrupts turns signals into contexts for a run. The first SIGINT, SIGTERM
// or SIGHUP ends soft: steps are cancelled, Always stages still run. The next
// SIGINT or SIGTERM ends hard, which is for Options.Hard. After that the
// signals have their usual effect again. An output that nobody reads any more does
// not end a run. Call stop when the run has ended.
func Interrupts(parent context.Context) (soft, hard context.Context, stop func()) {
	soft, endSoft := context.WithCancel(parent)
	hard, endHard := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Caught and left lying: a write then fails instead of killing this process, and
	// children still die of it, as they would not if it were ignored.
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				switch {
				case soft.Err() == nil:
					endSoft()
				case s != syscall.SIGHUP:
					endHard()
					signal.Stop(signals)
					return
				}
			case <-ended:
				return
			}
		}
	}()
	return soft, hard, func() {
		signal.Stop(signals)
		signal.Stop(unread)
		close(ended)
		endSoft()
		endHard()
	}
}
