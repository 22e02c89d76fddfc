package cli

import (
	"bufio"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/remote"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/rescue/identity"
)

func (a *app) joinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "join URL TOKEN",
		Short: "Let this host join a fleet",
		Long: `Lets this host join a fleet with a token of "host add" or "host enrol". From then on the
fleet server is told of each run, while it goes on and when it has ended, and gets the
recovery configuration of this host after each good backup: what is secret in it is
sealed before it leaves. A server that does not answer keeps no backup from being
made; reports wait in the state directory and are sent later.

The host makes its own key. The token says whom to trust, so that nobody can pass for
the server, and is good once. With - for TOKEN it is read from standard input.`,
		Example: "  lifeboat join https://fleet.example.com:8444 lfj_…\n  lifeboat join https://fleet.example.com:8444 - <token",
		Args:    screen.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, words []string) error {
			token := words[1]
			if token == "-" {
				line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
				if err != nil && err != io.EOF {
					return err
				}
				token = strings.TrimSpace(line)
			}
			machine, err := identity.Read("/")
			if err != nil {
				return err
			}
			member, err := agent.Join(c.Context(), a.agentDir(), words[0], token, screen.Version, machine.Identity)
			if err != nil {
				return remote.Explain(err)
			}
			if a.JSON {
				return a.Emit(map[string]any{"type": "joined", "host": member.Host, "name": member.Name, "url": member.URL, "certificate_until": member.Expires()})
			}
			a.Printf("This host is %s in the fleet at %s.\n", screen.Printable(member.Name), member.URL)
			a.Printf("Next: lifeboat backup; the fleet gets this host's recovery configuration with the first one that goes well.\n")
			return nil
		},
	}
}
