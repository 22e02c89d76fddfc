package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/apt"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/choice"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
)

// planFlags are the options of one plan.
type planFlags struct {
	to, method string
	facts      string
	root       screen.Path
	answers    []string
	simulate   bool
	control    screen.Path
}

func (a *app) upgradePlanCommand() *cobra.Command {
	f := planFlags{root: "/"}
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say whether a host may become a later release, in which steps and by what means",
		Long: `Judges the way from what a host is to another release by the vendor's own rules: which
releases follow each other, on which architectures, by which methods, and what each
needs. Without --to it lists what the host may become in one step.

A release cannot be left out where the vendor supports none to be: such a plan is
refused (exit code 4) and lists the steps to go one after the other. Each is an
upgrade of its own.

What the installer of the new release would ask is part of the plan, with the answers
that need nobody. --answer gives others: root=/dev/sda2, license=accept,
registration=register or skip, mode=update (only the installed packages) or features,
patterns="one two". --control-file writes them as the control file of an automatic
upgrade, which belongs to ` + choice.ControlFile + `.

A host that is too old for this program is planned from elsewhere, see
` + "`lifeboat facts --script`.",
		Example: `  lifeboat upgrade plan
  lifeboat upgrade plan --to "SLES 12"
  lifeboat upgrade plan --to "SLES 12" --facts lifeboat-facts.txt
  lifeboat upgrade plan --to "Debian 13" --simulate
  lifeboat upgrade plan --to 12 --method boot-entry --answer license=accept --control-file autoupg.xml`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.plan(c, f) },
	}
	c.Flags().StringVar(&f.to, "to", "", "the `RELEASE` that is wanted, such as \"SLES 12 SP1\"")
	c.Flags().StringVar(&f.method, "method", "", "go there by this `METHOD`, such as online or boot-entry")
	c.Flags().StringVar(&f.facts, "facts", "", "judge the host whose facts are in `FILE`")
	c.Flags().Var(&f.root, "root", "judge the machine whose root file system is mounted at `DIR`")
	c.Flags().StringArrayVar(&f.answers, "answer", nil, "answer what the installer asks, as `QUESTION=ANSWER`; may be given several times")
	c.Flags().Var(&f.control, "control-file", "write the answers to `FILE`, for an automatic upgrade")
	c.Flags().BoolVar(&f.simulate, "simulate", false, "ask apt what would become of the packages (Debian), in a sandbox")
	c.MarkFlagsMutuallyExclusive("facts", "root")
	c.MarkFlagsMutuallyExclusive("facts", "simulate")
	return c
}

// judged is a host with the catalogue that knows its release.
type judged struct {
	facts     *facts.Facts
	catalogue *path.Catalogue
	release   path.Release
}

// judge reads the facts of a host and finds its release in a profile.
func (a *app) judge(c *cobra.Command, root screen.Path, file string) (judged, error) {
	f, err := a.factsOf(c, root, file)
	if err != nil {
		return judged{}, err
	}
	known, err := a.catalogueFor(f.Release.ID)
	if err != nil {
		return judged{}, err
	}
	if known == nil {
		return judged{}, fmt.Errorf("this host is %s (%q in %s), and no profile knows its upgrades", screen.Printable(firstOf(f.Release.Name, "no system that says its name")), screen.Printable(f.Release.ID), screen.Printable(firstOf(f.Release.Source, "no file")))
	}
	r, err := known.Find(f.Release.ID, f.Release.Version, f.Release.SP, f.Arch)
	if err != nil {
		return judged{}, fmt.Errorf("this host: %w", err)
	}
	return judged{f, known, r}, nil
}

// catalogueFor finds the upgrades of the product of an id; nil when no profile has them.
func (a *app) catalogueFor(id string) (*path.Catalogue, error) {
	entries, err := a.catalogue().List()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Err != nil {
			continue
		}
		if c, ok := path.Of(e.Profile); ok && c.Knows(id) {
			return c, nil
		}
	}
	return nil, nil
}

// planView is a plan for programs.
type planView struct {
	Type string `json:"type"`
	Host string `json:"host"`
	path.Verdict
	Options choice.Choices `json:"options"`
	Life    lifeView       `json:"life"`
	Facts   *planFacts     `json:"facts"`
	Apt     *apt.Answer    `json:"apt,omitempty"`
	Unknown string         `json:"unknown,omitempty"` // what was not judged, since nobody knows it
}

// lifeView is the support of both releases.
type lifeView struct {
	From path.Standing `json:"from"`
	To   path.Standing `json:"to"`
}

// planFacts is what the plan rests on; the manual wants the root device written down.
type planFacts struct {
	Collected time.Time  `json:"collected"`
	Root      facts.Root `json:"root_device"`
}

func (a *app) plan(c *cobra.Command, f planFlags) error {
	if f.to == "" && c.Flags().Changed("to") {
		return screen.Usagef("--to is empty; name the release that is wanted, or leave --to out")
	}
	j, err := a.judge(c, f.root, f.facts)
	if err != nil {
		return err
	}
	if f.to == "" {
		if f.method != "" || len(f.answers) > 0 || f.control != "" || f.simulate {
			return screen.Usagef("--method, --answer, --control-file and --simulate need --to: the release that is wanted")
		}
		return a.showTargets(j)
	}
	to, err := j.catalogue.Parse(f.to, path.Release{Product: j.release.Product})
	if err != nil {
		return screen.Usage(fmt.Errorf("--to: %w", err))
	}
	v := j.catalogue.Judge(j.release, to)
	if f.method != "" {
		if _, ok := j.catalogue.Methods[f.method]; !ok {
			return screen.Usagef("--method: %q is none of %s", f.method, strings.Join(sorted(j.catalogue.Methods), ", "))
		}
		v = j.catalogue.By(v, f.method)
	}
	now := time.Now()
	view := planView{
		Type: "upgrade-plan", Host: j.facts.Hostname, Verdict: v,
		Life:  lifeView{j.catalogue.Standing(v.From, now), j.catalogue.Standing(v.To, now)},
		Facts: &planFacts{j.facts.Collected, j.facts.Root},
	}
	if view.Options, err = options(j.facts, v, f.answers); err != nil {
		return err
	}
	if v.From.Arch == "" {
		view.Unknown, a.Code = "the architecture of this host is not known, so the way is judged by the releases alone", runbook.ExitWarnings
	}
	if v.Outcome == path.Refused {
		a.Code = runbook.ExitRefused
	}
	if f.simulate {
		if view.Apt, err = a.askApt(c.Context(), j, v, string(f.root)); err != nil {
			return err
		}
		if len(view.Apt.Conflicts) > 0 {
			a.Code = runbook.ExitRefused
		}
	}
	if f.control != "" {
		if err := writeControl(string(f.control), view); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.Emit(view)
	}
	a.showWay(view)
	if f.control != "" {
		a.Printf("\n%s is written; it belongs to %s of the host.\n", f.control, choice.ControlFile)
	}
	return nil
}

// options are what the installer would ask, where one is to be run.
func options(f *facts.Facts, v path.Verdict, answers []string) (choice.Choices, error) {
	q := choice.Choices{}
	if v.Outcome == path.Supported && installs(v.Hops[0]) {
		q = choice.For(choice.Host{
			RootDevice: f.Root.Device, WindowManager: f.Desktop.WindowManager, DisplayManager: f.Desktop.DisplayManager,
		}, v.From.Version, v.To.Version)
	}
	for _, text := range answers {
		id, answer, ok := strings.Cut(text, "=")
		if !ok {
			return nil, screen.Usagef("--answer %q: write QUESTION=ANSWER", text)
		}
		if len(q) == 0 {
			return nil, screen.Usagef("--answer %s: nothing is asked, for no installer is run on this way", id)
		}
		if err := q.Answer(id, answer); err != nil {
			return nil, screen.Usage(fmt.Errorf("--answer: %w", err))
		}
	}
	return q, nil
}

func installs(h path.Hop) bool {
	for _, m := range h.Methods {
		if m.By == "installer" {
			return true
		}
	}
	return false
}

// writeControl makes the control file, and replaces none.
func writeControl(file string, view planView) error {
	if view.Outcome != path.Supported || len(view.Options) == 0 {
		return screen.Usagef("--control-file: no installer is run on this way")
	}
	text, err := view.Options.Control(view.To.Version)
	if err != nil {
		return screen.Usage(fmt.Errorf("--control-file: %w", err))
	}
	if err := writeNew(file, text); err != nil {
		return fmt.Errorf("write the control file: %w", err)
	}
	return nil
}

// showTargets lists what a host may become in one step.
func (a *app) showTargets(j judged) error {
	hops := j.catalogue.Next(j.release)
	now := time.Now()
	if a.JSON {
		return a.Emit(map[string]any{"type": "upgrade-targets", "host": j.facts.Hostname, "from": j.release, "hops": hops})
	}
	a.Printf("%s %s\n", screen.PainterFor(a.Out).Bold(firstOf(screen.Printable(j.facts.Hostname), "This host")+":"), j.release)
	if len(hops) == 0 {
		a.Printf("No later release follows it in one step.\n")
		return nil
	}
	var rows [][]string
	for _, h := range hops {
		var names []string
		for _, m := range h.Methods {
			names = append(names, m.ID)
		}
		rows = append(rows, []string{"  " + h.To.Name(), strings.Join(names, ", "), ends(j.catalogue.Standing(h.To, now))})
	}
	a.Table([]string{"  may become", "by", "support"}, rows)
	a.Printf("Look at one: lifeboat upgrade plan --to %q\n", hops[len(hops)-1].To.Name())
	return nil
}
