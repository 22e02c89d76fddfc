package recovery

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// preflight looks at the machine and the point before anything is changed.
func (r *Recovery) preflight() []runbook.Step {
	steps := []runbook.Step{r.identityStep("preflight/identity", false)}
	if len(r.Only) == 0 {
		steps = append(steps, r.noticeStep())
	}
	return steps
}

// identityStep compares the machine with the point. Before the product is
// installed some facts are unknown: the first look lets them pass, the second,
// directly before the restore, does not.
func (r *Recovery) identityStep(id string, strict bool) runbook.Step {
	title := "Compare this machine with the lost one"
	if strict {
		title = "Compare the installed product with the saved one"
	}
	return runbook.Step{
		ID:       id,
		Title:    title,
		EachTime: true,
		Hand:     r.identityByHand(),
		Run: func(ctx context.Context, task runbook.Task) error {
			checks, refused, err := r.CheckIdentity(ctx, strict)
			if err != nil {
				return err
			}
			if err := r.keepForce(task); err != nil {
				return err
			}
			for _, c := range checks {
				if c.OK || c.Warning || len(refused) == 0 {
					task.Check(c)
				}
			}
			return Refusal(checks, refused)
		},
	}
}

// keyForce is the kept value with the checks that were overridden so far.
const keyForce = "force"

// Forced returns the checks that a run was told to override, at its start or at
// a later resume: who has said it once need not say it again.
func Forced(run *runbook.Run) ([]string, error) {
	var names []string
	_, err := run.Value(keyForce, &names)
	return names, err
}

func (r *Recovery) keepForce(task runbook.Task) error {
	var kept []string
	if _, err := task.Kept(keyForce, &kept); err != nil || slices.Equal(kept, r.Force) {
		return err
	}
	return task.Keep(keyForce, r.Force)
}

// Refusal is the error of an identity that does not agree, naming the checks
// that can be forced; nil when nothing was refused.
func Refusal(checks []runbook.Check, refused []string) error {
	if len(refused) == 0 {
		return nil
	}
	return runbook.Refuse(strings.Join(failedNames(checks), ","), "%s", strings.Join(refused, "; "))
}

// NotKnownYet is what a check has found when the product is not installed yet.
const NotKnownYet = "not known yet"

// checkComplete is the name of the check that nothing critical is missing.
const checkComplete = "complete"

// CheckLatest is the name of the check that the newest point can be used.
const CheckLatest = "latest"

// CheckPlaces is the name of the check that an imported point holds nothing for
// places that are not the product's.
const CheckPlaces = "places"

// CheckUsable is the name of the check that the product can run with the
// configuration of an imported point.
const CheckUsable = "usable"

// Checks lists the names that --force takes for a profile.
func Checks(p *profile.Profile) []string {
	names := slices.Concat(p.Identity.MustMatch, p.Identity.Warn, sortedKeys(p.Identity.Compare), []string{checkComplete, CheckLatest, CheckPlaces, CheckUsable, "profile", "runbook"})
	slices.Sort(names)
	return slices.Compact(names)
}

// CheckIdentity compares every identity fact of the point with this machine and
// returns why the recovery must not go on, if so. With strict false, a fact
// that cannot be known before the product is installed passes.
func (r *Recovery) CheckIdentity(ctx context.Context, strict bool) (checks []runbook.Check, refused []string, err error) {
	now, err := r.Catalog.Profile.Facts(ctx, r.Profile, r.Scope(ctx))
	if err != nil {
		return nil, nil, err
	}
	identity := r.Profile.Identity
	then := r.underNewName(r.identity())
	names := slices.Concat(identity.MustMatch, identity.Warn, sortedKeys(identity.Compare))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if r.Rehearsal != nil && name == "addresses" {
			continue // there is the loopback alone
		}
		want, have := then[name], now[name]
		check := runbook.Check{Name: name, Expected: want, Found: have, OK: want == have}
		if named := r.Named[name]; named != "" && r.Rehearsal == nil {
			check.Found = fmt.Sprintf("%s, by its recovery configuration (called %s now)", named, have)
			have = named
			check.OK = want == have
		}
		if name == "hostname" && want != "" {
			// A name that was saved by hand may be the short one, or the full one.
			check.OK = host.SameName(want, have) || host.SameName(want, cmp.Or(r.Named["fqdn"], now["fqdn"]))
		}
		if have == "" && want != "" {
			check.Found = NotKnownYet
			check.OK = !strict
		}
		why := fmt.Sprintf("%s is %q in the recovery point and %q on this machine", name, want, have)
		if rule, ok := identity.Compare[name]; ok && have != "" && want != "" {
			verdict, err := CompareFact(ctx, r.Catalog, r.Host, rule, want, have)
			if err != nil {
				return nil, nil, err
			}
			check.OK, check.Warning = verdict.Level == product.Agrees, verdict.Level == product.Warns
			check.Hint = verdict.Hint
			if verdict.Why != "" {
				why = verdict.Why
			}
		}
		if want == "" && !check.OK {
			check.Expected = "not recorded in the point"
			why = fmt.Sprintf("%s is not recorded in the recovery point, and %q on this machine", name, have)
		}
		if want == "" && r.Around && !slices.Contains(identity.MustMatch, name) {
			continue // what a product's own backup does not tell is nothing to compare parts with
		}
		must := slices.Contains(identity.MustMatch, name) || identity.Compare[name] != ""
		switch {
		case check.OK || check.Warning:
		case !must:
			check.Warning = true
		case slices.Contains(r.Force, name):
			check.Warning = true
			check.Hint = "overridden with --force " + name
		default:
			refused = append(refused, why)
		}
		checks = append(checks, check)
	}
	if lacks := r.Manifest.Lacks(); len(lacks) > 0 && len(r.Only) == 0 {
		check := runbook.Check{Name: checkComplete, Expected: "every critical component", Found: "no " + strings.Join(lacks, ", no ")}
		if slices.Contains(r.Force, checkComplete) {
			check.Warning, check.Hint = true, "overridden with --force "+checkComplete
		} else {
			refused = append(refused, "the recovery point holds no "+strings.Join(lacks, ", no ")+", without which the system does not come back (--from chooses another point, --only single components)")
		}
		checks = append(checks, check)
	}
	for _, look := range []func(context.Context) (*runbook.Check, string, error){r.checkPlaces, r.checkUsable} {
		check, why, err := look(ctx)
		if err != nil {
			return checks, refused, err
		}
		if check != nil {
			checks = append(checks, *check)
		}
		if why != "" {
			refused = append(refused, why)
		}
	}
	return checks, refused, nil
}

// NewName is the setting that holds the name which a system gets at its recovery.
const NewName = "new_server_id"

// underNewName expects of the machine the name that the system is to have.
func (r *Recovery) underNewName(then map[string]string) map[string]string {
	name := r.Given[NewName]
	if name == "" {
		return then
	}
	now := maps.Clone(then)
	_, domain, _ := strings.Cut(name, ".")
	for fact, value := range map[string]string{"hostname": name, "fqdn": name, "server_id": name, "domain": domain} {
		if now[fact] != "" {
			now[fact] = value
		}
	}
	return now
}

func failedNames(checks []runbook.Check) []string {
	var names []string
	for _, c := range checks {
		if !c.OK && !c.Warning {
			names = append(names, c.Name)
		}
	}
	return names
}

// CompareFact applies a product's comparison to a fact of a point, or of data, and
// the same fact of what is installed on h.
func CompareFact(ctx context.Context, catalog *Catalog, h *host.Host, rule, want, have string) (product.Verdict, error) {
	for _, p := range catalog.Products {
		if c, ok := p.Comparisons[rule]; ok {
			return c.Compare(ctx, h, want, have)
		}
	}
	return product.Verdict{}, fmt.Errorf("no product knows the comparison %q", rule)
}

func (r *Recovery) noticeStep() runbook.Step {
	return runbook.Step{
		ID:     "preflight/notices",
		Title:  "What is worth knowing about this recovery point",
		Needs:  []string{"preflight/identity"},
		Repeat: runbook.RepeatSafe,
		Run: func(_ context.Context, task runbook.Task) error {
			m := r.Manifest
			then := "backup"
			if m.Trigger == vault.Imported {
				then = "import"
			}
			for _, w := range m.Warnings {
				task.Warnf("noted at %s: %s", then, w)
			}
			// What the import of a component could not take over, nobody was there to mend.
			for _, c := range r.Profile.Components {
				if m.Trigger != vault.Imported || !r.wanted(c.Name) {
					continue
				}
				for _, w := range m.NotedOf(c.Name) {
					task.Warnf("noted at import: %s", w)
				}
			}
			if m.Incomplete {
				task.Warnf("this recovery point is incomplete: lifeboat show names what is not captured")
			}
			return nil
		},
	}
}

func (r *Recovery) identityByHand() string {
	var b strings.Builder
	b.WriteString("The new machine must agree with the lost one:\n\n| fact | lost machine |\n|---|---|\n")
	for _, name := range sortedKeys(r.Manifest.Identity) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, strings.ReplaceAll(r.Manifest.Identity[name], "|", "\\|"))
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
