package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component/files"
	"lifeboat/internal/host"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

func (a *app) restoreCommand() *cobra.Command {
	var target, from string
	var force, only []string
	c := &cobra.Command{
		Use:   "restore SYSTEM COMPONENT|PATH…",
		Short: "Restore components or paths",
		Long: `Restores components to where they were, what is there being set aside; or, with
--target, components and paths into a directory, touching nothing else. --only
COMPONENT means the same as the component alone.
Restoring in place does not stop the system: stop it yourself, or use recover.
A component that the point does not have, or that is only compared and never
written (a network), is refused with exit code 2. One of which something could
not be written has failed, whatever its importance: exit code 1, and recover
SYSTEM --resume goes on.`,
		Example: `  lifeboat restore smt database
  lifeboat restore opsi --only file-backend,database
  lifeboat restore smt certificate-authority --target /tmp/look
  lifeboat restore smt database --force hostname
  lifeboat restore smt /etc/smt.conf --target /tmp/look --from 1a2b3c4d`,
		Args: screen.Args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			for _, name := range only {
				if strings.HasPrefix(name, "/") {
					return screen.Usagef("--only takes components; a path stands alone: lifeboat restore %s %s --target DIR", names[0], name)
				}
			}
			if names = append(names, only...); len(names) < 2 {
				return screen.Usagef("what is to be restored? Give components or paths; lifeboat show %s lists the components, lifeboat recover %s restores all", names[0], names[0])
			}
			ctx := c.Context()
			v, system, closeVault, err := a.openFor(ctx, names)
			if err != nil {
				return err
			}
			defer closeVault()
			find := a.find
			if target == "" {
				find = func(ctx context.Context, v *vault.Vault, reference string, filter vault.Filter) (*vault.Point, error) {
					return a.findSurely(ctx, v, reference, filter, force)
				}
			}
			p, err := find(ctx, v, from, vault.Filter{System: system})
			if err != nil {
				return err
			}
			var components, paths []string
			for _, n := range names[1:] {
				if strings.HasPrefix(n, "/") {
					paths = append(paths, filepath.Clean(n))
				} else {
					components = append(components, n)
				}
			}
			if target != "" {
				if len(force) > 0 {
					return screen.Usagef("--force is for a restore in place; into a directory nothing is compared")
				}
				return a.extract(ctx, p, components, paths, target)
			}
			if len(paths) > 0 {
				return screen.Usagef("a single path is restored into a directory: give --target DIR (--target / writes it to its place, and refuses when something is there)")
			}
			return a.restoreInPlace(ctx, p, components, force)
		},
	}
	c.Flags().VarP((*screen.Path)(&target), "target", "t", "write below `DIR` instead of in place")
	c.Flags().StringSliceVar(&only, "only", nil, "restore `COMPONENT[,COMPONENT]`")
	c.Flags().StringSliceVar(&force, "force", nil, "in place, go on although `CHECK[,CHECK]` of the identity does not agree")
	c.Flags().StringVar(&from, "from", "latest", "recovery `POINT`")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	a.readFlags(c)
	return c
}

// restoreInPlace is a recovery of single components, with everything that
// belongs to one: journal, aside, rollback.
func (a *app) restoreInPlace(ctx context.Context, p *vault.Point, components, force []string) error {
	return a.recover(ctx, p.System(), recoverFlags{
		from: p.ID(), only: components, keepOld: true, force: force,
		question: "Restore " + strings.Join(components, ", ") + " in place? What is there is set aside, not deleted.",
	})
}

func (a *app) extract(ctx context.Context, p *vault.Point, components, paths []string, target string) error {
	pr, err := a.catalogue().Load(p.Profile())
	if err != nil {
		return screen.Usage(err)
	}
	r, err := recovery.New(recovery.Options{System: p.System(), Profile: pr, Catalog: catalog(), Host: host.Local(), Point: p, Only: components})
	if err == nil {
		err = os.MkdirAll(target, 0o700)
	}
	if err != nil {
		return err
	}
	for _, name := range components {
		if err := r.Extract(ctx, name, target); err != nil {
			return err
		}
		if err := a.restored(name, target, -1); err != nil {
			return err
		}
	}
	for _, at := range paths {
		above, err := files.Above(ctx, p, at, target)
		if err != nil {
			return err
		}
		to := filepath.Join(above, filepath.Base(at))
		stats, err := p.RestorePath(ctx, at, to, repository.RestoreOptions{Warn: func(m string) {
			a.Code = runbook.ExitWarnings
			fmt.Fprintf(a.Err, "lifeboat: warning: %s\n", m)
		}})
		if err != nil {
			return err
		}
		if err := a.restored(at, to, stats.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// restored tells of one part written to a directory; bytes below 0 are unknown.
func (a *app) restored(what, to string, bytes int64) error {
	if a.JSON {
		return a.Emit(map[string]any{"type": "restored", "what": what, "target": to, "bytes": max(bytes, 0)})
	}
	if bytes < 0 {
		a.Printf("%s restored below %s\n", what, to)
		return nil
	}
	a.Printf("%s restored to %s (%s)\n", what, to, size(bytes))
	return nil
}
