package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/upgrade/facts"
)

func (a *app) factsCommand() *cobra.Command {
	root, script := screen.Path("/"), false
	c := &cobra.Command{
		Use:   "facts [FILE]",
		Short: "Say what a machine is, as an upgrade asks: release, disks, boot loader, packages",
		Long: `Gathers what an upgrade has to know of a machine: release and architecture, root
device and free space, boot loader, packages, package repositories and locks, guests
that run, whether a restart is due. Nothing is changed.

For a host that is too old for this program, --script prints a shell script that
gathers the same there and writes it to a file. FILE shows what such a file says;
` + "`lifeboat upgrade plan --facts FILE` judges it." + `

Packages of a mounted root are read by rpm or dpkg-query of this machine.`,
		Example: `  lifeboat facts
  lifeboat facts --root /mnt --json > facts.json
  lifeboat facts --script > lifeboat-facts.sh     # then, as root there: sh lifeboat-facts.sh
  lifeboat facts lifeboat-facts.txt`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			switch {
			case script && (len(files) > 0 || c.Flags().Changed("root")):
				return screen.Usagef("--script prints the script; --root is an option of the script itself")
			case script:
				a.Printf("%s", facts.Script())
				return nil
			case len(files) > 0 && c.Flags().Changed("root"):
				return screen.Usagef("choose FILE or --root")
			}
			f, err := a.factsOf(c, root, strings.Join(files, ""))
			if err != nil {
				return err
			}
			return a.showFacts(f)
		},
	}
	c.Flags().Var(&root, "root", "look at the machine whose root file system is mounted at `DIR`")
	c.Flags().BoolVar(&script, "script", false, "print a shell script that gathers the facts of a host too old for this program")
	return c
}

// factsOf reads the facts from a file, or gathers them where none is named.
func (a *app) factsOf(c *cobra.Command, root screen.Path, file string) (*facts.Facts, error) {
	if file == "" {
		h, err := hostBelow(root)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(h.Root()); err != nil {
			return nil, screen.Usage(err)
		}
		return facts.Collect(c.Context(), h)
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, screen.Usage(err)
	}
	defer in.Close()
	f, err := facts.Read(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return f, nil
}

func (a *app) showFacts(f *facts.Facts) error {
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			*facts.Facts
		}{"facts", f})
	}
	paint := screen.PainterFor(a.Out)
	line := func(name, format string, args ...any) {
		if text := strings.TrimSpace(screen.Clean(fmt.Sprintf(format, args...))); text != "" {
			a.Printf("  %-13s %s\n", name, a.paragraph(text, 16))
		}
	}
	state := "gathered on the running machine"
	if !f.Live {
		state = "below " + f.Tree
	}
	a.Printf("%s %s\n", paint.Bold(firstOf(screen.Printable(f.Hostname), "A machine without a name")), paint.Faint("("+screen.When(f.Collected)+", "+screen.Printable(state)+")"))
	line("release", "%s", firstOf(f.Release.Name, f.Release.ID+" "+f.Release.Version))
	for _, p := range f.Products {
		base := ""
		if p.Base {
			base = ", the base product"
		}
		line("product", "%s %s%s", p.Name, p.Version, base)
	}
	line("architecture", "%s, %d bits, %s-endian", firstOf(f.Arch, "unknown"), f.Bits, firstOf(f.Endian, "unknown"))
	line("kernel", "%s", f.Kernel.Running)
	line("boot loader", "%s %s", f.Boot.Loader, f.Boot.Config)
	line("root", "%s %s %s", f.Root.Device, f.Root.Filesystem, f.Root.UUID)
	line("desktop", "%s %s", f.Desktop.WindowManager, f.Desktop.DisplayManager)
	line("packages", "%d by %s, %s", len(f.Packages), firstOf(f.Manager, "nobody"), screen.Count(len(f.Locks), "lock", "locks"))
	for _, text := range f.Inconsistent {
		line("", "%s", text)
	}
	for _, g := range f.Guests {
		line("guest", "%s (%s, %s)", firstOf(g.Name, "without a name"), g.Kind, g.Source)
	}
	for _, text := range f.Pending {
		line("restart due", "%s", text)
	}
	var rows [][]string
	for _, r := range f.Repositories {
		enabled := "disabled"
		if r.Enabled {
			enabled = "enabled"
		}
		rows = append(rows, []string{"  " + screen.Printable(r.Alias), enabled, screen.Printable(strings.Join(r.URLs, " "))})
	}
	if len(rows) > 0 {
		a.Printf("\n")
		a.Table([]string{"  package repository", "", "address"}, rows)
	}
	a.showSpace(f)
	for _, u := range f.Unknown {
		a.Printf("%s %s is not known: %s\n", paint.Yellow("warning"), screen.Printable(u.What), screen.Printable(u.Why))
	}
	return nil
}

// showSpace lists every file system once.
func (a *app) showSpace(f *facts.Facts) {
	var rows [][]string
	seen := map[string]bool{}
	for _, s := range f.Space {
		if seen[s.Mount] {
			continue
		}
		seen[s.Mount] = true
		rows = append(rows, []string{"  " + screen.Printable(s.Mount), screen.Printable(s.Device), humanize.IBytes(uint64(max(s.Size, 0))), humanize.IBytes(uint64(max(s.Free, 0)))})
	}
	if len(rows) > 0 {
		a.Printf("\n")
		a.Table([]string{"  file system", "device", "size", "free"}, rows, "size", "free")
	}
}
