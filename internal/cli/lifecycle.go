package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/upgrade/path"
)

func (a *app) lifecycleCommand() *cobra.Command {
	var on, file string
	root := screen.Path("/")
	c := &cobra.Command{
		Use:   "lifecycle [RELEASE|PRODUCT]",
		Short: "Show how long a release is supported, and what it still gets",
		Long: `Shows where a release stands in its life: until when it has general and long-term
support, which of the vendor's services that includes, and what may follow it. Of a
product it lists every release. Without an argument it is the release of this host.

The days come from the profile, each with where it was published; one that was
published nowhere is not shown.`,
		Example: `  lifeboat lifecycle
  lifeboat lifecycle "SLES 12 SP5"
  lifeboat lifecycle SLES
  lifeboat lifecycle "SLES 11 SP4" --on 2021-06-01 --json`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, given []string) error {
			day := time.Now()
			if on != "" {
				at, err := time.Parse(time.DateOnly, on)
				if err != nil {
					return screen.Usagef("--on %q: write a day like 2026-01-31", on)
				}
				day = at
			}
			if len(given) == 0 {
				j, err := a.judge(c, root, file)
				if err != nil {
					return err
				}
				return a.showRelease(j.catalogue, j.release, day)
			}
			if c.Flags().Changed("facts") || c.Flags().Changed("root") {
				return screen.Usagef("choose %s or a host", given[0])
			}
			return a.lifecycle(given[0], day)
		},
	}
	c.Flags().StringVar(&on, "on", "", "as it is on this `DAY` (default today)")
	c.Flags().StringVar(&file, "facts", "", "the release of the host whose facts are in `FILE`")
	c.Flags().Var(&root, "root", "the release of the machine whose root file system is mounted at `DIR`")
	c.MarkFlagsMutuallyExclusive("facts", "root")
	return c
}

// lifecycle shows the product or the release that a text names, in whichever profile.
func (a *app) lifecycle(text string, day time.Time) error {
	entries, err := a.catalogue().List()
	if err != nil {
		return err
	}
	var products []string
	var unknown error
	for _, e := range entries {
		if e.Err != nil {
			continue
		}
		known, ok := path.Of(e.Profile)
		if !ok {
			continue
		}
		for _, p := range known.Products {
			products = append(products, p.Name)
		}
		if product, ok := known.Named(text); ok {
			return a.showProduct(known, product, day)
		}
		r, err := known.Parse(text, path.Release{})
		if err == nil {
			return a.showRelease(known, r, day)
		}
		if product, _, found := strings.Cut(text, " "); unknown == nil || found && known.Knows(product) {
			unknown = err
		}
	}
	return screen.Usage(fmt.Errorf("%w; products are %s", unknown, strings.Join(products, ", ")))
}

func (a *app) showProduct(c *path.Catalogue, p path.Product, day time.Time) error {
	var list []path.Standing
	for _, r := range c.All(p.Name) {
		list = append(list, c.Standing(r, day))
	}
	if a.JSON {
		for _, s := range list {
			s.Levels, s.LevelSource = nil, nil // of one release, where it is asked for
			if err := a.Emit(lifeLine{"lifecycle", day.Format(time.DateOnly), s, nil}); err != nil {
				return err
			}
		}
		return nil
	}
	a.Printf("%s\n", screen.PainterFor(a.Out).Bold(p.Title))
	if p.Cycle != nil {
		a.Printf("%s\n\n", a.paragraph(p.Cycle.Text, 0))
	}
	var rows [][]string
	for _, s := range list {
		rows = append(rows, []string{s.Release.Name(), s.Published.String(), s.General.String(), s.Extended.String(), a.stage(s.Stage)})
	}
	a.Table([]string{"release", "published", "general until", "long-term until", "now"}, rows)
	return nil
}

// lifeLine is where a release stands, for programs.
type lifeLine struct {
	Type string `json:"type"`
	On   string `json:"on"`
	path.Standing
	Next []path.Hop `json:"next"`
}

func (a *app) showRelease(c *path.Catalogue, r path.Release, day time.Time) error {
	s, next := c.Standing(r, day), c.Next(r)
	if a.JSON {
		return a.Emit(lifeLine{"lifecycle", day.Format(time.DateOnly), s, next})
	}
	paint := screen.PainterFor(a.Out)
	a.Printf("%s: %s\n", paint.Bold(r.String()), ends(s))
	if s.Codename != "" {
		a.Printf("  %-13s %s\n", "codename", s.Codename)
	}
	if !s.Published.IsZero() {
		a.Printf("  %-13s %s\n", "published", s.Published)
	}
	if s.Stage == path.Recent && !s.Newest {
		a.Printf("  %s a later service pack is out; general support of this one ends first\n", paint.Yellow("notice"))
	}
	a.Printf("  %-13s %s, %s\n", "source", s.Source.Title, s.Source.URL)
	if s.Cycle != nil {
		a.Printf("  %-13s %s\n", "its product", a.paragraph(s.Cycle.Text, 16))
	}
	if s.Column != nil {
		var rows [][]string
		for _, l := range s.Levels {
			rows = append(rows, []string{"  " + l.Service, l.Given})
		}
		a.Printf("\n%s (%s):\n", s.Column.Title, s.LevelSource.Title)
		a.Table([]string{"  service", ""}, rows)
	}
	if len(next) == 0 {
		return nil
	}
	var rows [][]string
	for _, h := range next {
		rows = append(rows, []string{"  " + h.To.Name(), ends(c.Standing(h.To, day))})
	}
	a.Printf("\n")
	a.Table([]string{"  may become", "support"}, rows)
	return nil
}

var stages = map[path.Stage]string{
	path.Unpublished: "not out yet", path.Recent: "general support", path.Previous: "long-term support",
	path.Extended: "long-term support", path.Ended: "no support", path.Unknown: "not known",
}

func (a *app) stage(s path.Stage) string {
	switch paint := screen.PainterFor(a.Out); s {
	case path.Recent:
		return paint.Green(stages[s])
	case path.Ended:
		return paint.Red(stages[s])
	case path.Previous, path.Extended:
		return paint.Yellow(stages[s])
	}
	return stages[s]
}
