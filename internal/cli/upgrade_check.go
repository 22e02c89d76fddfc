package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/zypper"
)

// checkFlags are the options of one check.
type checkFlags struct {
	to, method string
	facts      string
	root       screen.Path
	accept     []string
	acceptFile string
	targets    []string
	without    []string
	medium     string
	keys       sourceFlags
	html       screen.Path
	verify     bool
}

func (a *app) upgradeCheckCommand() *cobra.Command {
	f := checkFlags{root: "/"}
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for what stands in the way of an upgrade, before anything is changed",
		Long: `Judges what is known of a host before it is upgraded: whether the way is supported,
release notes, recovery points, free space, running virtual machines, a restart that is
due, what becomes of its packages, locks, package repositories. Nothing is changed.

An inhibitor refuses the upgrade (exit code 4); what else a person should look at is
exit code 3. Findings have stable names. Some can be accepted: with --accept ID, or
ID=WORD where the report names a word, which stands for exactly what was seen.
--accept-file has one of these a line, and comments behind a #.

What becomes of packages is asked of zypper, with the package repositories of the
target that --target names, or with those of the host where it has them already. What
another vendor has for the target has to be named, too. Keys that the host does not
know are not taken in. On Debian apt is asked, with the host's own sources.

Other systems of the configuration that are on this host, an SMT say, are checked by
their profiles.

What the package repositories or the installation medium say they have is compared with
the release that is wanted. --medium takes what lifeboat upgrade source check does.

Recovery points are looked for in --repository, else in the repositories of the
configuration: the newest of this host by a profile that knows upgrades. --verify reads
all its data now. docs/upgrade.md lists the findings.`,
		Example: `  lifeboat upgrade check --to "SLES 11 SP3" --html check.html
  lifeboat upgrade check --to "SLES 12" --facts lifeboat-facts.txt
  lifeboat upgrade check --to "SLES 12" --root /mnt --repository /backup/lifeboat --verify
  lifeboat upgrade check --to "SLES 12" --medium /media/SLES-12 --key suse.asc
  lifeboat upgrade check --to "SLES 12 SP1" --target SLES12-SP1-Pool=http://smt/repo/SLES12-SP1-Pool --accept release-notes=SLES-12-SP1`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.check(c, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "the `RELEASE` that is wanted (default: where only one may follow, that)")
	flags.StringVar(&f.method, "method", "", "go there by this `METHOD`, such as online or boot-entry (default: the first that the vendor names)")
	flags.StringVar(&f.facts, "facts", "", "check the host whose facts are in `FILE`")
	flags.Var(&f.root, "root", "check the machine whose root file system is mounted at `DIR`")
	flags.StringArrayVar(&f.accept, "accept", nil, "accept a finding, as `ID[=WORD,…]`; may be given several times")
	flags.StringVar(&f.acceptFile, "accept-file", "", "accept the findings that `FILE` lists")
	flags.StringArrayVar(&f.targets, "target", nil, "a package repository of the release that is wanted, as `[ALIAS=]URL`; may be given several times")
	flags.StringSliceVar(&f.without, "without", nil, "leave the configured `SYSTEM` on this host alone")
	flags.StringVar(&f.medium, "medium", "", "the installation medium that the upgrade is to come from, as a directory, an image or an `ADDRESS`")
	f.keys.register(c)
	flags.Var(&f.html, "html", "write the report to `FILE`, as a page that needs nothing else")
	flags.BoolVar(&f.verify, "verify", false, "read all data of the recovery point now")
	a.readFlags(c)
	c.MarkFlagsMutuallyExclusive("facts", "root")
	c.MarkFlagsMutuallyExclusive("facts", "target")
	return c
}

func (a *app) check(c *cobra.Command, f checkFlags) error {
	accepted, err := f.accepted()
	if err != nil {
		return err
	}
	targets, err := targetRepositories(f.targets)
	if err != nil {
		return err
	}
	j, err := a.judge(c, f.root, f.facts)
	if err != nil {
		return err
	}
	to, err := wanted(j, f.to)
	if err != nil {
		return err
	}
	v := j.catalogue.Judge(j.release, to)
	if f.method != "" {
		if _, ok := j.catalogue.Methods[f.method]; !ok {
			return screen.Usagef("--method: %q is none of %s", f.method, strings.Join(sorted(j.catalogue.Methods), ", "))
		}
		v = j.catalogue.By(v, f.method)
	}
	in := preflight.Input{Facts: j.facts, Verdict: &v, To: v.To, Method: methodOf(v), Accept: accepted}
	if i, ok := j.catalogue.Inventory(j.release, presentOf(j.facts)); ok {
		in.Repositories = &i
	}
	if in.Method != nil && in.Method.By == "apt" && f.facts == "" {
		answer, err := a.askApt(c.Context(), j, v, string(f.root))
		if err != nil {
			in.Untold = err.Error()
		} else {
			in.Transaction, in.Conflicts = answer.Transaction, answer.Conflicts
		}
	} else if in.Transaction, in.Source, err = a.simulate(c.Context(), j, v, f, targets); err != nil {
		in.Untold, in.Conflicts, in.Distrusted = err.Error(), conflicts(err), zypper.Distrusted(err)
	}
	if len(targets) > 0 && in.Method != nil && in.Method.By == "zypper" {
		in.Offered = upgrade.Offered(j.catalogue, v.To, targets)
	}
	in.Ends = preflight.Ends(j.catalogue, j.facts, in.Transaction, v.To)
	if f.medium != "" {
		o, err := f.keys.options(c)
		if err != nil {
			return err
		}
		if in.Source, err = upgrade.MediumSource(c.Context(), j.catalogue, v.To, f.medium, o); err != nil {
			return err
		}
	}
	if in.Point, err = a.pointBefore(c.Context(), j.facts, f); err != nil {
		return err
	}
	if in.Servers, err = a.soundness(c.Context(), f); err != nil {
		return err
	}
	r := preflight.Check(in)
	if f.html != "" {
		var page bytes.Buffer
		if err := r.HTML(&page); err != nil {
			return err
		}
		if err := renameio.WriteFile(string(f.html), page.Bytes(), 0o600); err != nil {
			// What was found is worth more than the page.
			return errors.Join(a.showReport(r, f), fmt.Errorf("write the page %s: %w", screen.Clean(string(f.html)), err))
		}
	}
	return a.showReport(r, f)
}

// accepted reads --accept and --accept-file.
func (f checkFlags) accepted() (preflight.Accepted, error) {
	list := preflight.Accepted{}
	if f.acceptFile != "" {
		in, err := os.Open(f.acceptFile)
		if err != nil {
			return nil, screen.Usage(err)
		}
		defer in.Close()
		if list, err = preflight.ReadAccepted(in); err != nil {
			return nil, screen.Usage(fmt.Errorf("%s: %w", f.acceptFile, err))
		}
	}
	for _, text := range f.accept {
		if err := list.Add(text); err != nil {
			return nil, screen.Usage(fmt.Errorf("--accept: %w", err))
		}
	}
	return list, nil
}

// wanted is the release that --to names, or the only one that may follow.
func wanted(j judged, text string) (path.Release, error) {
	if text != "" {
		to, err := j.catalogue.Parse(text, path.Release{Product: j.release.Product})
		if err != nil {
			return to, screen.Usage(fmt.Errorf("--to: %w", err))
		}
		return to, nil
	}
	var names []string
	hops := j.catalogue.Next(j.release)
	for _, h := range hops {
		names = append(names, h.To.Name())
	}
	switch len(names) {
	case 0:
		return path.Release{}, screen.Usagef("no release may follow %s in one step; name the one that is wanted with --to", j.release)
	case 1:
		return hops[0].To, nil
	}
	return path.Release{}, screen.Usagef("which release? --to takes one of %s", strings.Join(names, ", "))
}

// methodOf is the method that is used: the only one, or the first that the vendor names.
func methodOf(v path.Verdict) *path.Chosen {
	if v.Outcome != path.Supported || len(v.Hops) == 0 || len(v.Hops[0].Methods) == 0 {
		return nil
	}
	return &v.Hops[0].Methods[0]
}

// showReport prints the report, and sets the exit code.
func (a *app) showReport(r *preflight.Report, f checkFlags) error {
	switch {
	case r.Inhibited:
		a.Code = runbook.ExitRefused
	case r.Open():
		a.Code = runbook.ExitWarnings
	}
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			*preflight.Report
		}{"upgrade-check", r})
	}
	paint := screen.PainterFor(a.Out)
	a.Printf("%s %s → %s\n", paint.Bold(firstOf(screen.Printable(r.Host), "This host")+":"), screen.Printable(r.From), screen.Printable(r.To))
	if ch := r.Changes; ch != nil {
		a.Printf("  %d packages upgraded, %d new, %d removed, %d older; %s to download\n", ch.Upgrade, ch.Install, ch.Remove, ch.Downgrade, humanize.IBytes(uint64(max(ch.Download, 0))))
	}
	for _, finding := range r.Findings {
		a.showFinding(finding)
	}
	for _, u := range r.Unused {
		a.Printf("\n%s %s was accepted, and nothing was found for it\n", paint.Faint("note"), screen.Printable(u))
	}
	a.Printf("\n")
	if f.html != "" {
		a.Printf("The report is in %s.\n", f.html)
	}
	switch n := len(r.Of(preflight.Inhibitor)); {
	case r.Inhibited:
		a.Printf("%s %s in the way.\n", paint.Red("It cannot be upgraded now:"), screen.Count(n, "finding stands", "findings stand"))
	case r.Open():
		a.Printf("%s There is something to look at first.\n", paint.Yellow("Nothing stands in the way."))
	default:
		a.Printf("%s\n", paint.Green("Nothing stands in the way."))
	}
	return nil
}

// mostItems of a finding are shown on a terminal; --json and --html have all.
const mostItems = 12

func (a *app) showFinding(f preflight.Finding) {
	paint := screen.PainterFor(a.Out)
	word := string(f.Severity)
	if f.Accepted {
		word = "accepted"
	}
	colour := map[string]func(string) string{string(preflight.Inhibitor): paint.Red, string(preflight.High): paint.Yellow, string(preflight.Medium): paint.Yellow}[word]
	if colour == nil {
		colour = paint.Faint
	}
	a.Printf("\n%s %s\n  %s\n", colour(fmt.Sprintf("%-9s", word)), paint.Bold(f.ID), a.paragraph(strings.TrimSpace(f.Title+". "+screen.Clean(f.Detail)), 2))
	for i, item := range f.Items {
		if i == mostItems {
			a.Printf("    and %d more\n", len(f.Items)-i)
			break
		}
		a.Printf("    %s\n", a.paragraph(screen.Clean(item), 4))
	}
	if f.Accepted {
		return
	}
	a.Printf("  %s %s\n", paint.Faint("to do:"), a.paragraph(screen.Clean(f.Remedy), 9))
	if f.Acceptable && len(f.Words) <= mostItems {
		a.Printf("  %s --accept %s\n", paint.Faint("or:"), screen.Clean(f.AcceptWord()))
	} else if f.Acceptable {
		a.Printf("  %s --accept %s=%s\n", paint.Faint("or:"), f.ID, "each of them")
	}
}

// targetRepositoryWords is how --target is written.
const targetRepositoryWords = "--target %q: write ALIAS=URL, or a URL"

// splitTarget takes [ALIAS=]URL apart. Without an alias the last part of the URL is it.
func splitTarget(text string) (alias, url string, err error) {
	url = text
	if before, after, ok := strings.Cut(text, "="); ok && !strings.ContainsAny(before, ":/?") {
		alias, url = before, after
	}
	if alias == "" {
		parts := strings.FieldsFunc(url, func(r rune) bool { return strings.ContainsRune("/?#=&", r) })
		if len(parts) > 0 {
			alias = parts[len(parts)-1]
		}
	}
	if strings.HasPrefix(url, "/") {
		url = "file://" + url
	}
	if alias == "" || !slices.Contains([]string{"http", "https", "ftp", "file", "dir", "nfs", "smb", "iso"}, before(url, ":")) {
		return "", "", screen.Usagef(targetRepositoryWords, text)
	}
	return alias, url, nil
}

func before(text, mark string) string {
	word, _, ok := strings.Cut(text, mark)
	if !ok {
		return ""
	}
	return word
}
