package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/kit"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/vault"
)

func (a *app) kitRecoverCommand() *cobra.Command {
	var output screen.Path
	c := &cobra.Command{
		Use:   "recover [FILE...]",
		Short: "Get into a repository with a recovery kit",
		Long: `Takes the shares of a kit, or the password of one that was not split, and writes
the password into a file that only its owner can read. With a repository it sees
first that the password opens it, and says how to go on.

What stands on the paper is typed at the prompt, or comes from files or standard
input: typed, pasted or scanned text, one share after the other, with headings or
without, with anything around it. A group that is mistyped is named with its line.`,
		Example: `  lifeboat kit recover --repository sftp:backup@store.example.com:/lifeboat
  lifeboat kit recover --repository /media/disk/lifeboat share-1.txt share-4.txt share-5.txt
  lifeboat kit recover --output /root/kit.key <scanned.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, names []string) error { return a.kitRecover(c.Context(), string(output), names) },
	}
	c.Flags().Var(&output, "output", "password `FILE` to write (default: kit.key beside the configuration file)")
	c.Flags().StringVarP(&a.repository, "repository", "r", "", "`URL` of the repository (default from the configuration)")
	a.storeFlags(c)
	return c
}

func (a *app) kitRecover(ctx context.Context, output string, names []string) error {
	if output == "" {
		at, err := filepath.Abs(a.configFile)
		if err != nil {
			return err
		}
		output = filepath.Join(filepath.Dir(at), "kit.key")
	}
	if _, err := os.Lstat(output); err == nil {
		return runbook.Refuse("", "%s is there already and is not overwritten; name another file with --output", output)
	}
	// The configuration may be what was lost, or say too much: the kit replaces the
	// password that it names.
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	var target *config.Repository
	if a.repository != "" || len(conf.Repositories) > 0 {
		r, err := a.chooseRepository(conf, "")
		if err != nil {
			return err
		}
		if r.Store, err = a.storeOf(r.URL, r.Store); err != nil {
			return err
		}
		target = &r
	}
	parts, err := a.kitParts(ctx, names)
	if err != nil {
		return err
	}
	password, err := parts.Password()
	if err != nil {
		return err
	}
	var systems []string
	if target != nil {
		if systems, err = a.tryKit(ctx, conf, *target, password); err != nil {
			return err
		}
	}
	if err := writePrivate(output, password); err != nil {
		return err
	}
	return a.tellKit(parts.Kit(), output, target, systems)
}

// kitParts gathers what people bring. What is mistyped matters only when what is
// left does not suffice.
func (a *app) kitParts(ctx context.Context, names []string) (*kit.Assembly, error) {
	parts := new(kit.Assembly)
	if len(names) == 0 {
		if p := theTerminal(); p != nil {
			return parts, askShares(ctx, p, parts)
		}
		names = []string{"-"}
	}
	var mistyped []error
	for _, name := range names {
		text, err := readPaper(name)
		if err != nil {
			return nil, err
		}
		what := name
		if name == "-" {
			what = "standard input"
		}
		found, err := typed.Find(text)
		if err != nil {
			mistyped = append(mistyped, fmt.Errorf("%s: %w", what, err))
		}
		for _, one := range found {
			err := parts.Add(one)
			if err != nil && !errors.Is(err, kit.ErrKnown) {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			if err == nil && !a.JSON {
				fmt.Fprintf(a.Err, "%s: %s\n", what, taken(parts, one))
			}
		}
	}
	if parts.Missing() > 0 && len(mistyped) > 0 {
		if _, err := parts.Password(); parts.Kit() != "" {
			mistyped = append(mistyped, err)
		}
		return nil, errors.Join(mistyped...)
	}
	for _, err := range mistyped {
		if err := a.warn(fmt.Errorf("%w; the others suffice", err)); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// taken says what came of a share.
func taken(parts *kit.Assembly, found typed.Found) string {
	if found.Share == nil {
		return "The kit's password is whole."
	}
	how := "that is enough"
	if missing := parts.Missing(); missing > 0 {
		how = fmt.Sprintf("%d more needed", missing)
	}
	return fmt.Sprintf("Share %d of kit %s is taken; %s.", found.Share.Number, found.Share.Kit, how)
}

func readPaper(name string) (string, error) {
	in := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("read a share: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, typed.MaxText+1))
	if err != nil {
		return "", fmt.Errorf("read a share: %w", err)
	}
	if strings.HasPrefix(string(text), "%PDF") {
		return "", screen.Usagef("%s is a PDF; give the text of the page, or type it", name)
	}
	return string(text), nil
}

// askShares has people type until there are enough shares.
func askShares(ctx context.Context, p *prompter, parts *kit.Assembly) error {
	fmt.Fprintln(p.Out, "Type the groups of one share after the other, or of the kit's password, in as many lines as you like.")
	reader := new(typed.Reader)
	for n := 1; parts.Missing() > 0; {
		if next, of := reader.Next(); of == 0 {
			fmt.Fprintf(p.Out, "No. %d, from group 1: ", n)
		} else {
			fmt.Fprintf(p.Out, "No. %d, from group %d of %d: ", n, next, of)
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.Out)
			return ctx.Err()
		case line, ok := <-p.Lines:
			if !ok {
				return fmt.Errorf("%w: nothing more was typed", kit.ErrMissing)
			}
			found, wrong := reader.Line(line)
			for _, one := range found {
				if err := parts.Add(one); err != nil {
					fmt.Fprintf(p.Out, "  %v. Type another one.\n", err)
					continue
				}
				n++
				fmt.Fprintf(p.Out, "  %s\n", taken(parts, one))
			}
			if wrong != nil && parts.Missing() > 0 {
				next, _ := reader.Next()
				fmt.Fprintf(p.Out, "  %v. Go on with group %d.\n", wrong, next)
			}
		}
	}
	return nil
}

// tryKit opens the repository with the password and lists the systems in it.
func (a *app) tryKit(ctx context.Context, conf *config.Config, r config.Repository, password string) ([]string, error) {
	store, err := a.openConfigured(ctx, r.URL, r.Store)
	if err != nil {
		return nil, err
	}
	opts := a.repositoryOptions(r.URL)
	opts.NoLock = true // a look, and perhaps with a right to read alone
	repo, err := repository.Open(ctx, store, []byte(password), opts)
	if errors.Is(err, repository.ErrWrongPassword) {
		err = fmt.Errorf("the kit is not one of this repository, or was revoked: %w", err)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	defer repo.Close()
	points, err := vault.New(repo).Points(ctx, vault.Filter{})
	if err != nil {
		if err := a.warn(err); err != nil {
			return nil, err
		}
	}
	var systems []string
	for _, p := range points {
		if !slices.Contains(systems, p.System()) {
			systems = append(systems, p.System())
		}
	}
	slices.Sort(systems)
	return systems, nil
}

// writePrivate writes a new file that only its owner can read.
func writePrivate(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write the password: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return runbook.Refuse("", "%s is there already and is not overwritten; name another file with --output", file)
	}
	if err != nil {
		return fmt.Errorf("write the password: %w", err)
	}
	_, err = f.WriteString(text + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the password: %w", err), os.Remove(file))
	}
	return nil
}

func (a *app) tellKit(id, file string, r *config.Repository, systems []string) error {
	view := map[string]any{"type": "kit-recovered", "password_file": file, "opened": r != nil}
	if id != "" {
		view["kit"] = id
	}
	var next []string
	if r == nil {
		a.Code = runbook.ExitWarnings
	} else {
		address := firstOf(recordable(a.repository), redact.URL(a.repository), r.Name)
		words := []string{"--repository", address, "--password-file", file}
		for _, o := range a.storeFlagsGiven() {
			words = append(words, "-o", o)
		}
		for _, s := range systems {
			next = append(next, recovery.Shell(append([]string{"lifeboat", "recover", s}, words...)...))
		}
		if len(next) == 0 {
			next = []string{recovery.Shell(append([]string{"lifeboat", "list"}, words...)...)}
		}
		view["repository"], view["systems"], view["next"] = address, systems, next
	}
	if a.JSON {
		return a.Emit(view)
	}
	a.Printf("The kit's password is in %s.\n", file)
	if r == nil {
		a.Printf("It was not tried: no repository was named (--repository URL).\n")
		return nil
	}
	a.Printf("It opens the repository. %s\n", screen.PainterFor(a.Out).Bold("Next:"))
	for _, n := range next {
		a.Printf("  %s\n", n)
	}
	a.Printf("Afterwards give the repository another password (lifeboat key add), revoke the kit and make a new one.\n")
	return nil
}
