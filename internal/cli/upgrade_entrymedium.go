package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/medium"
	"lifeboat/internal/upgrade/path"
)

// entryMedium is how the medium of a boot entry is looked at: what it starts acts as
// root, on all disks, and with autoupgrade=1 nobody is asked before.
type entryMedium struct {
	to   string
	keys []string
}

func entryMediumFlags(c *cobra.Command) *entryMedium {
	m := new(entryMedium)
	c.Flags().StringVar(&m.to, "to", "", "the `RELEASE` that the medium must have (default: one that may follow)")
	c.Flags().StringArrayVar(&m.keys, "key", nil, "trust the OpenPGP keys in this `FILE`, and no others; may be repeated")
	return m
}

// look refuses a medium that is not what it claims to be, or has a release that must not
// follow. What nobody vouches for is a warning.
func (m *entryMedium) look(ctx context.Context, a *app, root screen.Path, from string) error {
	h, err := hostBelow(root)
	if err != nil {
		return err
	}
	o := medium.Options{}
	if len(m.keys) > 0 {
		if o.Keys, err = medium.ReadKeys(m.keys...); err != nil {
			return screen.Usage(err)
		}
	} else if o.Keys, err = medium.SystemKeys(ctx, h); err != nil {
		return err
	}
	f := facts.Identify(h)
	c, err := a.catalogueFor(f.Release.ID)
	if err == nil && c == nil { // whoever says nothing of itself may be one of these
		c, err = a.catalogueFor("sles")
	}
	if err != nil || c == nil {
		return errors.Join(err, fmt.Errorf("no profile knows the upgrades of %q", screen.Printable(f.Release.ID)))
	}
	present, unknown := c.Find(f.Release.ID, f.Release.Version, f.Release.SP, f.Arch)
	o.Arch = present.Arch
	var to path.Release
	if m.to != "" {
		if to, err = c.Parse(m.to, path.Release{Product: firstOf(present.Product, "SLES"), Arch: present.Arch}); err != nil {
			return screen.Usage(fmt.Errorf("--to: %w", err))
		}
	}
	s, err := upgrade.MediumSource(ctx, c, to, from, o)
	if err != nil {
		return err
	}
	doubts := s.Doubt
	switch {
	case m.to != "":
	case len(s.Has) != 1 || unknown != nil:
		s.Other = false
		if unknown != nil {
			doubts = append(doubts, "whether it may follow is not known: "+unknown.Error())
		}
	default:
		s.Other = false
		has, err := c.Parse(s.Has[0], path.Release{Product: present.Product, Arch: present.Arch})
		if err != nil {
			return runbook.Refuse("", "%s has %s: %v", screen.Printable(from), screen.Printable(s.Has[0]), err)
		}
		switch v := c.Judge(present, has); v.Outcome {
		case path.Refused:
			return runbook.Refuse("", "%s has %s. %s", screen.Printable(from), has.Name(), upgrade.Refusal(v))
		case path.Current:
			return runbook.Refuse("", "%s has %s, which the machine is already", screen.Printable(from), has.Name())
		}
	}
	if text := s.Wrong(to); text != "" {
		if s.Refuted {
			text += " (" + strings.Join(doubts, "; ") + ")"
		}
		return runbook.Refuse("", "%s", screen.Printable(text))
	}
	if len(doubts) > 0 {
		return a.warn(fmt.Errorf("nobody who is trusted vouches for %s (%s); lifeboat upgrade source check %s --key FILE looks at it with the vendor's key, and --key here does", screen.Printable(from), screen.Printable(strings.Join(doubts, "; ")), screen.Printable(from)))
	}
	return nil
}
