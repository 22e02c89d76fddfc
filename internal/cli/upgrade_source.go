package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/medium"
)

func (a *app) upgradeSourceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "source",
		Short: "Check where an upgrade is to come from, and wake the target",
		Example: `  lifeboat upgrade source check http://10.0.0.1/sles12 --key suse.asc
  lifeboat upgrade source check /srv/SLES-12-DVD1.iso
  lifeboat upgrade source pxe http://10.0.0.1/sles12 --mac 52:54:00:12:34:56 --tftp /srv/tftpboot
  lifeboat upgrade source wake 52:54:00:12:34:56`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.sourceCheckCommand(), a.sourcePXECommand(), a.sourceWakeCommand())
	return c
}

// sourceFlags are what every verb about sources takes.
type sourceFlags struct {
	keys        []string
	credentials string
	arch        string
	all         bool
}

func (f *sourceFlags) register(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.keys, "key", nil, "trust the OpenPGP keys in this `FILE`, and no others; may be repeated")
	c.Flags().StringVar(&f.credentials, "credentials", "", "take user and password from this `FILE` (username=, password=, domain=)")
	c.Flags().StringVar(&f.arch, "arch", "", "look at kernel and initrd for this `ARCHITECTURE` only")
}

func (f *sourceFlags) options(c *cobra.Command) (o medium.Options, err error) {
	o.Arch, o.All = f.arch, f.all
	if f.credentials != "" {
		if o.Login, err = medium.ReadLogin(f.credentials); err != nil {
			return o, screen.Usage(err)
		}
	}
	if len(f.keys) > 0 {
		if o.Keys, err = medium.ReadKeys(f.keys...); err != nil {
			return o, screen.Usage(err)
		}
		return o, nil
	}
	o.Keys, err = medium.SystemKeys(c.Context(), host.Local())
	return o, err
}

func (a *app) sourceCheckCommand() *cobra.Command {
	var f sourceFlags
	c := &cobra.Command{
		Use:   "check ADDRESS",
		Short: "Check that an installation source is what it claims to be",
		Long: `Reads what an installation source says it is, verifies the signature of that against
keys that are trusted, fetches kernel and initrd (of a package repository its list of
packages), and compares them with what is listed.

ADDRESS is a directory, such as a mounted medium or a stick; an ISO image, which needs not
be mounted; or the URL of a server: http, https, ftp, nfs, smb, tftp.
Nothing is written.

Keys are those of --key; without it those in ` + medium.KeyDir + ` and in rpm's
keyring. A key that only the source itself brings proves nothing.

Exit code 0: it is proven. 3: nobody who is trusted vouches for it. 4: a signature is
wrong, or a file is not the one that is listed.`,
		Example: `  lifeboat upgrade source check /media/SLES-12
  lifeboat upgrade source check SLES-12-DVD1.iso --key suse.asc
  lifeboat upgrade source check ftp://10.0.0.1/pub/sles12 --all --json`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			o, err := f.options(c)
			if err != nil {
				return err
			}
			r, err := medium.Check(c.Context(), names[0], o)
			if err != nil {
				return err
			}
			return a.showSource(r, o.Keys)
		},
	}
	f.register(c)
	c.Flags().BoolVar(&f.all, "all", false, "fetch and compare every file that is listed; packages never are")
	return c
}

// showSource prints what a source is. What is not proven is exit code 3, what is wrong 4.
func (a *app) showSource(r *medium.Report, keys medium.Keyring) error {
	switch r.Standing {
	case medium.Unproven:
		a.Code = runbook.ExitWarnings
	case medium.Refuted:
		a.Code = runbook.ExitRefused
	}
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			*medium.Report
			Trusted []string `json:"trusted"`
			Skipped []string `json:"skipped,omitempty"`
		}{"upgrade-source", r, append([]string{}, keys.From...), keys.Skipped})
	}
	paint := screen.PainterFor(a.Out)
	name := r.Identity.Label
	if name == "" {
		name = strings.TrimSpace(r.Identity.Product + " " + r.Identity.Version)
	}
	if name == "" {
		name = "an unknown product"
	}
	kind := "package repository"
	if r.Kind == "medium" {
		kind = "installation medium"
	}
	a.Printf("%s\n  %s of %s", paint.Bold(screen.Clean(r.Address)), kind, screen.Clean(name))
	if len(r.Identity.Arch) > 0 {
		a.Printf(" (%s)", strings.Join(r.Identity.Arch, ", "))
	}
	a.Printf("\n")
	for _, i := range r.Indexes {
		s := i.Signature
		a.Printf("  %s: ", i.Name)
		switch s.State {
		case medium.Good:
			a.Printf("%s by %s, key %s of %s\n", paint.Green("signed"), screen.Clean(s.Name), s.Key, screen.Clean(s.From))
		case medium.None:
			a.Printf("%s\n", paint.Yellow("not signed"))
		case medium.Bad:
			a.Printf("%s\n", paint.Red("the signature is wrong"))
		default:
			a.Printf("%s %s\n", paint.Yellow("signed by a key that is not trusted:"), s.Key)
		}
	}
	shown := 0
	for _, f := range r.Files {
		switch {
		case !f.Good():
			a.Printf("  %s  %s\n", screen.Clean(f.Name), paint.Red("is not what is listed"))
		case shown < 10:
			shown++
			a.Printf("  %s  %s, %s as listed\n", screen.Clean(f.Name), size(f.Size), f.Kind)
		}
	}
	if n := len(r.Files); n > 10 {
		a.Printf("  %d files were compared\n", n)
	}
	for _, note := range r.Notes {
		a.Printf("  %s\n", screen.Clean(note))
	}
	for _, why := range r.Why {
		a.Printf("  %s\n", paint.Yellow(screen.Clean(why)))
	}
	for _, s := range keys.Skipped {
		a.Printf("  not used: %s\n", screen.Clean(s))
	}
	switch r.Standing {
	case medium.Proven:
		a.Printf("%s\n", paint.Green("It is what it claims to be."))
	case medium.Unproven:
		if len(keys.From) == 0 {
			a.Printf("  No key is trusted here: %s holds none, and rpm knows none.\n", medium.KeyDir)
		}
		a.Printf("%s\n", paint.Yellow("Nothing contradicts it, and nobody who is trusted vouches for it."))
	default:
		a.Printf("%s\n", paint.Red("It is not what it claims to be: do not upgrade from it."))
	}
	return nil
}
