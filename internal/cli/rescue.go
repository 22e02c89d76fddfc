package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/identity"
	"lifeboat/internal/rescue/source"
	"lifeboat/internal/runbook"
)

// rescueFlags say where a recovery configuration comes from, and who is trusted.
type rescueFlags struct {
	medium   screen.Path
	keys     []string
	ca       screen.Path
	codeFile string
	static   bool
	noDHCP   bool
	setName  bool
	wait     time.Duration
}

func (f *rescueFlags) register(c *cobra.Command) {
	f.medium = source.MediumFile
	flags := c.Flags()
	flags.Var(&f.medium, "medium", "`FILE` with what the rescue medium says: address and keys")
	flags.StringSliceVar(&f.keys, "fleet-key", nil, "signing `KEY` of the fleet (ed25519:…), in place of the medium's")
	flags.Var(&f.ca, "ca", "`FILE` with the only authorities trusted for https, in PEM form (default from the medium)")
	flags.StringVar(&f.codeFile, "code-file", "", "`FILE` with the recovery code, - for standard input (default: asked for)")
	flags.BoolVar(&f.static, "allow-static", false, "take an answer that was signed for no request in particular")
	flags.BoolVar(&f.noDHCP, "no-dhcp", false, "ask no DHCP server for the address")
	flags.BoolVar(&f.setName, "set-hostname", false, "give this machine the name that the lost host had")
	flags.DurationVar(&f.wait, "wait-network", 2*time.Minute, "how long the network may take to come up")
}

func (a *app) rescueCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rescue",
		Short: "Find out, on a lost machine, what it is to become",
		Long: `A rescue system is any Linux with this program. It asks a fleet server, or a file,
for the recovery configuration of the machine that it runs on.`,
		Example: `  lifeboat rescue fetch
  lifeboat rescue fetch smt1
  lifeboat recover`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.rescueFetchCommand(), a.rescueUpdateCommand(), a.rescueBundleCommand(), a.rescueSelfTestCommand())
	return c
}

func (a *app) rescueFetchCommand() *cobra.Command {
	var f rescueFlags
	var root screen.Path = "/"
	var dry bool
	c := &cobra.Command{
		Use:   "fetch [ID|NAME] [URL]",
		Short: "Fetch this machine's recovery configuration",
		Long: `Fetches the recovery configuration of the machine it runs on, verifies it and puts
its files in place. The address comes from the command, the kernel command line
(lifeboat.recovery_config_url=), the rescue medium (/etc/lifeboat/rescue.yaml) or
DHCP (option 224); in it, $HOSTNAME, $MAC_ADDRESS, $SERVER_ID, $SERIAL and $UUID
stand for this machine. Sources are https:, http:, nfs: and file:.

Only what a pinned key of the fleet has signed, for this request and for this
machine, is taken; everything else is refused (exit code 4) and nothing is written.
Secrets come with a one-time recovery code, which an administrator makes in the
fleet's console. Nothing that is fetched is executed.

A machine with the name of a rescue system (rescue, localhost) is taken for the host
whose configuration it has fetched. Its name is changed only by --set-hostname, or when
a person at the terminal says yes.`,
		Example: `  lifeboat rescue fetch
  lifeboat rescue fetch smt1 --code-file - --set-hostname
  lifeboat rescue fetch https://fleet.example.com:8444 --fleet-key ed25519:BASE64=
  lifeboat rescue fetch 'file:///media/usb/$SERIAL.json' --dry-run`,
		Args: screen.Args(cobra.MaximumNArgs(2)),
		RunE: func(c *cobra.Command, given []string) error {
			if f.setName && root != "/" {
				return screen.Usagef("--set-hostname is for this machine, and --root %s for another", root)
			}
			_, err := a.rescueFetch(c.Context(), f, given, string(root), dry)
			return err
		},
	}
	f.register(c)
	c.Flags().Var(&root, "root", "put the files below `DIR`")
	c.Flags().BoolVarP(&dry, "dry-run", "n", false, "show what would be put in place; ask for no code")
	return c
}

// rescueFetch fetches, verifies, shows and puts in place.
func (a *app) rescueFetch(ctx context.Context, f rescueFlags, given []string, root string, dry bool) (*rescue.Fetched, error) {
	medium, err := source.LoadMedium(string(f.medium))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, screen.Usage(err)
	}
	keys, err := fleetKeys(f.keys, medium)
	if err != nil {
		return nil, err
	}
	client, err := source.NewClient(firstOf(string(f.ca), medium.CA))
	if err != nil {
		return nil, screen.Usage(err)
	}
	o := rescue.Options{
		Machine: func() (identity.Machine, error) { return identity.Read("/") }, Client: client, Keys: keys,
		Static: f.static || medium.AllowStatic, Patience: f.wait, Tell: a.tellRescue,
	}
	where := rescue.Address{CommandLine: source.CommandLine(), Medium: medium.URL, MediumFile: string(f.medium), DHCP: !f.noDHCP, Wait: 5 * time.Second}
	for _, g := range given {
		into := &o.Server
		if strings.Contains(g, ":") {
			into = &where.Given
		}
		if *into != "" {
			return nil, screen.Usagef("one host and one address are enough: %s and %s are two", *into, g)
		}
		*into = g
	}
	o.Place = where.Find
	if o.Seen, err = rescue.OpenMemory(memoryFile(string(f.medium))); err != nil {
		a.notices.warn(err.Error())
	}
	if p := theTerminal(); p != nil && !a.JSON {
		o.Choose = p.chooseHost
	}
	if !dry {
		if o.Code, err = a.askCode(f.codeFile); err != nil {
			return nil, err
		}
	}
	got, err := rescue.Fetch(ctx, o)
	if err != nil {
		return nil, addressError(err)
	}
	files, err := got.Files()
	if err != nil {
		return nil, err
	}
	var placed []rescue.Placed
	if !dry {
		if placed, err = rescue.Place(root, files, time.Now()); err != nil {
			return nil, err
		}
	}
	if err := a.showFetched(got, files, placed, dry); err != nil || dry || root != "/" {
		return got, err
	}
	return got, a.nameMachine(ctx, got.Name(), f.setName)
}

// addressError makes a mistake in an address one of usage.
func addressError(err error) error {
	if errors.Is(err, source.ErrAddress) {
		return screen.Usage(err)
	}
	return err
}

func fleetKeys(given []string, medium source.Medium) ([]ed25519.PublicKey, error) {
	if len(given) == 0 {
		given = medium.Keys
	}
	var keys []ed25519.PublicKey
	for _, text := range given {
		key, err := configuration.ParseKey(text)
		if err != nil {
			return nil, screen.Usage(err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// askCode gives how the code is got: from a file once, else from the person at the
// terminal; nil where there is neither.
func (a *app) askCode(file string) (func(context.Context, error) (typed.Code, error), error) {
	if file != "" {
		code, err := readCode(file)
		if err != nil {
			return nil, screen.Usage(err)
		}
		return func(_ context.Context, wrong error) (typed.Code, error) {
			if wrong != nil {
				return code, runbook.Refuse("", "%v. %s", wrong, newCode)
			}
			return code, nil
		}, nil
	}
	p := theTerminal()
	if p == nil || a.JSON {
		return nil, nil
	}
	return p.askCode, nil
}

const newCode = "Have an administrator make a new code for this host in the fleet's console (Recovery); one holds for 30 minutes and opens one host once. Nothing was written."

func readCode(file string) (typed.Code, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return typed.Code{}, fmt.Errorf("read the recovery code: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return typed.Code{}, fmt.Errorf("read the recovery code: %w", err)
	}
	code, err := typed.ParseCode(string(text))
	if err != nil {
		return code, fmt.Errorf("recovery code in %s: %w", file, err)
	}
	return code, nil
}

// askCode has a person type the code; an empty line goes on without secrets.
func (p *prompter) askCode(ctx context.Context, wrong error) (typed.Code, error) {
	if wrong != nil {
		fmt.Fprintf(p.Out, "  %s.\n  Ask for a new code (the fleet's console, this host, Recovery), or look whether it was made for this host.\n", screen.Clean(wrong.Error()))
	} else {
		fmt.Fprintln(p.Out, "\nThe secrets of this host (passwords of its repositories) come with a recovery code.\nAn administrator makes one in the fleet's console: this host, Recovery. It holds for 30 minutes.")
	}
	for {
		fmt.Fprint(p.Out, "Recovery code, 4 groups (Enter goes on without): ")
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.Out)
			return typed.Code{}, ctx.Err()
		case line, ok := <-p.Lines:
			if !ok {
				return typed.Code{}, typed.ErrNoCode
			}
			code, err := typed.ParseCode(line)
			if err == nil || errors.Is(err, typed.ErrNoCode) {
				return code, err
			}
			fmt.Fprintf(p.Out, "  %v. Type it again.\n", err)
		}
	}
}

// chooseHost asks which of several hosts this machine was.
func (p *prompter) chooseHost(ctx context.Context, from []source.Candidate) (record.HostID, error) {
	fmt.Fprintln(p.Out, "\nSeveral hosts of the fleet may be meant:")
	for i, c := range from {
		matched := ""
		if len(c.Matched) > 0 {
			matched = " (same " + screen.Clean(strings.Join(c.Matched, ", ")) + ")"
		}
		fmt.Fprintf(p.Out, "  %d  %s%s\n", i+1, screen.Clean(c.Name), matched)
	}
	for {
		fmt.Fprintf(p.Out, "Which one is to be recovered here? [1-%d, Enter for none] ", len(from))
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.Out)
			return "", ctx.Err()
		case line, ok := <-p.Lines:
			if line = screen.Answer(line); !ok || line == "" {
				return "", screen.ErrDeclined
			}
			if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(from) {
				return from[n-1].ID, nil
			}
		}
	}
}
