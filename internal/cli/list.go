package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// pointView is a recovery point as --json shows it.
type pointView struct {
	Type       string        `json:"type"`
	ID         string        `json:"id"`
	System     string        `json:"system"`
	Profile    string        `json:"profile"`
	Trigger    vault.Trigger `json:"trigger"`
	Time       time.Time     `json:"time"`
	Bytes      int64         `json:"bytes"`
	Hostname   string        `json:"hostname,omitempty"`
	Incomplete bool          `json:"incomplete,omitempty"`
	Pinned     bool          `json:"pinned,omitempty"`
	Note       string        `json:"note,omitempty"` // of the pin
	PinLost    bool          `json:"pin_lost,omitempty"`
	Damage     string        `json:"damage,omitempty"`
}

func viewOf(p *vault.Point) pointView {
	v := pointView{Type: "point", ID: p.ID(), System: p.System(), Profile: p.Profile(), Trigger: p.Trigger(), Time: p.Time()}
	if p.Pin != nil {
		v.Pinned, v.Note = true, p.Pin.Note
	}
	v.PinLost = p.LostPin != nil
	if p.Damage != nil {
		v.Damage, v.Hostname = p.Damage.Error(), p.Hostname()
		return v
	}
	v.Bytes, v.Hostname, v.Incomplete = p.Manifest.Bytes(), p.Manifest.Identity["hostname"], p.Manifest.Incomplete
	return v
}

// remark is what a person should know of a point, in few words.
func (v pointView) remark() string {
	var words []string
	switch {
	case v.Damage != "":
		words = append(words, "damaged: "+short(screen.FirstLine(v.Damage), 60))
	case v.Incomplete:
		words = append(words, "incomplete")
	}
	if v.PinLost {
		words = append(words, "its pin vanished")
	}
	if v.Pinned && v.Note != "" {
		words = append(words, "pinned: "+short(screen.Printable(v.Note), 60))
	} else if v.Pinned {
		words = append(words, "pinned")
	}
	return strings.Join(words, "; ")
}

func (a *app) listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list [SYSTEM]",
		Short:   "List recovery points",
		Example: "  lifeboat list\n  lifeboat list smt --json",
		Args:    screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			ctx := c.Context()
			v, system, closeVault, err := a.openFor(ctx, names)
			if err != nil {
				return errors.Join(err, a.lostStates(ctx, strings.Join(names, ""), err))
			}
			defer closeVault()
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			points, err := v.Points(ctx, vault.Filter{System: system})
			unread := vault.Unread(err)
			if err != nil && unread == nil {
				return err
			}
			var rows [][]string
			for _, p := range points {
				view := viewOf(p)
				if p.Damage != nil {
					a.Code = runbook.ExitWarnings
				}
				if a.JSON {
					if err := a.Emit(view); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{p.Short(), p.System(), screen.When(p.Time()), string(p.Trigger()), view.Hostname, size(view.Bytes), view.remark()})
			}
			if a.JSON {
				return errors.Join(a.warnUnread(unread, v.Repository().Flag()), a.listStates(ctx, conf, system, points))
			}
			if len(rows) == 0 {
				if system != "" && len(unread) == 0 {
					if err := a.noPoint(conf, system, nil); err != nil {
						return err
					}
				}
				if len(unread) == 0 {
					a.Printf("No recovery points yet. Next: lifeboat backup%s\n", v.Repository().Flag())
				}
				return a.warnUnread(unread, v.Repository().Flag())
			}
			a.Table([]string{"point", "system", "time", "trigger", "host", "size", ""}, rows, "size")
			return errors.Join(a.warnUnread(unread, v.Repository().Flag()), a.listStates(ctx, conf, system, points))
		},
	}
	a.readFlags(c)
	return c
}

func (a *app) showCommand() *cobra.Command {
	var runbookText bool
	c := &cobra.Command{
		Use:   "show [SYSTEM] [POINT]",
		Short: "Show what a recovery point holds",
		Example: `  lifeboat show smt
  lifeboat show smt 1a2b3c4d
  lifeboat show smt --runbook > RUNBOOK.md`,
		Args: screen.Args(cobra.MaximumNArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			ctx := c.Context()
			p, closeVault, err := a.point(ctx, names)
			if err != nil {
				return err
			}
			defer closeVault()
			if runbookText {
				text, err := p.Text(ctx, vault.RunbookPath)
				if err != nil {
					return err
				}
				_, err = a.Out.Write(text)
				return err
			}
			if a.JSON {
				return a.Emit(p.Manifest)
			}
			a.showPoint(p)
			return nil
		},
	}
	c.Flags().BoolVar(&runbookText, "runbook", false, "print the recovery written out for a person")
	a.readFlags(c)
	return c
}

func (a *app) showPoint(p *vault.Point) {
	m := p.Manifest
	paint := screen.PainterFor(a.Out)
	a.Printf("%s  %s\n", paint.Bold("Recovery point"), p.ID())
	a.Printf("system    %s (profile %s)\n", m.System, m.Profile)
	a.Printf("moment    %s (%s)\n", screen.When(p.Time()), ago(p.Time()))
	a.Printf("made by   lifeboat %s, %s\n", m.Version, m.Trigger)
	for _, name := range sorted(m.Identity) {
		a.Printf("%-9s %s\n", name, m.Identity[name])
	}
	a.Printf("\n")
	var rows [][]string
	for _, r := range m.Components {
		state := string(r.Status)
		if r.Status != component.StatusCaptured && r.Reason != "" {
			state += ": " + screen.FirstLine(r.Reason)
		}
		rows = append(rows, []string{r.Name, string(r.Importance), size(r.Bytes), state})
	}
	a.Table([]string{"component", "importance", "size", "state"}, rows, "size")
	for _, w := range m.Noted() {
		a.Printf("\n%s %s\n", paint.Yellow("warning"), screen.Printable(w))
	}
	if m.Incomplete {
		a.Printf("\n%s This point is incomplete.\n", paint.Yellow("warning"))
	}
}

// noPoint says that nothing is there of a system that nobody has configured; usual is
// what is said of one that somebody has.
func (a *app) noPoint(conf *config.Config, system string, usual error) error {
	if _, known := conf.System(system); known {
		return usual
	}
	return fmt.Errorf("%w of %s in this repository, and no such system in %s", vault.ErrNoPoint, system, a.configFile)
}
