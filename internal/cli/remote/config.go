package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

func (d *Desk) configCommand() *cobra.Command {
	var f server
	c := &cobra.Command{
		Use:   "config",
		Short: "Look at the recovery configurations that hosts have sent to the fleet",
		Long: `A host of the fleet sends what its recovery needs after each good backup: its systems,
where its repositories are, its network; and sealed, so that nobody can look at them
here, its passwords and all of its files, lifeboat.yaml and profiles among them, since
commands and addresses in any of them may hold a secret. What changes makes a new
version.` + d.hint(),
		Example: "  lifeboat config list smt1\n  lifeboat config show smt1\n  lifeboat config diff smt1",
		Args:    screen.KnownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.register(c, d.Home)
	c.AddCommand(d.configListCommand(&f), d.configShowCommand(&f), d.configDiffCommand(&f), d.configExportCommand(&f))
	return c
}

func (d *Desk) configListCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use: "list NAME", Short: "List the versions of a host's recovery configuration", Example: "  lifeboat config list smt1",
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var l wire.List[wire.Version]
			if err := d.call(c.Context(), *f, http.MethodGet, client.Path("hosts", names[0], "configurations"), nil, &l); err != nil {
				return err
			}
			var rows [][]string
			for _, v := range l.Items {
				if d.JSON {
					if err := d.EmitTyped("configuration", v); err != nil {
						return err
					}
				}
				rows = append(rows, []string{strconv.FormatInt(v.Number, 10), screen.When(v.Created), screen.Printable(v.Report)})
			}
			if !d.JSON {
				d.Table([]string{"version", "sent", "after run"}, rows, "version")
			}
			return nil
		},
	}
}

// version asks for a version of a configuration, 0 for the newest.
func (d *Desk) configVersion(ctx context.Context, f server, name string, number int64) (v wire.Version, err error) {
	err = d.call(ctx, f, http.MethodGet, client.Path("hosts", name, "configurations", strconv.FormatInt(number, 10)), nil, &v)
	return v, err
}

// givenVersion reads NAME [VERSION].
func givenVersion(names []string) (int64, error) {
	if len(names) < 2 {
		return 0, nil
	}
	n, err := strconv.ParseInt(names[1], 10, 64)
	if err != nil || n < 1 {
		return 0, screen.Usagef("%q is no version; config list shows them", names[1])
	}
	return n, nil
}

func (d *Desk) configShowCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME [VERSION]", Short: "Show a host's recovery configuration, the newest unless one is named",
		Example: "  lifeboat config show smt1\n  lifeboat config show smt1 3",
		Args:    screen.Args(cobra.RangeArgs(1, 2)),
		RunE: func(c *cobra.Command, names []string) error {
			number, err := givenVersion(names)
			if err != nil {
				return err
			}
			v, err := d.configVersion(c.Context(), *f, names[0], number)
			if err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("configuration", v)
			}
			text, err := readable(v)
			if err != nil {
				return err
			}
			d.Printf("# Version %d, sent %s after run %s\n%s", v.Number, screen.When(v.Created), screen.Printable(v.Report), text)
			return nil
		},
	}
}

// readable is a configuration as people read and compare it, with its files one by
// one.
func readable(v wire.Version) (string, error) {
	open, err := configuration.ParseOpen(v.Open)
	if err != nil {
		return "", err
	}
	files := open.Files
	open.Files = nil
	plain, err := json.Marshal(open)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, plain, "", "  "); err != nil {
		return "", err
	}
	b.WriteString("\n")
	for _, file := range files {
		fmt.Fprintf(&b, "\n# File %s, mode %04o\n", file.Path, file.Mode)
		if !utf8.Valid(file.Content) {
			fmt.Fprintf(&b, "%d bytes that are no text\n", len(file.Content))
			continue
		}
		for line := range strings.Lines(string(file.Content)) {
			b.WriteString(screen.Printable(strings.TrimRight(line, "\r\n")) + "\n")
		}
	}
	if v.Secret {
		b.WriteString("\n# and what is secret, sealed\n")
	}
	return b.String(), nil
}

func (d *Desk) configDiffCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use: "diff NAME [VERSION]", Short: "Show what a version of a host's recovery configuration has changed",
		Long: `Compares a version with the one before; the newest unless one is named. That only
what is secret has changed shows as well, and not how.`,
		Example: "  lifeboat config diff smt1\n  lifeboat config diff smt1 3",
		Args:    screen.Args(cobra.RangeArgs(1, 2)),
		RunE: func(c *cobra.Command, names []string) error {
			number, err := givenVersion(names)
			if err != nil {
				return err
			}
			now, err := d.configVersion(c.Context(), *f, names[0], number)
			if err != nil {
				return err
			}
			if now.Number == 1 {
				return screen.Usagef("version 1 of %s is the first; there is nothing to compare it with", names[0])
			}
			before, err := d.configVersion(c.Context(), *f, names[0], now.Number-1)
			if err != nil {
				return err
			}
			text, err := changes(before, now)
			if err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("configuration-diff", map[string]any{"from": before.Number, "to": now.Number, "diff": text})
			}
			if text == "" {
				d.Printf("Versions %d and %d differ in what is secret alone.\n", before.Number, now.Number)
			}
			d.Printf("%s", text)
			return nil
		},
	}
}

func changes(before, now wire.Version) (string, error) {
	from, err := readable(before)
	if err != nil {
		return "", err
	}
	to, err := readable(now)
	if err != nil {
		return "", err
	}
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(from), B: difflib.SplitLines(to), Context: 2,
		FromFile: fmt.Sprintf("version %d, %s", before.Number, screen.When(before.Created)),
		ToFile:   fmt.Sprintf("version %d, %s", now.Number, screen.When(now.Created)),
	})
}

func (d *Desk) configExportCommand(f *server) *cobra.Command {
	var valid string
	c := &cobra.Command{
		Use: "export NAME FILE", Short: "Write a host's newest recovery configuration to a signed file, for a medium without network",
		Long: `Writes what a rescue system takes from a file where no network leads to the fleet
server. It is signed and holds no secret: the repository's password must be brought
another way. A rescue system takes it only where its medium allows static
configurations, since nobody can tell from a file whether there is a newer one. It
expires after 30 days, or as --valid says.`,
		Example: "  lifeboat config export smt1 /media/usb/smt1.json\n  lifeboat config export smt1 smt1.json --valid 90d",
		Args:    screen.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			var envelope json.RawMessage
			if err := d.call(c.Context(), *f, http.MethodPost, client.Path("hosts", names[0], "exports"), wire.Export{Valid: valid}, &envelope); err != nil {
				return err
			}
			if err := writePublic(names[1], envelope); err != nil {
				return fmt.Errorf("write the recovery configuration: %w", err)
			}
			if d.JSON {
				return d.EmitTyped("exported", map[string]any{"host": names[0], "file": names[1]})
			}
			d.Printf("The recovery configuration of %s is in %s.\n", names[0], names[1])
			return nil
		},
	}
	c.Flags().StringVar(&valid, "valid", "", "let it hold for `TIME`, such as 90d (default 30d)")
	return c
}
