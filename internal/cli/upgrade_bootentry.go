package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/boot"
)

func (a *app) upgradeBootEntryCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "boot-entry",
		Short: "Have the machine start an installation system once, to be upgraded by it",
		Long: `A machine whose next release comes from the booted installer needs neither a DVD drive
nor somebody at its console: kernel and initrd of the installation medium are copied to
/boot, and the boot menu gets a section that starts them with upgrade=1, once.`,
		Example: `  lifeboat upgrade boot-entry add --from /media/SLES-12 --auto
  lifeboat upgrade boot-entry show
  lifeboat upgrade boot-entry remove`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.bootEntryAddCommand(), a.bootEntryShowCommand(), a.bootEntryRemoveCommand())
	return c
}

// bootMenu is the boot menu of this machine or of the one below a root. What is to be
// taken away is remembered on that machine, as it outlasts a restart there.
func bootMenu(root screen.Path) (*boot.Menu, error) {
	h, err := hostBelow(root)
	if err != nil {
		return nil, err
	}
	return &boot.Menu{Host: h}, nil
}

func rootFlag(c *cobra.Command) *screen.Path {
	root := screen.Path("/")
	c.Flags().Var(&root, "root", "act on the machine whose root file system is mounted at `DIR`")
	return &root
}

func (a *app) bootEntryAddCommand() *cobra.Command {
	var from, control screen.Path
	var auto bool
	var appended []string
	c := &cobra.Command{
		Use:   "add --from DIR",
		Short: "Add the entry and select it for the next start",
		Long: `Copies kernel and initrd of a mounted installation medium, or of a directory that holds
linux and initrd, to /boot/linux.upgrade and /boot/initrd.upgrade, and adds a section to
the menu of GRUB legacy or GRUB 2. The section is made after the entry that the machine
starts by now: it has that one's device and parameters, but those that belong to the
installed system alone, such as resume=. upgrade=1 is there always; without it the
installation system would begin a new installation.

The medium is looked at before, as lifeboat upgrade source check does: a wrong signature,
a file that is not the one that is listed and a release that must not follow, or is not
that of --to, are refused (exit code 4). Where nobody who is trusted vouches for it, the
entry is made with a warning (exit code 3); keys are those of --key, else those that the
machine trusts.

The entry is selected for the next start only. Where that cannot be done so that GRUB
itself forgets it again (a logical volume, a software RAID), somebody has to choose it in
the menu, and the exit code is 3.`,
		Example: `  lifeboat upgrade boot-entry add --from /media/SLES-12
  lifeboat upgrade boot-entry add --from /media/SLES-12 --to "SLES 12" --key suse.asc
  lifeboat upgrade boot-entry add --from /media/SLES-12 --auto --append "install=http://10.0.0.1/sles12"
  lifeboat upgrade boot-entry add --from /media/SLES-12 --auto --control-file autoupg.xml
  lifeboat upgrade boot-entry add --from /srv/sles12 --root /mnt --json`,
		Args: screen.Args(cobra.NoArgs),
	}
	root, vouched := rootFlag(c), entryMediumFlags(c)
	c.Flags().Var(&from, "from", "`DIR` that the installation medium is mounted at, or that holds linux and initrd")
	c.Flags().BoolVar(&auto, "auto", false, "add autoupgrade=1: the installation system asks nothing")
	c.Flags().Var(&control, "control-file", "with --auto, put `FILE` of lifeboat upgrade plan where the automatic upgrade reads it")
	c.Flags().StringArrayVar(&appended, "append", nil, "add these `PARAMETERS` of the kernel or of linuxrc")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if from == "" {
			return screen.Usagef("--from says where the installation medium is mounted")
		}
		if err := vouched.look(c.Context(), a, *root, string(from)); err != nil {
			return err
		}
		menu, err := bootMenu(*root)
		if err != nil {
			return err
		}
		r := boot.Request{From: string(from), Auto: auto, Append: strings.Fields(strings.Join(appended, " "))}
		if control != "" {
			if !auto {
				return screen.Usagef("--control-file: without --auto the installer asks a person")
			}
			if r.Control, err = controlText(string(control)); err != nil {
				return screen.Usage(fmt.Errorf("--control-file: %w", err))
			}
		}
		e, err := menu.Add(c.Context(), r)
		switch {
		case errors.Is(err, boot.ErrNotUpgrade), errors.Is(err, boot.ErrLoader):
			return runbook.Refuse("", "%v", err)
		case err != nil:
			return err
		}
		if e.Selection == boot.Manual {
			a.Code = runbook.ExitWarnings
		}
		return a.showBootEntry(e)
	}
	return c
}

func (a *app) bootEntryShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "show", Short: "Show the entry, and whether the next start takes it",
		Example: "  lifeboat upgrade boot-entry show\n  lifeboat upgrade boot-entry show --root /mnt --json",
		Args:    screen.Args(cobra.NoArgs),
	}
	root := rootFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		menu, err := bootMenu(*root)
		if err != nil {
			return err
		}
		e, err := menu.Show(c.Context())
		if err != nil {
			return err
		}
		return a.showBootEntry(e)
	}
	return c
}

// maxControl bounds a control file, in bytes.
const maxControl = 1 << 20

func controlText(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxControl+1))
	if err == nil && len(text) > maxControl {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxControl)
	}
	return text, err
}

// showBootEntry prints an entry; nil is none.
func (a *app) showBootEntry(e *boot.Entry) error {
	if a.JSON {
		return a.Emit(struct {
			Type  string      `json:"type"`
			Entry *boot.Entry `json:"entry"`
		}{"boot-entry", e})
	}
	if e == nil {
		a.Printf("There is no boot entry for an upgrade.\n")
		return nil
	}
	paint := screen.PainterFor(a.Out)
	if !e.Complete {
		a.Printf("%s\n", paint.Red("The entry was not made wholly; remove it, or add it again."))
	}
	a.Printf("%s in %s, made after %q\n", paint.Bold(e.Title), e.Config, screen.Clean(e.Like))
	for _, f := range e.Files {
		a.Printf("  %s  (%s, from %s)\n", f.Path, size(f.Size), screen.Clean(f.From))
	}
	if e.Control != "" {
		a.Printf("  %s  (control file of the automatic upgrade)\n", e.Control)
	}
	for line := range strings.Lines(strings.ReplaceAll(e.Section, "\r\n", "\n")) {
		a.Printf("  | %s\n", strings.TrimRight(screen.Clean(line), "\n "))
	}
	switch e.Selection {
	case boot.Selected:
		a.Printf("%s\n", paint.Green("The next start takes it, once."))
	case boot.Taken:
		a.Printf("A start has taken it.\n")
	case boot.Gone:
		a.Printf("%s\n", paint.Yellow("The menu it stood in is not there any more; lifeboat upgrade boot-entry remove takes the files away."))
	default:
		a.Printf("%s %s\n", paint.Yellow("Choose it in the boot menu by hand:"), screen.Clean(e.Why))
	}
	return nil
}

func (a *app) bootEntryRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "remove", Short: "Take the entry and its files away",
		Long: `Takes away what was added: the choice for the next start, the section of the menu, and
the files in /boot. The menu is then what it was, to the byte. Where somebody else has
changed it meanwhile, only the section goes.`,
		Example: "  lifeboat upgrade boot-entry remove\n  lifeboat upgrade boot-entry remove --root /mnt",
		Args:    screen.Args(cobra.NoArgs),
	}
	root := rootFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		menu, err := bootMenu(*root)
		if err != nil {
			return err
		}
		removed, err := menu.Remove(c.Context())
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Emit(struct {
				Type    string        `json:"type"`
				Removed *boot.Removed `json:"removed"`
			}{"boot-entry-removed", removed})
		}
		if removed == nil {
			a.Printf("There is no boot entry for an upgrade.\n")
			return nil
		}
		a.Printf("Removed: the section %q of %s, %s\n", removed.Entry.Title, removed.Entry.Config, filesOf(removed.Entry))
		for _, path := range removed.Changed {
			a.Printf("  %s was changed by somebody else meanwhile; the rest of it is left as it is.\n", path)
		}
		return nil
	}
	return c
}

func filesOf(e boot.Entry) string {
	var names []string
	for _, f := range e.Files {
		names = append(names, filepath.Clean(f.Path))
	}
	if e.Control != "" {
		names = append(names, e.Control)
	}
	return strings.Join(names, ", ")
}
