package remote

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/runbook/ending"
)

func (d *Desk) auditCommand() *cobra.Command {
	var f server
	c := &cobra.Command{
		Use:     "audit",
		Short:   "See who did what with the fleet, and whether that log is whole",
		Long:    "Every change of the fleet stands in a log, in which each entry vouches for the one before." + d.hint(),
		Example: "  lifeboat audit list\n  lifeboat audit verify",
		Args:    screen.KnownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.register(c, d.Home)
	c.AddCommand(d.auditListCommand(&f), d.auditVerifyCommand(&f))
	return c
}

func (d *Desk) auditListCommand(f *server) *cobra.Command {
	var after int64
	c := &cobra.Command{
		Use: "list", Short: "List who did what, the oldest first", Example: "  lifeboat audit list\n  lifeboat audit list --after 1200 --json",
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			speaker, err := d.client(*f)
			if err != nil {
				return err
			}
			var rows [][]string
			from := ""
			if after > 0 {
				from = strconv.FormatInt(after, 10)
			}
			err = parts(c.Context(), speaker, "/audit?limit=1000", from, func(e record.Entry) error {
				if d.JSON {
					return d.EmitTyped("audit", e)
				}
				rows = append(rows, []string{strconv.FormatInt(e.Number, 10), screen.When(e.Time), screen.Printable(e.Actor), screen.Printable(e.Action), screen.Printable(e.Object), screen.Printable(e.Detail), screen.Printable(e.From)})
				return nil
			})
			if err == nil && !d.JSON {
				d.Table([]string{"number", "time", "who", "what", "of", "detail", "from"}, rows, "number")
			}
			return err
		},
	}
	c.Flags().Int64Var(&after, "after", 0, "only what came after entry `NUMBER`")
	return c
}

func (d *Desk) auditVerifyCommand(f *server) *cobra.Command {
	var seen string
	c := &cobra.Command{
		Use: "verify", Short: "Check that the audit log is whole",
		Long: `Checks that no entry was changed, removed or put between, and that the log's end is
signed by the fleet's key. That the whole database was put back to an earlier day
shows only against an entry that was seen later: keep what this prints somewhere else,
and give it with --seen.`,
		Example: "  lifeboat audit verify\n  lifeboat audit verify --seen 1204:7f83b165…",
		Args:    screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			path := "/audit/verification"
			if seen != "" {
				number, hash, ok := strings.Cut(seen, ":")
				if n, err := strconv.ParseInt(number, 10, 64); !ok || err != nil || n < 1 {
					return screen.Usagef("--seen takes NUMBER:HASH, as audit verify prints it")
				}
				path += "?" + url.Values{"seen": {number}, "hash": {hash}}.Encode()
			}
			var s wire.AuditState
			if err := d.call(c.Context(), *f, http.MethodGet, path, nil, &s); err != nil {
				return err
			}
			switch {
			case !s.Whole:
				d.Code = ending.ExitFailed
			case len(s.Alarms) > 0:
				d.Code = ending.ExitWarnings
			}
			if d.JSON {
				return d.EmitTyped("audit-state", s)
			}
			if !s.Whole {
				d.Printf("%s at entry %d: %s\n", screen.PainterFor(d.Out).Red("BROKEN"), s.Broken, screen.Printable(s.Reason))
				return nil
			}
			for _, e := range s.Alarms {
				d.Printf("%s at entry %d, %s: %s\n", screen.PainterFor(d.Out).Yellow("ALARM"), e.Number, screen.When(e.Time), screen.Printable(e.Detail))
			}
			d.Printf("%s, %s, signed. Keep: %d:%s\n", screen.PainterFor(d.Out).Green("whole"), screen.Count(int(s.Entries), "entry", "entries"), s.Head.Number, s.Head.Hash)
			return nil
		},
	}
	c.Flags().StringVar(&seen, "seen", "", "`NUMBER:HASH` of an entry that was seen before")
	return c
}
