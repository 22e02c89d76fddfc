package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/lab/sles"
)

func upgradeLab() *cobra.Command {
	var opts sles.Options
	var machine bool
	cmd := &cobra.Command{
		Use: "sles DIR", Short: "Build a root of SUSE Linux Enterprise and package repositories to upgrade it from", Args: cobra.ExactArgs(1),
		Long: "sles installs a tiny SUSE Linux Enterprise below DIR/root with the real zypper, and puts the package repositories of it and of the release after it below DIR/repositories.\n\n" +
			"Releases are 11.2, 11.3, 12 and 12.1. Faults of the new release are " + strings.Join(sles.Faults(), ", ") + ".",
		Example: "  lab sles /var/tmp/up --from 11.3 --break pre\n  HOME=/var/tmp/up/home zypper --root /var/tmp/up/root products",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := sles.Build(c.Context(), args[0], opts)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if machine {
				return json.NewEncoder(out).Encode(l)
			}
			fmt.Fprintf(out, "root\t%s\nhome\t%s\nkey\t%s\n", l.Root, l.Home, l.Key)
			for _, r := range append(l.Source, l.Acme) {
				fmt.Fprintf(out, "source\t%s\t%s\n", r.Alias, r.URL)
			}
			for _, r := range l.Target {
				fmt.Fprintf(out, "target\t%s\t%s\n", r.Alias, r.URL)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Product, "product", sles.SLES, "SLES or SLED")
	f.StringVar(&opts.From, "from", sles.SLES11SP3, "release of the root")
	f.StringVar(&opts.To, "to", "", "release of the repositories to upgrade from (default: the one after)")
	f.StringSliceVar(&opts.Break, "break", nil, "faults of the new release")
	f.Int64Var(&opts.Big, "big", 0, "size in bytes of the package of the fault big (default 64 MiB)")
	f.BoolVar(&machine, "json", false, "print a JSON object")
	return cmd
}

func installer() *cobra.Command {
	var line, root string
	cmd := &cobra.Command{
		Use: "installer DIR", Short: "Play the installer that a boot entry starts, on a root that `lab sles` has built", Args: cobra.ExactArgs(1),
		Long:    "installer does to DIR/root what YaST does when the boot entry in it is taken: it refuses without upgrade=1, and upgrades with the repositories of the next release.",
		Example: "  lab installer /var/tmp/up\n  lab installer /var/tmp/up --command-line 'upgrade=1 autoupgrade=1'",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := sles.Open(args[0])
			if err != nil {
				return err
			}
			if root != "" {
				l.Root = root
			}
			return l.Install(c.Context(), line)
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "play it on the system in `DIR`, with the package repositories of this lab")
	cmd.Flags().StringVar(&line, "command-line", "", "the kernel's (default: that of the boot entry)")
	return cmd
}

func medium() *cobra.Command {
	return &cobra.Command{
		Use: "medium DIR DVD", Short: "Make kernel and initrd of an installation medium for a root that `lab sles` has built", Args: cobra.ExactArgs(2),
		Example: "  lab medium /var/tmp/up /var/tmp/dvd\n  lifeboat upgrade boot-entry add --root /var/tmp/up/root --from /var/tmp/dvd",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := sles.Open(args[0])
			if err != nil {
				return err
			}
			return l.Medium(c.Context(), args[1])
		},
	}
}
