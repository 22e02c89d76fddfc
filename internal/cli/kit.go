package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/kit"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/redact"
)

func (a *app) kitCommand() *cobra.Command {
	var output screen.Path
	var total, threshold int
	c := &cobra.Command{
		Use:   "kit [SYSTEM...]",
		Short: "Make the recovery kit: paper for the safe that leads back to the recovery points",
		Long: `Writes a sheet of one or two pages as PDF and as plain text: where the repository
is, who must answer there, how to get in with Lifeboat and with stock restic, what
each recovery does, and which secrets are elsewhere. A new key of the repository is
made for it, and its password stands on the sheet.

With --shares the password is split: each share is a page for one person, and any
THRESHOLD of them open the repository; fewer know nothing of it.

Print the files, put the paper away, and remove the files.`,
		Example: `  lifeboat kit --output /root/kit
  lifeboat kit smt --output /root/kit --shares 5 --threshold 3
  lifeboat kit --output /root/kit.pdf --repository second
  lifeboat kit list
  lifeboat kit revoke 7F3K`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, names []string) error {
			if output == "" {
				return screen.Usagef("--output says where the kit is written: a directory, or one PDF")
			}
			if c.Flags().Changed("shares") && !c.Flags().Changed("threshold") {
				threshold = total/2 + 1
			}
			return a.makeKit(c.Context(), names, kit.Options{Output: string(output), Total: total, Threshold: threshold})
		},
	}
	c.Flags().Var(&output, "output", "write into `DIR`, with each share in files of its own, or into one FILE.pdf and its FILE.txt")
	c.Flags().IntVar(&total, "shares", 0, "split the password among `N` people")
	c.Flags().IntVar(&threshold, "threshold", 0, "so `MANY` shares give the password (default: more than half)")
	a.repositoryFlags(c)
	c.AddCommand(a.kitRecoverCommand(), a.kitListCommand(), a.kitRevokeCommand())
	return c
}

func (a *app) makeKit(ctx context.Context, names []string, o kit.Options) error {
	if o.Threshold > 0 && o.Total == 0 {
		return screen.Usagef("--threshold goes with --shares")
	}
	if err := o.Validate(); err != nil {
		return screen.Usage(err)
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	if err := a.kitSystems(conf, names, &o); err != nil {
		return err
	}
	repo, err := a.openWith(ctx, o.Repository, a.password)
	if err != nil {
		return err
	}
	o.Vault, o.Catalog, o.Host = a.vaultOf(conf, repo), catalog(), host.Local()
	o.Elsewhere, o.StateDir, o.Version = conf.Kit.Elsewhere, a.state(conf), screen.Version
	made, err := kit.Make(ctx, o)
	if err = errors.Join(err, repo.Close()); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return runbook.Refuse("", "%v", err)
		}
		return err
	}
	if a.JSON {
		return a.Emit(kitView{
			Type: "kit", ID: made.ID, Created: made.Created, Repository: made.Location, RepositoryID: made.RepositoryID, Key: made.Key,
			Systems: made.Systems, Shares: made.Shares, Threshold: made.Threshold, State: kit.Valid, Recorded: true,
			Files: made.Files, Unassigned: made.Unassigned, Pointless: made.Pointless,
		})
	}
	a.Printf("Recovery kit %s of %s, for %s\n", screen.PainterFor(a.Out).Bold(made.ID), strings.Join(made.Systems, ", "), made.Location)
	for _, f := range made.Files {
		a.Printf("  %s\n", f)
	}
	hint := screen.PainterFor(a.Out).Yellow("Now:")
	if made.Shares == 0 {
		a.Printf("%s print the sheet, put it into a safe away from this machine, and remove the files:\nits password opens the repository.\n", hint)
	} else {
		a.Printf("%s print the files, give each of %d people one share, and remove the files:\nany %d shares open the repository.\n", hint, made.Shares, made.Threshold)
	}
	if len(made.Unassigned) > 0 {
		a.Printf("Nobody is named for: %s. Fill it in by hand, or in %s:\n  kit: {elsewhere: [{what: %s, who: …}]}\n", strings.Join(made.Unassigned, ", "), a.configFile, made.Unassigned[0])
	}
	for _, s := range made.Pointless {
		a.Printf("%s has no recovery point there yet (lifeboat backup %s).\n", s, s)
	}
	return nil
}

// kitSystems chooses systems and the one repository that the kit is for.
func (a *app) kitSystems(conf *config.Config, names []string, o *kit.Options) error {
	if len(conf.Systems) == 0 {
		return screen.Usagef("%s names no system", a.configFile)
	}
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	r, err := a.chooseRepository(conf, first)
	if err != nil {
		return err
	}
	if r.Store, err = a.storeOf(r.URL, r.Store); err != nil {
		return err
	}
	o.Repository = r
	wanted := conf.Systems
	if len(names) > 0 {
		wanted = nil
		for _, name := range names {
			s, err := a.system(conf, []string{name})
			if err != nil {
				return err
			}
			wanted = append(wanted, s)
		}
	}
	others := map[string]bool{r.Name: true}
	profiles, err := a.catalogue().List()
	if err != nil {
		return err
	}
	for _, s := range wanted {
		list := conf.RepositoriesOf(s)
		has := r.Name == "" // one that only the command line knows
		for _, of := range list {
			has = has || of.Name == r.Name
		}
		if !has {
			if len(names) > 0 {
				return screen.Usagef("system %s has nothing in repository %s; make a kit of its own for it, or name a repository of all with --repository", s.Name, called(r))
			}
			continue
		}
		p, err := a.catalogue().Load(s.Profile)
		if err != nil {
			return screen.Usage(err)
		}
		o.Systems = append(o.Systems, kit.System{System: s, Profile: p, Site: slices.ContainsFunc(profiles, func(e profile.Entry) bool { return e.Name == s.Profile && e.Site })})
		for _, of := range list {
			if !others[of.Name] {
				others[of.Name] = true
				o.Others = append(o.Others, of)
			}
		}
	}
	if len(o.Systems) == 0 {
		return screen.Usagef("no system has points in repository %s", called(r))
	}
	return nil
}

func (a *app) kitRevokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke KIT",
		Short: "Make a recovery kit useless",
		Long: `Removes the kit's key from the repository, so that its password, and its shares,
open it no more. Who had the password and a copy of the key file can still read what
was there: where the paper was stolen, make a new repository.`,
		Example: "  lifeboat kit list\n  lifeboat kit revoke 7F3K",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			if a.repository == "" {
				a.repository = kitLocation(conf, a.state(conf), names[0])
			}
			repo, err := a.openRepository(c.Context(), conf, "")
			if err != nil {
				return err
			}
			defer repo.Close()
			s, err := kit.Find(c.Context(), repo, a.state(conf), names[0])
			if errors.Is(err, kit.ErrNoKit) {
				err = fmt.Errorf("%w (lifeboat kit list shows what there is)", err)
			}
			if err != nil {
				return err
			}
			if s.State == kit.Valid {
				if err := screen.Confirm(c.Context(), fmt.Sprintf("Make recovery kit %s of %s useless?", s.ID, repo.Location()), a.yes); err != nil {
					return err
				}
			}
			if err := kit.Revoke(c.Context(), repo, a.state(conf), s); err != nil {
				return err
			}
			if a.JSON {
				return a.Emit(map[string]string{"type": "kit-revoked", "id": s.ID, "key": s.Key})
			}
			a.Printf("Recovery kit %s opens nothing any more. Destroy its paper.\n", s.ID)
			return nil
		},
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	a.repositoryFlags(c)
	return c
}

// kitLocation is the configured repository of a recorded kit, "" for the usual one.
func kitLocation(conf *config.Config, stateDir, id string) string {
	records, _ := kit.Records(stateDir)
	for _, r := range records {
		if !strings.EqualFold(r.ID, id) {
			continue
		}
		for _, of := range conf.Repositories {
			if redact.URL(of.URL) == r.Location {
				return of.Name
			}
		}
	}
	return ""
}
