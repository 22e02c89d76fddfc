package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/repository"
	"lifeboat/internal/routine"
	"lifeboat/internal/vault"
)

func (a *app) verifyCommand() *cobra.Command {
	var readData, accept, against bool
	var subset string
	f := againstFlags{limit: 20}
	c := &cobra.Command{
		Use:   "verify [SYSTEM]",
		Short: "Check that recovery points are whole, or compare one with this machine",
		Long: `Checks that everything the recovery points refer to is in the repository. With
--read-data every byte is read, decrypted and compared with its name; with
--read-data-subset a part of it.

This machine remembers, in a signed record of its own, which points and pins there
were. Verify tells when one vanished or was altered, or when another repository or
an older state of it lies there, although this machine did nothing of the kind
(exit code 1; 3 for a pin, whose point stays until that is settled). Where that was
meant, a point forgotten on another machine say, --accept makes the present state
the one that is remembered.

With --against-source the newest point, or --point, is compared with the live
system, component by component. Nothing is changed, not even access times. What
was written since the point is told apart from what differs although its times
say that nobody wrote to it: exit code 3 for the one, 1 for the other and for
what could not be read. Files are read and hashed; --quick trusts change times.`,
		Example: `  lifeboat verify
  lifeboat verify smt --read-data
  lifeboat verify smt --read-data-subset 1/7
  lifeboat verify --accept
  lifeboat verify smt --against-source
  lifeboat verify smt --against-source --point 1a2b3c4d --only configuration`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			ctx := c.Context()
			a.noCache = true // it is the repository that is verified
			if readData && subset != "" {
				return screen.Usagef("--read-data reads all, --read-data-subset a part of it: one at a time")
			}
			check := repository.CheckOptions{ReadData: readData, Subset: subset}
			if err := check.Validate(); err != nil {
				return screen.Usage(fmt.Errorf("--read-data-subset: %w", err))
			}
			if against {
				if readData || subset != "" || accept {
					return screen.Usagef("--against-source reads the live system, --read-data and --accept look at the repository: one at a time")
				}
				return a.verifyAgainst(ctx, names, f)
			}
			if len(f.only) > 0 || f.quick || c.Flags().Changed("limit") {
				return screen.Usagef("--only, --quick and --limit go with --against-source")
			}
			v, system, closeVault, err := a.openFor(ctx, names)
			if err != nil {
				return err
			}
			defer closeVault()
			used, err := a.chooseRepository(a.known(), system)
			if err != nil {
				return err
			}
			if f.point != "" && vault.IsLatest(f.point) {
				p, err := a.find(ctx, v, f.point, vault.Filter{System: system})
				if err != nil {
					return err
				}
				f.point = p.ID()
			}
			report, err := v.Verify(ctx, vault.VerifyOptions{
				Filter: vault.Filter{System: system}, Point: f.point,
				Check: check,
			})
			if err != nil {
				return err
			}
			if accept && !report.Untouched() {
				if err := a.acceptHead(ctx, v, report); err != nil {
					return err
				}
			}
			if f.point == "" && report.OK() && !report.Missed() {
				// What was found counts, also where it cannot be remembered.
				if err := a.noteVerified(system, report); err != nil {
					if err := a.warn(err); err != nil {
						return err
					}
				}
			}
			return a.showVerify(ctx, report, used, readData)
		},
	}
	c.Flags().BoolVar(&readData, "read-data", false, "read and check every byte")
	c.Flags().StringVar(&subset, "read-data-subset", "", "read a part: `N/T` or P%")
	c.Flags().BoolVar(&accept, "accept", false, "show what changed without this machine, and remember it as right")
	c.Flags().StringVar(&f.point, "point", "", "only this recovery `POINT` must be whole, or is compared")
	c.Flags().BoolVar(&against, "against-source", false, "compare a recovery point with the live system")
	c.Flags().StringSliceVar(&f.only, "only", nil, "compare only `COMPONENT[,COMPONENT]`")
	c.Flags().BoolVar(&f.quick, "quick", false, "do not read files whose change time is the stored one")
	c.Flags().IntVar(&f.limit, "limit", f.limit, "list at most `N` differences of a sort in each component, 0 for all")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	a.readFlags(c)
	return c
}

// noteVerified remembers for status that a repository of the configuration was found
// whole.
func (a *app) noteVerified(system string, report *vault.Verification) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	r, err := a.chooseRepository(conf, system)
	if err != nil || r.Name == "" {
		return err
	}
	for _, s := range conf.Systems {
		points := 0
		for _, p := range report.Points {
			if p.System == s.Name {
				points++
			}
		}
		if points == 0 || system != "" && system != s.Name {
			continue
		}
		done := routine.Verified{Time: time.Now(), Points: points, Bytes: report.Bytes, Read: report.BytesRead}
		if err := routine.NewBook(a.state(conf)).SetVerified(s.Name, r.Name, done); err != nil {
			return err
		}
	}
	return nil
}
