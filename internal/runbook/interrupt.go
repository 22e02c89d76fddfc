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
// signals have their usual effect again. Call stop when the run has ended.
func Interrupts(parent context.Context) (soft, hard context.Context, stop func()) {
	soft, endSoft := context.WithCancel(parent)
	hard, endHard := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
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
		close(ended)
		endSoft()
		endHard()
	}
}
