package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage"
	"lifeboat/internal/storage/open"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/storage/retry"
)

// storeFlags are the options of the configuration's repositories, for verbs that
// reach a store. They go before the configuration.
func (a *app) storeFlags(c *cobra.Command) {
	c.Flags().StringArrayVarP(&a.storeOptions, "option", "o", nil, "option of the store as `KEY=VALUE`, such as s3.region=eu-central-1 (docs/stores.md lists them)")
	c.Flags().Var((*speed)(&a.limitUpload), "limit-upload", "send at most `SPEED` bytes a second, such as 10M")
	c.Flags().Var((*speed)(&a.limitDownload), "limit-download", "receive at most `SPEED` bytes a second, such as 50M")
}

// speed is a limit as a flag has it. One that is given is one: without it nobody would
// notice that a script's variable is empty.
type speed string

func (s *speed) String() string { return string(*s) }
func (s *speed) Type() string   { return "SPEED" }

func (s *speed) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("no speed is given; write 10M, say, or leave the flag out")
	}
	*s = speed(text)
	return nil
}

// compressionFlag is for verbs that make recovery points.
func (a *app) compressionFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.compression, "compression", "", "how new data is compressed: `MODE` is "+strings.Join(repository.Compressions(), ", ")+" (default from the configuration, else auto)")
}

// storeOf is how the store of a repository is reached: what the configuration
// says, and before it the flags.
func (a *app) storeOf(address string, s config.Store) (config.Store, error) {
	return storeWith(address, s, a.storeFlagsGiven())
}

func storeWith(address string, s config.Store, options []string) (config.Store, error) {
	if err := s.Set(options); err != nil {
		return s, screen.Usage(err)
	}
	if err := s.Fits(address); err != nil {
		return s, screen.Usage(fmt.Errorf("repository %s: %w", redact.URL(address), err))
	}
	return s, nil
}

// storeFlagsGiven lists what the flags say as options.
func (a *app) storeFlagsGiven() []string {
	return append(slices.Clone(a.storeOptions), a.limitsGiven()...)
}

// limitsGiven lists the flags of the limits as options.
func (a *app) limitsGiven() (options []string) {
	for _, limit := range []struct{ key, value string }{{"limit.upload", a.limitUpload}, {"limit.download", a.limitDownload}} {
		if limit.value != "" {
			options = append(options, limit.key+"="+limit.value)
		}
	}
	return options
}

// openConfigured opens the store of a repository, with changes that no option
// makes. Failures that are borne with are shown, and an interruption ends the
// patience of all that follows too.
func (a *app) openConfigured(ctx context.Context, address string, s config.Store, changes ...func(*open.Options)) (storage.Store, error) {
	opts, err := s.Options(ctx)
	if err != nil {
		return nil, screen.Usage(fmt.Errorf("repository %s: %w", redact.URL(address), err))
	}
	for _, change := range changes {
		change(&opts)
	}
	opts.Retry.Notify = a.notices.retry
	opts.Retry.Interrupt = ctx
	store, err := open.Open(ctx, address, opts)
	if err != nil {
		return nil, screen.Usage(err)
	}
	return store, nil
}

// notices tells a person what goes on below a run: on the terminal of the run
// while there is one, else on standard error, or as JSON among the events.
type notices struct {
	json func(any) error // nil for text
	err  io.Writer

	mu    sync.Mutex
	line  func(string) // of the terminal of a run; nil without one
	quiet map[string]time.Time
}

// through has what is to be told go through the terminal of a run, until the
// function that is returned is called.
func (n *notices) through(line func(string)) (done func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.line = line
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.line = nil
	}
}

// retry tells of a store that is tried again. Several transfers fail at once
// when a line is cut; while one of them waits, the others are not told too.
func (n *notices) retry(f retry.Failure) {
	why := reason(f.Err)
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if now.Before(n.quiet[f.Store+why]) {
		return
	}
	if n.quiet == nil {
		n.quiet = map[string]time.Time{}
	}
	n.quiet[f.Store+why] = now.Add(f.Pause)
	if n.json != nil {
		_ = n.json(map[string]any{
			"type": "store-retry", "time": now, "store": f.Store, "error": why,
			"pause_seconds": f.Pause.Seconds(), "attempt": f.Attempt,
		})
		return
	}
	text := screen.Clean(fmt.Sprintf("store %s: %s; trying again in %s (attempt %d)", f.Store, why, pause(f.Pause), f.Attempt))
	if f.Attempt == 2 && !f.Until.IsZero() {
		text += fmt.Sprintf(" and so on until %s (retry_for says how long); Ctrl-C ends that", f.Until.Local().Format(time.TimeOnly))
	}
	if n.line != nil {
		n.line(text)
		return
	}
	fmt.Fprintln(n.err, text)
}

// warn tells of what was passed over while something went on all the same; what
// is read in spite of it was checked like everything.
func (n *notices) warn(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.json != nil {
		_ = n.json(map[string]any{"type": "warning", "error": text})
		return
	}
	text = screen.Clean(text)
	if n.line != nil {
		n.line(text)
		return
	}
	fmt.Fprintf(n.err, "%s %s\n", screen.PainterFor(n.err).Yellow("warning:"), text)
}

func pause(d time.Duration) string {
	if d < time.Second {
		return "a moment"
	}
	return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
}

// reason is the cause of a failure without what it was wrapped in on its way.
func reason(err error) string {
	var errno syscall.Errno
	var name *net.DNSError
	var address *url.Error
	switch {
	case errors.As(err, &name):
		return fmt.Sprintf("the name %s cannot be resolved (%s)", name.Name, name.Err)
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke off"
	case errors.As(err, &address):
		return address.Err.Error()
	}
	return err.Error()
}

// outage is what a person can do about a store that was given up, or nothing.
func (a *app) outage(err error) string {
	var given *retry.GivenUpError
	if !errors.As(err, &given) {
		return ""
	}
	return fmt.Sprintf("The store %s did not work for %v. See whether its server runs and can be reached from here\n(lifeboat repository check-store), then run the command again: what was stored is not sent again.\nTo bear longer outages, set retry_for in %s or give -o retry_for=30min.",
		given.Store, given.After.Round(time.Second), a.configFile)
}

// showOn lets the terminal of a run take the notices.
func (a *app) showOn(t *terminal) (done func()) {
	return a.notices.through(func(text string) {
		t.Observe(runbook.Event{Type: runbook.StepWarning, Text: text})
	})
}
