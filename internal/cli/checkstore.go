package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage"
	"lifeboat/internal/storage/check"
	"lifeboat/internal/storage/open"
	"lifeboat/internal/storage/retry"
)

func (a *app) checkStoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check-store URL|NAME",
		Short: "Try out whether a store keeps what a repository relies on",
		Long: `Writes, reads, lists and removes files of its own in a store, and tells whether
a repository may be trusted to it: that nothing is overwritten, that ranges are
read rightly, that what was written is listed at once, and how fast it is. The
store may be empty or hold a repository; no password of one is needed and nothing
in it is touched. The files of the trial are removed again.

With object_lock the trial has a place of its own, check-store/ below the
repository's, and one small file of it is locked there for a minute: that is told,
and the next trial removes it.

Exit code 3 says that the store works with a property one should know of.`,
		Example: `  lifeboat repository check-store /mnt/backup
  lifeboat repository check-store s3:https://objects.example.com/backup/smt
  lifeboat repository check-store offsite
  lifeboat repository check-store s3:https://objects.example.com/backup/smt -o object_lock.mode=governance -o object_lock.days=1`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, given []string) error {
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			ctx := c.Context()
			r, ok := conf.Repository(given[0])
			if !ok {
				r = config.Repository{URL: given[0]}
			}
			how, err := a.storeOf(r.URL, r.Store)
			if err != nil {
				return err
			}
			lock, address := how.ObjectLock, r.URL
			if lock.Mode != "" {
				address = strings.TrimRight(address, "/") + "/check-store"
			}
			store, err := a.openConfigured(ctx, address, how, func(o *open.Options) {
				if lock.Mode != "" {
					o.S3.Lock.Days, o.S3.Lock.For = 0, trialLock
				}
			})
			if err != nil {
				return err
			}
			defer store.Close()
			return a.checkStore(ctx, store, lock.Mode)
		},
	}
	a.storeFlags(c)
	return c
}

// trialLock is how long the file is locked that tries out object lock: as short
// as clocks allow that do not agree to the second.
const trialLock = time.Minute

// checkStore tries a store out; lock is the mode of its object lock, "" for none.
func (a *app) checkStore(ctx context.Context, store storage.Store, lock string) error {
	paint := screen.PainterFor(a.Out)
	words := map[check.Grade]string{check.Good: paint.Green("good"), check.Note: paint.Yellow("note"), check.Bad: paint.Red("BAD ")}
	if !a.JSON {
		title := "Trial of the store " + store.Location()
		if lock != "" {
			title += ", with object lock in " + lock + " mode"
		}
		a.Printf("%s\n", paint.Bold(title))
	}
	left := []check.Left{}
	results, err := check.Store(ctx, store, check.Options{Own: lock != "", Left: func(l check.Left) { left = append(left, l) }, Report: func(r check.Result) {
		if a.JSON {
			_ = a.Emit(struct {
				Type string `json:"type"`
				check.Result
			}{"store-check", r})
			return
		}
		text, more := screen.Clean(r.Text), ""
		if r.Grade != check.Good { // a sentence, not a number
			text, more = "", "\n"+strings.ReplaceAll("        "+wrap(text, 90), "\n", "\n        ")
		}
		a.Printf("%s%s\n", strings.TrimRight(fmt.Sprintf("  %s  %-46s %8s  %s", words[r.Grade], r.Step, took(r.Took.Seconds()), text), " "), more)
	}})
	var given *retry.GivenUpError
	if errors.As(err, &given) {
		return fmt.Errorf("nothing can be said about %s: %w", store.Location(), err)
	}
	notes := 0
	for _, r := range results {
		if r.Grade == check.Note {
			notes++
		}
	}
	verdict := "fit"
	switch {
	case errors.Is(err, check.ErrUnfit):
		verdict, a.Code = "unfit", runbook.ExitFailed
	case errors.Is(err, check.ErrUntried):
		verdict, a.Code = "untried", runbook.ExitWarnings
	case err != nil:
		return fmt.Errorf("the trial of %s was not finished: %w", store.Location(), err)
	case notes > 0:
		verdict, a.Code = "fit with notes", runbook.ExitWarnings
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "store", "store": store.Location(), "verdict": verdict, "object_lock": lock, "left": left})
	}
	for _, l := range left {
		a.Printf("\nLeft behind: %s/%s (%d bytes): %s.\n", strings.TrimRight(store.Location(), "/"), l.File, l.Size, screen.Clean(l.Why))
	}
	can := "can hold a repository"
	if lock != "" {
		can += " and keeps locked files from being removed"
	}
	switch verdict {
	case "fit":
		a.Printf("\n%s This store %s.\n", paint.Green("Fit."), can)
	case "unfit":
		a.Printf("\n%s Do not trust a repository to this store before what is called BAD is mended.\n", paint.Red("Unfit."))
	case "untried":
		a.Printf("\n%s Whether this store can hold a repository was not tried.\n", paint.Yellow("Left alone."))
	default:
		a.Printf("\n%s This store %s, if what is called a note suits you.\n", paint.Yellow("Fit, with notes."), can)
	}
	return nil
}
