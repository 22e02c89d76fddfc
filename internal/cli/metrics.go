package cli

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/recovery"
	"lifeboat/internal/routine"
	"lifeboat/internal/routine/metrics"
	"lifeboat/internal/runbook"
)

// metricsPatience is how long the repositories are waited for: nobody waits for this.
const metricsPatience = 20 * time.Second

func (a *app) metricsCommand() *cobra.Command {
	limit := metricsPatience
	c := &cobra.Command{
		Use: "metrics", Short: "Print how protected the systems are, for Prometheus",
		Long: `Prints what status shows in the text form of Prometheus: for each system and
repository the newest point, the copies, the last verify, and for each system the last
drill with what it has measured, the last runs, the jobs of the schedule and what
somebody should look at. Times are seconds since 1970; an age is time() minus one.

With metrics: {textfile: FILE} in the configuration they are also written to that file
after each run, for the textfile collector of the node exporter.`,
		Example: "  lifeboat metrics\n  lifeboat metrics --json",
		Args:    screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			set, err := a.metrics(c.Context(), limit)
			if err != nil {
				return err
			}
			if !a.JSON {
				return set.Write(a.Out)
			}
			for _, v := range set.Values() {
				if err := a.Emit(v); err != nil {
					return err
				}
			}
			return nil
		},
	}
	durationVar(c.Flags(), &limit, "time-limit", "wait at most `TIME` for the repositories, all together")
	return c
}

// metrics collects them. It takes no lock.
func (a *app) metrics(ctx context.Context, limit time.Duration) (*metrics.Set, error) {
	a.noLock = true
	views, err := a.protection(ctx, nil, limit)
	if err != nil {
		return nil, err
	}
	conf := a.known()
	runs, _ := runbook.List(a.state(conf)) // what cannot be read is a finding
	book := routine.NewBook(a.state(conf))
	var systems []metrics.System
	for _, v := range views {
		if v.Orphaned {
			continue
		}
		attempt, _ := book.Attempt(v.System) // one that cannot be read is a finding
		s := metrics.System{Status: v.Status, Findings: v.Findings, Runs: lastRuns(runs, attempt, v.System)}
		for _, j := range v.Jobs {
			s.Jobs = append(s.Jobs, metrics.Job{Name: j.Job, Last: j.Last, Running: j.Running, Next: j.Next})
		}
		systems = append(systems, s)
	}
	var notices []metrics.Notice
	for _, n := range conf.Notices {
		t, err := book.Told(n.Name)
		if err != nil {
			continue // a finding of the systems that it is about
		}
		notices = append(notices, metrics.Notice{Name: n.Name, Told: t})
	}
	return metrics.Collect(screen.Version, time.Now(), systems, notices), nil
}

// lastRuns are the newest runs of a system that have ended, one of each kind. A backup
// that could not even begin is one.
func lastRuns(runs []*runbook.Run, attempt routine.Attempt, system string) []metrics.Run {
	var last []metrics.Run
	for _, kind := range []string{config.JobBackup, recovery.Kind} {
		if kind == config.JobBackup && !attempt.Started.IsZero() && !attemptIsOver(runs, attempt, system) {
			last = append(last, metrics.Run{Kind: kind, Finished: attempt.Finished, Seconds: attempt.Finished.Sub(attempt.Started).Seconds(), Exit: attempt.Exit})
			continue
		}
		for _, r := range slices.Backward(runs) {
			if r.System != system || r.Kind != kind || r.State == runbook.StateRunning {
				continue
			}
			last = append(last, metrics.Run{Kind: kind, Finished: r.Finished, Seconds: r.Seconds, Exit: r.State.ExitCode()})
			break
		}
	}
	return last
}

// writeMetrics writes the file that the configuration names, after a run. That it
// cannot is a warning.
func (a *app) writeMetrics(ctx context.Context, conf *config.Config) {
	file := conf.Metrics.Textfile
	if file == "" {
		return
	}
	look := a.silent()
	ctx, cancel := a.unhurried(ctx)
	defer cancel()
	err := func() error {
		set, err := look.metrics(ctx, metricsPatience)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := set.Write(&text); err != nil {
			return err
		}
		// Others read it; there is no secret in it.
		return renameio.WriteFile(file, text.Bytes(), 0o644, renameio.IgnoreUmask())
	}()
	if err != nil {
		code := a.Code
		_ = a.warn(fmt.Errorf("metrics were not written to %s: %w", file, err))
		if code != runbook.ExitDone {
			a.Code = code
		}
	}
}
