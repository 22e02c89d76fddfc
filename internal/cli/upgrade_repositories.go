package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// repositoriesFlags are the options of that verb.
type repositoriesFlags struct {
	to, facts string
	root      screen.Path
	remove    []string
	add, save screen.Path
}

func (a *app) upgradeRepositoriesCommand() *cobra.Command {
	f := repositoriesFlags{root: "/"}
	c := &cobra.Command{
		Use:   "repositories",
		Short: "Compare the package repositories with those of a release; remove and re-add them by list",
		Long: `Shows which package repositories the release of this host, or the one that --to names,
requires, which are optional or belong to modules, which are missing, and which belong
to another release. Names differ between documents and machines; the usual differences
are known. A required one that is missing or disabled is exit code 3.

--remove removes repositories by alias, or all superfluous ones. They are written to a
file first, as they stand: --add brings back what such a file lists. Variables in their
addresses, such as $RCE and $releasever, stay as they are. An upgrade itself removes
nothing; it disables the old ones.`,
		Example: `  lifeboat upgrade repositories
  lifeboat upgrade repositories --to "SLES 12"
  lifeboat upgrade repositories --remove superfluous --save /root/old.repo
  lifeboat upgrade repositories --remove SLES11-SP1-Pool,SLES11-SP1-Updates
  lifeboat upgrade repositories --add /root/old.repo`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.repositories(c, f) },
	}
	c.Flags().StringVar(&f.to, "to", "", "compare with those of this `RELEASE` (default: the host's own)")
	c.Flags().StringVar(&f.facts, "facts", "", "look at the host whose facts are in `FILE`")
	c.Flags().Var(&f.root, "root", "look at the machine whose root file system is mounted at `DIR`")
	c.Flags().StringSliceVar(&f.remove, "remove", nil, "remove these, by `ALIAS`; \"superfluous\" is all that belong to another release")
	c.Flags().Var(&f.save, "save", "write what is removed to `FILE` (default: a new file below the state directory)")
	c.Flags().Var(&f.add, "add", "add what `FILE` lists, in the form of a .repo file")
	c.MarkFlagsMutuallyExclusive("facts", "root")
	c.MarkFlagsMutuallyExclusive("facts", "remove")
	c.MarkFlagsMutuallyExclusive("facts", "add")
	c.MarkFlagsMutuallyExclusive("remove", "add")
	return c
}

func (a *app) repositories(c *cobra.Command, f repositoriesFlags) error {
	if f.save != "" && len(f.remove) == 0 {
		return screen.Usagef("--save says where removed package repositories are written; name them with --remove")
	}
	i, err := a.inventory(c, f)
	if err != nil {
		return err
	}
	if len(f.remove) == 0 && f.add == "" {
		return a.showInventory(i, nil)
	}
	dir, err := os.MkdirTemp("", "lifeboat-zypper-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	z, err := zypper.New(zypper.Options{Root: string(f.root), Dir: dir})
	if err != nil {
		return err
	}
	done := &moved{}
	if f.add != "" {
		err = done.add(z, string(f.add))
	} else {
		err = a.removeRepositories(c.Context(), z, i, f, done)
	}
	if err != nil {
		return err
	}
	if i, err = a.inventory(c, f); err != nil {
		return err
	}
	return a.showInventory(i, done)
}

// inventory compares what the host has with a release's lists.
func (a *app) inventory(c *cobra.Command, f repositoriesFlags) (path.Inventory, error) {
	j, err := a.judge(c, f.root, f.facts)
	if err != nil {
		return path.Inventory{}, err
	}
	of := j.release
	if f.to != "" {
		if of, err = j.catalogue.Parse(f.to, path.Release{Product: j.release.Product, Arch: j.release.Arch}); err != nil {
			return path.Inventory{}, screen.Usage(fmt.Errorf("--to: %w", err))
		}
	}
	var present []path.Present
	for _, r := range j.facts.Repositories {
		present = append(present, path.Present{Alias: r.Alias, Name: r.Name, URLs: r.URLs, Enabled: r.Enabled})
	}
	i, ok := j.catalogue.Inventory(of, present)
	if !ok {
		return i, fmt.Errorf("the package repositories of %s are not known", of.Name())
	}
	return i, nil
}

// moved is what was removed or added.
type moved struct {
	Removed []string `json:"removed,omitempty"`
	Added   []string `json:"added,omitempty"`
	File    string   `json:"file"`
}

// removeRepositories removes what the flags name, once it is written down.
func (a *app) removeRepositories(ctx context.Context, z *zypper.Zypper, i path.Inventory, f repositoriesFlags, done *moved) error {
	have, err := z.Repositories()
	if err != nil {
		return err
	}
	var text []byte
	for _, alias := range a.aliases(i, f.remove) {
		at := slices.IndexFunc(have, func(r zypper.Repository) bool { return r.Alias == alias })
		if at < 0 {
			return screen.Usagef("--remove: there is no package repository %q", alias)
		}
		if s := have[at].Service; s != "" {
			return fmt.Errorf("package repository %s belongs to the service %s, which would bring it back: remove the service, or disable the repository", alias, s)
		}
		section, err := z.Section(have[at])
		if err != nil {
			return err
		}
		text = append(append(text, section...), '\n')
		done.Removed = append(done.Removed, alias)
	}
	if len(done.Removed) == 0 {
		return nil
	}
	if done.File = string(f.save); done.File == "" {
		conf, err := a.loadOrEmpty()
		if err != nil {
			return err
		}
		done.File = filepath.Join(firstOf(a.stateDir, conf.StateDir, config.DefaultStateDir), "upgrade", "removed-"+time.Now().UTC().Format("20060102T150405Z")+".repo")
		if err := os.MkdirAll(filepath.Dir(done.File), 0o700); err != nil {
			return err
		}
	}
	if err := writeNew(done.File, text); err != nil {
		return fmt.Errorf("write down what is removed: %w", err)
	}
	return z.RemoveRepositories(done.Removed...)
}

// aliases are those that --remove means, each once.
func (a *app) aliases(i path.Inventory, named []string) []string {
	var out []string
	for _, name := range named {
		if name != string(path.Superfluous) {
			out = append(out, name)
			continue
		}
		for _, e := range i.Of(path.Superfluous) {
			out = append(out, e.Present.Alias)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// add adds the package repositories of a list.
func (m *moved) add(z *zypper.Zypper, file string) error {
	m.File = file
	in, err := os.Open(file)
	if err != nil {
		return screen.Usage(err)
	}
	defer in.Close()
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return err
	}
	list, err := zypper.ParseRepositories(text)
	switch {
	case len(text) > most:
		return screen.Usagef("%s is larger than %d bytes", file, most)
	case err != nil:
		return screen.Usage(fmt.Errorf("%s: %w", file, err))
	case len(list) == 0:
		return screen.Usagef("%s lists no package repository; it has the form of a .repo file", file)
	}
	m.Added, err = z.AddSections(text)
	return err
}

// writeNew makes a file that is there for good, and replaces none.
func writeNew(file string, text []byte) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, bytes.NewReader(text))
	return errors.Join(err, out.Sync(), out.Close())
}

func (a *app) showInventory(i path.Inventory, done *moved) error {
	missing := i.Missing()
	if len(missing) > 0 {
		a.Code = runbook.ExitWarnings
	}
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			path.Inventory
			*moved
		}{"upgrade-repositories", i, done})
	}
	paint := screen.PainterFor(a.Out)
	if done != nil {
		switch {
		case len(done.Removed) > 0:
			a.Printf("Removed %s: %s\nBring them back: lifeboat upgrade repositories --add %s\n\n", screen.Count(len(done.Removed), "package repository", "package repositories"), screen.Printable(strings.Join(done.Removed, ", ")), done.File)
		case len(done.Added) > 0:
			a.Printf("Added %s: %s\n\n", screen.Count(len(done.Added), "package repository", "package repositories"), screen.Printable(strings.Join(done.Added, ", ")))
		default:
			a.Printf("There was nothing to do.\n\n")
		}
	}
	a.Printf("%s %s\n", paint.Bold("Package repositories of "+i.Release.Name()+":"), paint.Faint("("+i.Source.Title+")"))
	var rows [][]string
	for _, e := range i.Entries {
		state, alias, url := "not there", "", ""
		if e.Present != nil {
			state, alias, url = "disabled", screen.Printable(e.Present.Alias), screen.Printable(strings.Join(e.Present.URLs, " "))
			if e.Present.Enabled {
				state = "enabled"
			}
		}
		name := screen.Printable(e.Name)
		switch {
		case e.Missing && e.Present == nil:
			state = paint.Red("missing")
		case e.Missing:
			state = paint.Red("disabled")
		case e.Of != "":
			name = "of " + e.Of
		case e.Kind == path.Foreign:
			name = ""
		}
		rows = append(rows, []string{"  " + string(e.Kind), name, state, alias, url})
	}
	a.Table([]string{"  kind", "repository", "", "alias", "address"}, rows)
	return nil
}
