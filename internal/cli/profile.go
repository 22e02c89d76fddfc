package cli

import (
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

func (a *app) profileCommand() *cobra.Command {
	c := &cobra.Command{Args: screen.Args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return c.Help() }, Use: "profile", Short: "Look at profiles: what products are made of", Example: "  lifeboat profile list\n  lifeboat profile check site.yaml"}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the known profiles", Example: "  lifeboat profile list", Args: screen.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				entries, err := a.catalogue().List()
				if err != nil {
					return err
				}
				var rows [][]string
				for _, e := range entries {
					title, parts, problem := "", 0, ""
					if e.Err != nil {
						problem, a.Code = e.Err.Error(), runbook.ExitWarnings
					} else {
						title, parts = e.Profile.Title, len(e.Profile.Components)
					}
					if a.JSON {
						if err := a.Emit(map[string]any{"type": "profile", "name": e.Name, "title": title, "source": e.Source, "site": e.Site, "components": parts, "error": problem}); err != nil {
							return err
						}
						continue
					}
					source := "shipped"
					if e.Site {
						source = e.Source
					}
					rows = append(rows, []string{e.Name, firstOf(problem, title), screen.Count(parts, "component", "components"), source})
				}
				if !a.JSON {
					a.Table([]string{"profile", "product", "", "source"}, rows)
				}
				return nil
			},
		},
		&cobra.Command{
			Use: "show NAME", Short: "Print a profile", Example: "  lifeboat profile show smt", Args: screen.Args(cobra.ExactArgs(1)),
			RunE: func(_ *cobra.Command, names []string) error {
				p, err := a.catalogue().Load(names[0])
				if err != nil {
					return screen.Usage(err)
				}
				if a.JSON {
					return a.Emit(profileView(p))
				}
				_, err = a.Out.Write(p.Text)
				return err
			},
		},
		&cobra.Command{
			Use: "check FILE…", Short: "Check profile files and name every mistake", Example: "  lifeboat profile check /etc/lifeboat/profiles/site.yaml", Args: screen.Args(cobra.MinimumNArgs(1)),
			RunE: func(_ *cobra.Command, files []string) error {
				for _, file := range files {
					p, err := catalog().Profile.LoadFile(file)
					if err != nil {
						return screen.Usage(err)
					}
					if a.JSON {
						if err := a.Emit(profileView(p)); err != nil {
							return err
						}
						continue
					}
					a.Printf("%s: profile %s is well, %s\n", file, p.Name, screen.Count(len(p.Components), "component", "components"))
				}
				return nil
			},
		},
		&cobra.Command{
			Use: "schema", Short: "Print the JSON Schema of profiles, for editors", Example: "  lifeboat profile schema > profile.schema.json", Args: screen.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				data, err := profile.Schema(catalog().Profile)
				if err != nil {
					return err
				}
				_, err = a.Out.Write(append(data, '\n'))
				return err
			},
		},
	)
	return c
}

// profileView is a profile for programs: what it consists of, and its text.
func profileView(p *profile.Profile) map[string]any {
	parts := make([]map[string]any, 0, len(p.Components))
	for _, c := range p.Components {
		parts = append(parts, map[string]any{
			"name": c.Name, "title": c.Title, "kind": c.Kind, "importance": c.Importance, "capture": c.Capture, "loss": c.Loss,
		})
	}
	return map[string]any{
		"type": "profile", "name": p.Name, "title": p.Title, "source": p.Source, "digest": p.Digest(),
		"components": parts, "text": string(p.Text),
	}
}
