package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/guard"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage/redact"
)

func (a *app) initCommand() *cobra.Command {
	var wanted []string
	var second string
	c := &cobra.Command{
		Use:   "init",
		Short: "Set this machine up: find systems, write the configuration, make the repository",
		Long: `Looks which products with a profile are on this machine, writes the
configuration file, makes the repository (or uses the one that is there) with a
random password in a file of its own, and installs the boot unit that starts a
system again when power failed during a backup. The host itself is protected only
where no product was found, or where --profile names its profile. With --second it makes a second
repository, which gets a copy of every point; that can be done later too.`,
		Example: `  lifeboat init --repository /backup/lifeboat
  lifeboat init --repository /backup/lifeboat --profile smt --password-file /root/password
  lifeboat init --second sftp:backup@vault.example.com:/lifeboat`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.init(c.Context(), wanted, second) },
	}
	c.Flags().StringVar(&second, "second", "", "make a second repository at this `URL`")
	c.Flags().StringSliceVar(&wanted, "profile", nil, "protect these products (default: what is found)")
	a.repositoryFlags(c)
	c.Flags().Lookup("repository").Usage = "`URL` of the repository (default /var/lib/lifeboat/repository)"
	return c
}

func (a *app) init(ctx context.Context, wanted []string, second string) error {
	if os.Geteuid() != 0 {
		return errors.New("init needs root: it reads and writes what belongs to root")
	}
	if a.isSetUp() {
		if second != "" && a.repository == "" && len(wanted) == 0 {
			return a.addSecond(ctx, second)
		}
		return screen.Usagef("%s is there already; edit it, or remove it first", a.configFile)
	}
	found, err := a.found(ctx, wanted)
	if err != nil {
		return err
	}
	url, err := absoluteURL(firstOf(a.repository, filepath.Join(config.DefaultStateDir, "repository")))
	if err != nil {
		return err
	}
	from, err := a.password.given()
	if err != nil {
		return err
	}
	generated := false
	if from.IsZero() {
		from.File = filepath.Join(filepath.Dir(a.configFile), "repository.key")
		if generated, err = writePassword(from.File); err != nil {
			return err
		}
	}
	from.Dir = "" // as the configuration will run it
	password, err := a.readPassword(ctx, from, "password of the repository")
	if err != nil {
		return err
	}
	defer clear(password)
	store, err := a.storeOf(url, config.Store{})
	if err != nil {
		return err
	}
	main := config.Repository{Name: "main", URL: url, Password: from, Store: store}
	made, err := a.ensureRepository(ctx, main, password, nil)
	if errors.Is(err, repository.ErrWrongPassword) && generated {
		// A new password opens nothing that is there already.
		return errors.Join(fmt.Errorf("a repository is there already, and its password was not given: name a file that holds it with --password-file: %w", err), os.Remove(from.File))
	}
	if err != nil {
		return err
	}
	conf := config.Config{StateDir: firstOf(a.stateDir, config.DefaultStateDir), Repositories: []config.Repository{main}}
	names := []string{main.Name}
	var copies config.Repository
	var madeSecond bool
	if second != "" {
		if copies, madeSecond, err = a.initSecond(ctx, second, main, password); err != nil {
			return err
		}
		conf.Repositories, names = append(conf.Repositories, copies), append(names, copies.Name)
	}
	for _, p := range found {
		conf.Systems = append(conf.Systems, config.System{Name: p.Name, Profile: p.Name, Repositories: names})
	}
	if err := config.Write(a.configFile, &conf); err != nil {
		return err
	}
	if self, err := os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	} else if err := guard.InstallBootUnit(host.Local(), self); err != nil {
		return err
	}
	if a.JSON {
		view := map[string]any{"type": "init", "config": a.configFile, "repository": redact.URL(url), "created": made, "systems": conf.SystemNames()}
		if second != "" {
			view["second"], view["second_created"] = redact.URL(copies.URL), madeSecond
		}
		return a.Emit(view)
	}
	word := "Found   "
	if len(wanted) > 0 {
		word = "Chosen  "
	}
	a.Printf("%s       %s\n", word, titles(found))
	a.Printf("Configuration  %s\n", a.configFile)
	a.Printf("Repository     %s (%s)\n", redact.URL(url), madeText(made))
	if second != "" {
		a.Printf("Second copy    %s (%s)\n", redact.URL(copies.URL), madeText(madeSecond))
	}
	a.Printf("Password       %s\n", firstOf(from.File, strings.Join(from.Command, " ")))
	a.Printf("\n%s Copy that password to a safe place off this machine now: without it nobody can read the repository.\n", screen.PainterFor(a.Out).Yellow("Important:"))
	if isPath(url) {
		a.Printf("Keep the repository on another disk or machine than the system it protects.\n")
	}
	a.Printf("Next: lifeboat review\n")
	return nil
}

// found lists the profiles to protect.
func (a *app) found(ctx context.Context, wanted []string) ([]*profile.Profile, error) {
	var found []*profile.Profile
	if len(wanted) > 0 {
		for _, name := range wanted {
			p, err := a.catalogue().Load(name)
			if err != nil {
				return nil, screen.Usage(err)
			}
			if !p.Protects() {
				return nil, screen.Usagef("profile %s is about upgrades alone; there is nothing to back up in it", name)
			}
			found = append(found, p)
		}
		return found, nil
	}
	detected, err := a.catalogue().Detect(ctx, host.Local())
	if err != nil {
		return nil, err
	}
	for _, d := range detected {
		if d.Err != nil {
			return nil, d.Err
		}
		if d.Found && d.Profile.Protects() {
			found = append(found, d.Profile)
		}
	}
	// The host itself is there on every machine of its kind. It is not taken beside a
	// product unless somebody wants it: it is a backup of another size.
	products := slices.DeleteFunc(slices.Clone(found), func(p *profile.Profile) bool { return p.Upgrade != nil })
	if len(products) > 0 {
		found = products
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no product with a profile was found on this machine; lifeboat profile list shows what is known, and --profile NAME chooses one")
	}
	return found, nil
}

// writePassword makes a random password file; one that is there is kept, for
// it may open a repository.
func writePassword(file string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write password file: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s\n", repository.NewPassword()); err != nil {
		return false, fmt.Errorf("write password file: %w", err)
	}
	return true, f.Sync()
}

// isPath tells a directory of this machine from an address.
func isPath(url string) bool {
	return !strings.Contains(url, ":") || strings.HasPrefix(url, "/") || strings.HasPrefix(url, ".")
}

func titles(found []*profile.Profile) string {
	s := ""
	for i, p := range found {
		if i > 0 {
			s += ", "
		}
		s += p.Title
	}
	return s
}

func (a *app) detectCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "detect",
		Short:   "Show which products with a profile are on this machine",
		Example: "  lifeboat detect",
		Args:    screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			detected, err := a.catalogue().Detect(c.Context(), host.Local())
			if err != nil {
				return err
			}
			var rows [][]string
			for _, d := range detected {
				p, holds, why := d.Profile, d.Found, d.Why
				if d.Err != nil {
					why = d.Err.Error()
				}
				if a.JSON {
					if err := a.Emit(map[string]any{"type": "detection", "profile": p.Name, "found": holds, "why": why}); err != nil {
						return err
					}
					continue
				}
				word := "no"
				if holds {
					word = "yes"
				}
				rows = append(rows, []string{p.Name, p.Title, word, screen.FirstLine(why)})
			}
			if !a.JSON {
				a.Table([]string{"profile", "product", "found", "seen"}, rows)
			}
			return nil
		},
	}
}
