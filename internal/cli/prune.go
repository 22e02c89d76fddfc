package cli

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
)

// pruneFlags say how a prune is done.
type pruneFlags struct {
	maxUnused string
	maxRepack string
	keepPacks bool
	locked    bool
	unsafe    bool
	dry       bool
}

// options checks the flags.
func (f pruneFlags) options() (repository.PruneOptions, error) {
	o := repository.PruneOptions{DryRun: f.dry, KeepPacks: f.keepPacks, RepackLocked: f.locked, Unsafe: f.unsafe}
	text, percent := strings.CutSuffix(f.maxUnused, "%")
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n >= 100 || (!percent && n != 0) {
		return o, screen.Usagef("--max-unused %q is no share: write one like 5%%, or 0", f.maxUnused)
	}
	o.MaxUnused = n / 100
	if f.maxRepack == "" {
		return o, nil
	}
	if o.MaxRepack, err = config.ParseSize(f.maxRepack); err != nil || o.MaxRepack == 0 {
		return o, screen.Usagef("--max-repack %q is no size: write one like 20G; --keep-packs stores nothing anew", f.maxRepack)
	}
	return o, nil
}

func (a *app) pruneCommand() *cobra.Command {
	var f pruneFlags
	c := &cobra.Command{
		Use:   "prune",
		Short: "Free the space of what no recovery point needs",
		Long: `Deletes from the repository what no recovery point, pin or other snapshot needs:
the data of forgotten points and what interrupted backups have left. Nobody else
can use the repository meanwhile. It may be interrupted at any time; the next
one finishes. Without --repository every repository of the configuration is
pruned.

In a full store, forget first: that needs no room. What no index lists is deleted
before anything is written then. Where there is no room even for a lock or an
index file, --unsafe-recover-no-free-space is the last resort. It removes first and
writes afterwards, the beginning of it without a lock: see that nobody else, no
restic either, uses the repository, on any machine. Killed in between, or with the
room taken by others, it leaves packs that no index lists, of which no data is
lost: lifeboat repository repair lists them again, when there is room.`,
		Example: `  lifeboat prune --dry-run
  lifeboat prune --repository second --max-unused 0
  lifeboat prune --keep-packs          # when the store is full
  lifeboat prune --unsafe-recover-no-free-space   # when it is full to the last byte`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			opts, err := f.options()
			if err != nil {
				return err
			}
			return a.onTargets(c.Context(), func(r config.Repository, repo *repository.Repository) error {
				_, err := a.prune(c.Context(), r, repo, opts)
				return err
			})
		},
	}
	c.Flags().BoolVarP(&f.dry, "dry-run", "n", false, "show what would be deleted, and how many bytes that frees")
	f.register(c)
	a.repositoryFlags(c)
	return c
}

func (f *pruneFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.maxUnused, "max-unused", "5%", "leave at most so much of the repository unused: `SHARE` in percent, or 0")
	c.Flags().StringVar(&f.maxRepack, "max-repack", "", "store at most packs of `SIZE` anew, like 20G")
	c.Flags().BoolVar(&f.locked, "repack-locked", false, "store anew also what is needed of packs that object lock keeps for now")
	c.Flags().BoolVar(&f.keepPacks, "keep-packs", false, "store nothing anew, delete only what is unused as a whole: a full store has room for that")
	c.Flags().BoolVar(&f.unsafe, "unsafe-recover-no-free-space", false, "UNSAFE, for a store without room for a lock or an index: remove first, write afterwards")
}

// pruneView is a prune as --json shows it.
type pruneView struct {
	Type       string `json:"type"`
	Repository string `json:"repository"`
	*repository.PruneReport
}

// pruneStages say what a prune is doing, followed by how much of it is done.
var pruneStages = map[repository.PruneStage]string{
	repository.PruneWalk:   "directories looked through:",
	repository.PruneRepack: "stored anew:",
	repository.PruneIndex:  "index files written:",
	repository.PruneDelete: "files deleted:",
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// prune prunes one repository and tells what became of it.
func (a *app) prune(ctx context.Context, r config.Repository, repo *repository.Repository, opts repository.PruneOptions) (*repository.PruneReport, error) {
	m := a.meter()
	opts.Progress = func(stage repository.PruneStage, done, total int64) {
		text := number
		if stage == repository.PruneRepack {
			text = size
		}
		m.show("Repository %s: %s %s", called(r), pruneStages[stage], part(done, total, text))
	}
	report, err := repo.Prune(ctx, opts)
	m.clear()
	if errors.Is(err, repository.ErrDamaged) {
		// What is damaged may be needed: nothing goes.
		return nil, runbook.Refuse("", "repository %s: %v", called(r), err)
	}
	if err != nil {
		return nil, err
	}
	if report.Refused.Packs > 0 && !report.Retained { // a lock is what was asked for, and ends
		a.Code = runbook.ExitWarnings
	}
	a.account.fact("repository " + called(r) + ": " + screen.FirstLine(prunedText(report)))
	if a.JSON {
		return report, a.Emit(pruneView{Type: "prune", Repository: called(r), PruneReport: report})
	}
	a.Printf("%s %s\n", screen.PainterFor(a.Out).Bold("Repository "+called(r)+":"), prunedText(report))
	if (opts.KeepPacks || opts.Unsafe) && report.Left.Bytes > 0 {
		a.Printf("What is unused lies in packs of which something is needed. To free it, that is stored anew first: lifeboat prune --dry-run -r %s says how much room that takes.\n", called(r))
	}
	return report, nil
}

// prunedText says in one or two lines what a prune did or would do.
func prunedText(r *repository.PruneReport) string {
	would := func(done, planned string) string {
		if r.DryRun {
			return planned
		}
		return done
	}
	var b strings.Builder
	if r.Deleted.Packs == 0 && r.Refused.Packs == 0 {
		b.WriteString("there is nothing to free")
	} else {
		b.WriteString(size(max(r.Freed, 0)) + would(" freed: ", " would be freed: ") + screen.Count(r.Deleted.Packs, "pack", "packs") + would(" deleted", " would be deleted"))
		if r.Repacked.Packs > 0 {
			b.WriteString(", what is needed of " + screen.Count(r.Repacked.Packs, "pack", "packs") + " stored anew (" + size(r.Written) + would(")", ", before anything is deleted: so much room is needed meanwhile)"))
		}
	}
	b.WriteString("; " + size(r.Total.Bytes-r.Freed) + would(" stay", " would stay"))
	if r.Left.Bytes > 0 {
		b.WriteString(", " + size(r.Left.Bytes) + " of it unused")
	}
	b.WriteString(".")
	if n := r.Leftovers.Files; n > 0 {
		b.WriteString("\n" + screen.Count(n, "unfinished file", "unfinished files") + " of interrupted uploads (" + size(r.Leftovers.Bytes) + ")" + would(" removed.", " would be removed."))
	}
	if r.Locked.Packs > 0 {
		b.WriteString("\n" + size(r.Locked.Bytes) + " of that are in " + screen.Count(r.Locked.Packs, "pack", "packs") + " that object lock keeps: to store what is needed of them anew would free nothing now. A prune when the locks have ended does; with --repack-locked that is stored anew at once, and the old packs go when their locks end.")
	}
	if r.Refused.Packs > 0 {
		b.WriteString("\nThe store does not let " + screen.Count(r.Refused.Packs, "pack", "packs") + " (" + size(r.Refused.Bytes) + ") go yet: " + screen.Printable(r.Reason) + ". A later prune deletes them.")
	}
	return b.String()
}
