package screen

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Root is the command above all verbs, with what every program has: --json, a version,
// mistakes told as such. long is followed by what the exit codes mean.
func (s *Screen) Root(long, example string) *cobra.Command {
	root := &cobra.Command{
		Use:   "lifeboat",
		Short: "Bring a management server back",
		Long: long + `

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 done with warnings,
4 refused (identity, safety), 5 waiting for a person or a restart, 130 interrupted.`,
		Example:           example,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		Version:           Version,
		Args:              KnownVerb,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().BoolVar(&s.JSON, "json", false, "print one JSON object a line")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return UsageError{err} })
	root.AddCommand(s.versionCommand())
	return root
}

func (s *Screen) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  lifeboat version", Args: Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			revision := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			if s.JSON {
				return s.Emit(map[string]string{"type": "version", "version": Version, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			s.Printf("lifeboat %s (%s, %s/%s)\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
