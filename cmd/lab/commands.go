package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/lab"
	"lifeboat/internal/sandbox"
)

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lab", Short: "Build and handle lab systems", SilenceUsage: true, SilenceErrors: true,
		Long: "lab builds systems inside sandboxes: full SMT and opsi servers, or a bare operating system to recover one on. Needs root.",
	}
	cmd.AddCommand(build(), upgradeLab(), installer(), medium(), execute(), show(), refresh(),
		verb("start", "Boot a system that is down", (*lab.System).Start),
		verb("stop", "Shut a system down in order", (*lab.System).Stop),
		verb("reboot", "Shut a system down and boot it again", (*lab.System).Reboot),
		verb("kill", "Cut a system's power", func(s *lab.System, _ context.Context) error { return s.Kill() }),
		destroy(), list())
	return cmd
}

func build() *cobra.Command {
	cmd := &cobra.Command{Use: "build", Short: "Build a system"}
	for _, kind := range []struct {
		name, short string
		build       func(context.Context, lab.Options) (*lab.System, error)
	}{
		{lab.SMT, "Build a full SMT server that has been in use", lab.BuildSMT},
		{lab.Opsi, "Build a full opsi server that has been in use", lab.BuildOpsi},
		{"bare", "Build a bare operating system on which a product can be installed", lab.BuildBare},
	} {
		var opts lab.Options
		var share []string
		c := &cobra.Command{
			Use: kind.name + " DIR", Short: kind.short, Args: cobra.ExactArgs(1),
			Example: "  lab build " + kind.name + " /var/tmp/one --lifeboat bin/lifeboat --share /var/tmp/repo:/backup",
			RunE: func(c *cobra.Command, args []string) error {
				opts.Dir = args[0]
				for _, s := range share {
					host, guest, ok := strings.Cut(s, ":")
					if !ok {
						return fmt.Errorf("--share %s: say HOST:GUEST", s)
					}
					host, err := filepath.Abs(host)
					if err != nil {
						return err
					}
					opts.Share = append(opts.Share, sandbox.Bind{Source: host, Target: guest})
				}
				_, err := kind.build(c.Context(), opts)
				return err
			},
		}
		flags(c, &opts, kind.name)
		c.Flags().StringArrayVar(&share, "share", nil, "share a directory, HOST:GUEST")
		cmd.AddCommand(c)
	}
	return cmd
}

// flags are those of one kind of system.
func flags(c *cobra.Command, opts *lab.Options, kind string) {
	f := c.Flags()
	if kind == "bare" {
		f.StringVar(&opts.Product, "product", lab.SMT, "what will be installed: smt or opsi")
		f.BoolVar(&opts.Installed, "installed", false, "with opsi installed, set up and empty")
	}
	if kind != lab.Opsi {
		f.StringVar(&opts.Line, "line", "", "SLES line: 10, 11 or 12 (default: that of the schema)")
		f.StringVar(&opts.Schema, "schema", "", "schema version of SMT: 0.09, 0.14 or 3.09 (default: that of the line, or 3.09)")
		f.StringVar(&opts.MirrorTo, "mirror-to", "", "where packages are mirrored to (default /srv/www/htdocs)")
		f.BoolVar(&opts.Local, "local", false, "add an administrator's view, trigger, routine and event to the database")
		f.BoolVar(&opts.OldScript, "old-script", false, "add an old backup script with a password in it")
		f.DurationVar(&opts.MirrorTime, "mirror-time", 0, "how long smt-mirror takes")
		f.StringVar(&opts.UpdateSchema, "update-schema", "", "schema version of that update")
	}
	if kind != lab.SMT {
		f.StringVar(&opts.Variant, "variant", "", "opsi's backends: file, hybrid or mysql (default hybrid)")
		f.BoolVar(&opts.Large, "large", false, "opsi with 400 clients instead of 25")
	}
	f.StringVar(&opts.Hostname, "hostname", "", "host name (default smt1.example.com or opsi.example.com)")
	f.StringVar(&opts.Address, "address", "", "address with prefix length (default 192.0.2.10/24)")
	f.StringVar(&opts.MAC, "mac", "", "address of its network card (default 52:54:00:5b:04:75)")
	f.StringVar(&opts.Network, "network", "", "file of a network namespace with a bridge called lan, which it is plugged into")
	f.StringVar(&opts.Password, "password", "", "password of the database user; nasty is one with quotes, # and spaces")
	f.BoolVar(&opts.Fresh, "fresh-ids", kind == "bare", "give the product's users other ids than the first server's")
	f.StringVar(&opts.Version, "package-version", "", "version of the product's packages")
	f.StringVar(&opts.Update, "update", "", "version that is new upstream: of the smt package, or of opsi's firefox")
	f.StringVar(&opts.Lifeboat, "lifeboat", "", "program to put at /usr/bin/lifeboat")
	f.Int64Var(&opts.Size, "size", 0, "disk size in bytes")
}

func execute() *cobra.Command {
	var tty bool
	cmd := &cobra.Command{
		Use: "exec DIR -- COMMAND [ARGUMENT...]", Short: "Run a command inside", Args: cobra.MinimumNArgs(2),
		Example: "  lab exec -t /var/tmp/one -- bash",
		RunE: func(c *cobra.Command, args []string) error {
			s, err := lab.Open(args[0])
			if err != nil {
				return err
			}
			return s.Exec(c.Context(), sandbox.Command{Args: args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, TTY: tty})
		},
	}
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "give the command a terminal")
	return cmd
}

func verb(name, short string, f func(*lab.System, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " DIR", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := lab.Open(args[0])
			if err != nil {
				return err
			}
			return f(s, c.Context())
		},
	}
}

func show() *cobra.Command {
	return &cobra.Command{
		Use: "calls DIR", Short: "Show which commands were called inside, in order", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := lab.Open(args[0])
			if err != nil {
				return err
			}
			calls, err := s.Calls(c.Context())
			for _, call := range calls {
				fmt.Println(call)
			}
			return err
		},
	}
}

func refresh() *cobra.Command {
	var as string
	cmd := &cobra.Command{
		Use: "refresh DIR", Short: "Play a client's service refresh", Args: cobra.ExactArgs(1),
		Long: "refresh plays the refresh of a client that was registered when a server was built. With --as it is a client of that other, lost server.",
		RunE: func(c *cobra.Command, args []string) error {
			s, err := lab.Open(args[0])
			if err != nil {
				return err
			}
			if as == "" {
				as = args[0]
			}
			raw, err := os.ReadFile(as)
			if err != nil {
				raw, err = os.ReadFile(filepath.Join(as, "client.json"))
			}
			if err != nil {
				return err
			}
			return s.Refresh(c.Context(), raw)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "directory of the server that the client knows, or a copy of its client.json")
	return cmd
}

func destroy() *cobra.Command {
	return &cobra.Command{
		Use: "destroy DIR...", Short: "Remove systems, whatever state they are in", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			for _, dir := range args {
				if err := lab.Destroy(c.Context(), dir); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func list() *cobra.Command {
	return &cobra.Command{
		Use: "list [DIR]", Short: "List the systems below a directory", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			below := "."
			if len(args) > 0 {
				below = args[0]
			}
			found, err := filepath.Glob(filepath.Join(below, "*", "box"))
			if err != nil {
				return err
			}
			for _, box := range found {
				s, err := lab.Open(filepath.Dir(box))
				if err != nil {
					continue
				}
				state := "down"
				if s.Running() {
					state = "running"
				}
				fmt.Printf("%s\t%s\t%s\n", filepath.Dir(box), s.Options().Hostname, state)
			}
			return nil
		},
	}
}
