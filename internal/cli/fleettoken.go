package cli

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/runbook"
)

func (a *app) tokenCommand() *cobra.Command {
	var f fleetFlags
	c := &cobra.Command{
		Use:     "token",
		Short:   "Let programs and people's verbs speak with the fleet server",
		Long:    "A token acts with a role: viewer, operator or administrator." + fleetHint,
		Example: "  lifeboat token add monitoring --role viewer\n  lifeboat token list",
		Args:    knownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.register(c)
	c.AddCommand(a.tokenAddCommand(&f), a.tokenListCommand(&f), a.tokenRemoveCommand(&f))
	return c
}

func (a *app) tokenAddCommand(f *fleetFlags) *cobra.Command {
	n := wire.NewToken{}
	role := string(record.Viewer)
	c := &cobra.Command{
		Use: "add NAME", Short: "Make a token, which is shown once",
		Example: "  lifeboat token add monitoring --role viewer\n  (umask 077; lifeboat token add anna --role operator --valid 90d >anna.token)",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			n.Name, n.Role = names[0], record.Role(role)
			if !n.Role.May(record.Viewer) {
				return usagef("--role takes %s, %s or %s", record.Viewer, record.Operator, record.Administrator)
			}
			var made wire.MadeToken
			if err := a.call(c.Context(), *f, http.MethodPost, "/tokens", n, &made); err != nil {
				return err
			}
			if a.json {
				return a.emitTyped("token", made)
			}
			a.printf("%s\n", made.Text)
			_, err := a.err.Write([]byte("That is the token " + made.Name + ". It is not shown again: keep it in a file of mode 600, and name the file in " + fleetTokenVariable + ".\n"))
			return err
		},
	}
	c.Flags().StringVar(&role, "role", role, "what it may do: viewer, operator or administrator")
	c.Flags().StringVar(&n.Valid, "valid", "", "let it hold for `TIME`, such as 90d (default: until it is removed)")
	return c
}

func (a *app) tokenListCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens", Example: "  lifeboat token list", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var l wire.List[record.Token]
			if err := a.call(c.Context(), *f, http.MethodGet, "/tokens", nil, &l); err != nil {
				return err
			}
			var rows [][]string
			for _, t := range l.Items {
				if a.json {
					if err := a.emitTyped("token", t); err != nil {
						return err
					}
				}
				rows = append(rows, []string{printable(t.Name), string(t.Role), printable(t.By), when(t.Created), when(t.Expires), when(t.Used)})
			}
			if !a.json {
				a.table([]string{"token", "role", "made by", "made", "expires", "used"}, rows)
			}
			return nil
		},
	}
}

func (a *app) tokenRemoveCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Make a token worthless, at once", Example: "  lifeboat token remove monitoring",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := a.call(c.Context(), *f, http.MethodDelete, client.Path("tokens", names[0]), nil, nil); err != nil {
				return err
			}
			if a.json {
				return a.emitTyped("token-removed", map[string]string{"name": names[0]})
			}
			a.printf("The token %s is worth nothing any more.\n", names[0])
			return nil
		},
	}
}

func (a *app) auditCommand() *cobra.Command {
	var f fleetFlags
	c := &cobra.Command{
		Use:     "audit",
		Short:   "See who did what with the fleet, and whether that log is whole",
		Long:    "Every change of the fleet stands in a log, in which each entry vouches for the one before." + fleetHint,
		Example: "  lifeboat audit list\n  lifeboat audit verify",
		Args:    knownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.register(c)
	c.AddCommand(a.auditListCommand(&f), a.auditVerifyCommand(&f))
	return c
}

func (a *app) auditListCommand(f *fleetFlags) *cobra.Command {
	var after int64
	c := &cobra.Command{
		Use: "list", Short: "List who did what, the oldest first", Example: "  lifeboat audit list\n  lifeboat audit list --after 1200 --json",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			speaker, err := a.fleetClient(*f)
			if err != nil {
				return err
			}
			var rows [][]string
			from := ""
			if after > 0 {
				from = strconv.FormatInt(after, 10)
			}
			err = parts(c.Context(), speaker, "/audit?limit=1000", from, func(e record.Entry) error {
				if a.json {
					return a.emitTyped("audit", e)
				}
				rows = append(rows, []string{strconv.FormatInt(e.Number, 10), when(e.Time), printable(e.Actor), printable(e.Action), printable(e.Object), printable(e.Detail), printable(e.From)})
				return nil
			})
			if err == nil && !a.json {
				a.table([]string{"number", "time", "who", "what", "of", "detail", "from"}, rows, "number")
			}
			return err
		},
	}
	c.Flags().Int64Var(&after, "after", 0, "only what came after entry `NUMBER`")
	return c
}

func (a *app) auditVerifyCommand(f *fleetFlags) *cobra.Command {
	var seen string
	c := &cobra.Command{
		Use: "verify", Short: "Check that the audit log is whole",
		Long: `Checks that no entry was changed, removed or put between, and that the log's end is
signed by the fleet's key. That the whole database was put back to an earlier day
shows only against an entry that was seen later: keep what this prints somewhere else,
and give it with --seen.`,
		Example: "  lifeboat audit verify\n  lifeboat audit verify --seen 1204:7f83b165…",
		Args:    args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			path := "/audit/verification"
			if seen != "" {
				number, hash, ok := strings.Cut(seen, ":")
				if n, err := strconv.ParseInt(number, 10, 64); !ok || err != nil || n < 1 {
					return usagef("--seen takes NUMBER:HASH, as audit verify prints it")
				}
				path += "?" + url.Values{"seen": {number}, "hash": {hash}}.Encode()
			}
			var s wire.AuditState
			if err := a.call(c.Context(), *f, http.MethodGet, path, nil, &s); err != nil {
				return err
			}
			switch {
			case !s.Whole:
				a.code = runbook.ExitFailed
			case len(s.Alarms) > 0:
				a.code = runbook.ExitWarnings
			}
			if a.json {
				return a.emitTyped("audit-state", s)
			}
			if !s.Whole {
				a.printf("%s at entry %d: %s\n", painterFor(a.out).red("BROKEN"), s.Broken, printable(s.Reason))
				return nil
			}
			for _, e := range s.Alarms {
				a.printf("%s at entry %d, %s: %s\n", painterFor(a.out).yellow("ALARM"), e.Number, when(e.Time), printable(e.Detail))
			}
			a.printf("%s, %s, signed. Keep: %d:%s\n", painterFor(a.out).green("whole"), count(int(s.Entries), "entry", "entries"), s.Head.Number, s.Head.Hash)
			return nil
		},
	}
	c.Flags().StringVar(&seen, "seen", "", "`NUMBER:HASH` of an entry that was seen before")
	return c
}
