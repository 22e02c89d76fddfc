package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/changelog"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
	"lifeboat/internal/zypper"
)

type changelogFlags struct {
	root screen.Path
	cves []string
	bugs []string
	scan string
}

func (a *app) changelogCommand() *cobra.Command {
	f := changelogFlags{root: "/"}
	c := &cobra.Command{
		Use:   "changelog {PACKAGE|FILE.rpm|--scan REPORT}",
		Short: "Say whether a fault was mended in a package",
		Long: `Answers whether a fault was mended in an installed package, or in a package file: from
its changelog, its README.SUSE, the patches of a source package, and the update notices
of the package repositories, as they were last refreshed. CAN- numbers are CVE numbers.
Without --cve and --bug it lists all that is named.

The version number does not tell: fixes are put into the version that a release began
with. A scanner that compares version numbers guesses; --scan reads its report (JSON of
Trivy or Grype, CSV, or text with CVE numbers) and separates what was mended, what an
update mends that is not installed, and what nobody says anything about. A finding of a
test that has tried the fault out is no guess: against what the changelog says it comes
first. Lines that may say that a fault was not mended, or only in part, are to be read.

The exit code is 0 when all was mended, and 3 otherwise.`,
		Example: `  lifeboat changelog apache2 --cve CVE-2013-1862
  lifeboat changelog apache2-2.2.12-1.40.1.src.rpm --cve CAN-2005-2700 --bug bnc#829056
  lifeboat changelog --scan report.csv --root /mnt`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			switch {
			case f.scan != "" && (len(names) > 0 || len(f.cves)+len(f.bugs) > 0):
				return screen.Usagef("--scan stands alone, with --root at most")
			case f.scan != "":
				return a.scanned(c.Context(), f)
			case len(names) == 0:
				return screen.Usagef("name a package, a package file, or a scanner's report with --scan")
			}
			return a.changelog(c.Context(), names[0], f)
		},
	}
	flags := c.Flags()
	flags.Var(&f.root, "root", "look at the machine whose root file system is mounted at `DIR`")
	flags.StringSliceVar(&f.cves, "cve", nil, "`NUMBER` of the fault, CVE-… or CAN-…; several with commas")
	flags.StringSliceVar(&f.bugs, "bug", nil, "the fault as a `BUG`, such as bnc#829056")
	flags.StringVar(&f.scan, "scan", "", "judge what a scanner's report in `FILE` says")
	return c
}

func (f changelogFlags) faults() (list []changelog.Identifier, err error) {
	for _, of := range []struct {
		texts []string
		parse func(string) (changelog.Identifier, error)
	}{{f.cves, changelog.ParseCVE}, {f.bugs, changelog.ParseBug}} {
		for _, text := range of.texts {
			id, err := of.parse(text)
			if err != nil {
				return nil, screen.Usage(err)
			}
			list = append(list, id)
		}
	}
	return list, nil
}

// onMachine calls do with a machine's packages.
func (f changelogFlags) onMachine(do func(*changelog.Machine) error) error {
	h, err := hostBelow(f.root)
	if err != nil {
		return screen.Usage(err)
	}
	dir, err := scratch.In(os.TempDir())
	if err != nil {
		return err
	}
	z, err := zypper.New(zypper.Options{Root: string(f.root), Dir: dir.Path()})
	if err == nil {
		err = do(&changelog.Machine{Host: h, Zypper: z})
	}
	if errors.Is(err, host.ErrNoProgram) {
		err = fmt.Errorf("%w; packages that are installed are asked for with rpm and zypper, a package FILE.rpm needs neither", err)
	}
	return errors.Join(err, dir.Remove())
}

func (a *app) changelog(ctx context.Context, name string, f changelogFlags) error {
	faults, err := f.faults()
	if err != nil {
		return err
	}
	if !strings.HasSuffix(name, ".rpm") && !strings.Contains(name, "/") {
		return f.onMachine(func(m *changelog.Machine) error {
			p, err := m.Package(ctx, name)
			if errors.Is(err, changelog.ErrNotInstalled) {
				err = screen.Usagef("%w; of a package file give its name with .rpm", err)
			}
			if err != nil {
				return err
			}
			notices, err := m.Notices(ctx, faults)
			if err != nil {
				// The changelog answers without them.
				if err := a.warn(err); err != nil {
					return err
				}
			}
			if len(faults) == 0 {
				return a.showNamed(p)
			}
			var answers []changelog.Answer
			for _, fault := range faults {
				answers = append(answers, p.Judge(fault, notices))
			}
			return a.showAnswers(answers)
		})
	}
	file, err := os.Open(name)
	if err != nil {
		return screen.Usage(err)
	}
	defer file.Close()
	p, err := changelog.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(faults) == 0 {
		return a.showNamed(p)
	}
	var answers []changelog.Answer
	for _, fault := range faults {
		answers = append(answers, p.Judge(fault, nil))
	}
	return a.showAnswers(answers)
}

func (a *app) showNamed(p *changelog.Package) error {
	named := p.Named()
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			*changelog.Package
			Faults []changelog.Answer `json:"faults"`
		}{"changelog", p, named})
	}
	var rows [][]string
	for _, n := range named {
		e := n.Evidence[0]
		rows = append(rows, []string{n.Fault.String(), string(e.Kind), screen.Printable(e.Place), screen.Printable(e.Text)})
	}
	a.Printf("%s %s\n", screen.PainterFor(a.Out).Bold(screen.Printable(p.Name)), screen.Printable(p.Edition))
	if len(rows) == 0 {
		a.Printf("It names no fault.\n")
		return nil
	}
	a.Table([]string{"fault", "named in", "", ""}, rows)
	return nil
}

// showAnswers prints answers, and has the exit code tell whether all was mended.
func (a *app) showAnswers(answers []changelog.Answer) error {
	for _, answer := range answers {
		if answer.Verdict != changelog.Fixed && answer.Verdict != changelog.Absent {
			a.Code = runbook.ExitWarnings
		}
		if a.JSON {
			if err := a.EmitTyped("answer", answer); err != nil {
				return err
			}
			continue
		}
		a.printAnswer(answer)
	}
	return nil
}

var verdictWords = map[changelog.Verdict]string{
	changelog.Contradicted: "found open by a test, and said to be mended", changelog.Needed: "an update is needed",
	changelog.Doubtful: "read it yourself", changelog.Unknown: "not known", changelog.Fixed: "mended", changelog.Absent: "not installed",
}

// urgent first.
var verdicts = []changelog.Verdict{changelog.Contradicted, changelog.Needed, changelog.Doubtful, changelog.Unknown, changelog.Fixed, changelog.Absent}

func (a *app) printAnswer(answer changelog.Answer) {
	paint := screen.PainterFor(a.Out)
	word := verdictWords[answer.Verdict]
	switch answer.Verdict {
	case changelog.Fixed:
		word = paint.Green(word)
	case changelog.Needed, changelog.Contradicted:
		word = paint.Red(word)
	case changelog.Unknown, changelog.Doubtful:
		word = paint.Yellow(word)
	}
	a.Printf("%s  %s  %s\n", paint.Bold(screen.Printable(answer.Name())), screen.Printable(strings.TrimSpace(answer.Package+" "+answer.Edition)), word)
	a.Printf("  %s.\n", screen.Printable(answer.Why))
	for _, e := range answer.Evidence {
		a.Printf("  %s %s: %s\n", e.Kind, screen.Printable(e.Place), screen.Printable(e.Text))
	}
}

// scanned judges a scanner's report: what needs something done comes first.
func (a *app) scanned(ctx context.Context, f changelogFlags) error {
	file, err := os.Open(f.scan)
	if err != nil {
		return screen.Usage(err)
	}
	defer file.Close()
	findings, err := changelog.ReadReport(file)
	if err != nil {
		return screen.Usagef("report %s: %w", f.scan, err)
	}
	return f.onMachine(func(m *changelog.Machine) error {
		meter := a.meter()
		answers, err := m.Survey(ctx, findings, func(done, all int) { meter.show("%d of %d findings", done, all) })
		meter.clear()
		if err != nil {
			return err
		}
		count := map[changelog.Verdict]int{}
		for _, verdict := range verdicts {
			var these []changelog.Answer
			for _, answer := range answers {
				if answer.Verdict == verdict {
					these = append(these, answer)
				}
			}
			count[verdict] = len(these)
			if err := a.showAnswers(these); err != nil {
				return err
			}
		}
		if a.JSON {
			line := map[string]any{"type": "scan", "findings": len(findings)}
			for _, verdict := range verdicts {
				line[string(verdict)] = count[verdict]
			}
			return a.Emit(line)
		}
		a.Printf("\nOf %d findings: ", len(findings))
		if n := count[changelog.Contradicted]; n > 0 {
			a.Printf("%d were found by a test although they are said to be mended, ", n)
		}
		a.Printf("%d need an update, %d are to be read, of %d nobody says anything, %d were guessed and are mended, %d are about packages that are not installed.\n",
			count[changelog.Needed], count[changelog.Doubtful], count[changelog.Unknown], count[changelog.Fixed], count[changelog.Absent])
		return nil
	})
}
