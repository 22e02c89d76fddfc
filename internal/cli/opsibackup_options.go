package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wholeOptions writes out the long options of a call of opsi-backup: Python's
// argparse, by which opsi's own reads them, takes the beginning of a name as long as
// it fits one option only, and scripts have such. Other verbs take whole names.
// What fits none, or several, is left for the parser to refuse.
func wholeOptions(verb *cobra.Command, args []string) []string {
	args = slices.Clone(args)
	chosen := false
	for i := 0; i < len(args); i++ {
		name, long := strings.CutPrefix(args[i], "--")
		switch {
		case args[i] == "--":
			return args
		case long:
			name, value, separate := strings.Cut(name, "=")
			f := option(verb, name)
			if f == nil {
				continue
			}
			args[i] = "--" + f.Name
			if separate {
				args[i] += "=" + value
			} else if f.NoOptDefVal == "" {
				i++ // its value, whatever that looks like
			}
		case strings.HasPrefix(args[i], "-") || chosen:
		default:
			for _, c := range verb.Commands() {
				if c.Name() == args[i] {
					verb, chosen = c, true
					break
				}
			}
		}
	}
	return args
}

// option is the one that a name or its beginning stands for; nil is none, or several.
func option(c *cobra.Command, name string) *pflag.Flag {
	c.InitDefaultHelpFlag()
	if f := c.Flag(name); f != nil || name == "" {
		return f
	}
	if f := c.InheritedFlags().Lookup(name); f != nil {
		return f
	}
	var fitting []*pflag.Flag
	ownOptions(c, func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, name) && !slices.Contains(fitting, f) {
			fitting = append(fitting, f)
		}
	})
	if len(fitting) != 1 {
		return nil
	}
	return fitting[0]
}

// ownOptions are those of the verb and of opsi-backup, and not those that every verb
// has here, but for the one that opsi-backup has, too.
func ownOptions(c *cobra.Command, do func(*pflag.Flag)) {
	do(c.Root().PersistentFlags().Lookup("verbose"))
	c.LocalNonPersistentFlags().VisitAll(do)
	for ; c.HasParent(); c = c.Parent() {
		c.PersistentFlags().VisitAll(do)
	}
}
