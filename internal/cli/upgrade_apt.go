package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"lifeboat/internal/apt"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/scratch"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// askApt asks apt what the next step of a verdict would do to a root.
func (a *app) askApt(ctx context.Context, j judged, v path.Verdict, root string) (answer *apt.Answer, err error) {
	if v.Outcome != path.Supported || v.Hops[0].Methods[0].By != "apt" {
		return nil, screen.Usagef("--simulate is for a supported step with apt")
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("--simulate needs root: apt is asked in a sandbox")
	}
	// Below /tmp there may be no disk, and the sandbox's layer lies on one.
	dir, err := scratch.Make(a.state(a.known()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Remove()) }()
	from, _ := j.catalogue.Edition(v.From)
	to, _ := j.catalogue.Edition(v.To)
	return apt.Simulate(ctx, apt.Options{Root: root, Dir: filepath.Join(dir.Path(), "apt"), From: from.Codename, To: to.Codename})
}

func (a *app) showApt(r *apt.Answer) {
	paint := screen.PainterFor(a.Out)
	a.Printf("\n")
	for _, text := range r.Conflicts {
		a.Printf("%s %s\n", paint.Red("apt finds no way:"), screen.Printable(text))
	}
	if t := r.Transaction; t != nil {
		space := humanize.Bytes(uint64(max(t.Space, 0))) + " more on disk"
		if t.Space < 0 {
			space = humanize.Bytes(uint64(-t.Space)) + " less on disk"
		}
		a.Printf("apt would upgrade %d, install %d, remove %d and downgrade %d packages: %s to download, %s.\n",
			len(t.Upgrade), len(t.Install), len(t.Remove), len(t.Downgrade), humanize.Bytes(uint64(t.Download)), space)
		a.packages(paint.Yellow("removes"), changed(t.Remove))
		a.packages(paint.Yellow("downgrades"), changed(t.Downgrade))
	}
	a.packages("keeps old", r.Kept)
	for _, source := range r.Left {
		a.Printf("  %s %s\n", paint.Faint("leaves out the source"), screen.Printable(source))
	}
}

func (a *app) packages(what string, names []string) {
	if len(names) > 0 {
		a.Printf("  %s %s\n", what, a.paragraph(screen.Printable(strings.Join(names, ", ")), 4))
	}
}

func changed(list []zypper.Change) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}
