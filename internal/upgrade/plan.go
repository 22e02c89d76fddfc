package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/zypper"
)

// transactionName is the file of a run's directory with what zypper would do.
const transactionName = "transaction.json"

// offer gives zypper the package repositories of the new release, apart from those of
// the root, which stay as they are.
func (u *Upgrade) offer(ctx context.Context, task runbook.Task) error {
	if err := named(u.Request); err != nil {
		return err
	}
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	present, err := z.Repositories()
	if err != nil {
		return err
	}
	if err := distinct(u.Repositories, present); err != nil {
		return err
	}
	if err := z.Offer(u.Repositories); err != nil {
		return err
	}
	if _, err := z.Refresh(ctx, false); err != nil {
		return fmt.Errorf("%w%s", err, keyHint)
	}
	task.Logf("%d package repositories of %s are readable", len(u.Repositories), u.To.Name())
	s, err := PackageSource(ctx, u.Catalogue, u.To, z)
	if err != nil {
		return err
	}
	return u.settleSource(task, s)
}

// plan asks the solver, and writes down which packages there will be.
func (u *Upgrade) plan(ctx context.Context, task runbook.Task) error {
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	before, err := z.Packages(ctx)
	if err != nil {
		return err
	}
	r, err := z.Simulate(ctx, u.Terms)
	if err != nil {
		return err
	}
	if r.Transaction.Empty() {
		return fmt.Errorf("zypper finds nothing to upgrade in the package repositories of %s; are they the right ones?", u.To.Name())
	}
	have := texts(before)
	expected, err := expect(have, r.Transaction)
	if err != nil {
		return err
	}
	if err := save(task, transactionName, r.Transaction); err != nil {
		return err
	}
	if err := task.Keep(keptBefore, have); err != nil {
		return err
	}
	t := r.Transaction
	task.Logf("%d packages change: %d upgraded, %d new, %d removed, %d downgraded; %d bytes to download", t.Packages, len(t.Upgrade), len(t.Install), len(t.Remove), len(t.Downgrade), t.Download)
	return task.Keep(keptExpected, expected)
}

// reportName is the file of a run's directory with the preflight report.
const reportName = "preflight.json"

// inspect runs the preflight checks.
func (u *Upgrade) inspect(ctx context.Context, task runbook.Task) error {
	v, method, err := u.verdict(task)
	if err != nil {
		return err
	}
	in := preflight.Input{Verdict: &v, To: u.To, Method: &method, Accept: u.Accept}
	if err := load(task, factsName, &in.Facts); err != nil {
		return err
	}
	if method.By == "zypper" {
		if err := load(task, transactionName, &in.Transaction); err != nil {
			return err
		}
		in.Ends = preflight.Ends(u.Catalogue, in.Facts, in.Transaction, u.To)
		in.Offered = Offered(u.Catalogue, u.To, u.Repositories)
		for _, r := range u.Repositories {
			if r.Unchecked {
				in.Unchecked = append(in.Unchecked, r.Alias)
			}
		}
	}
	in.Source = new(preflight.Source)
	if err := load(task, sourceName, in.Source); errors.Is(err, fs.ErrNotExist) {
		in.Source = nil // of a method that needs none, or of an older program
	} else if err != nil {
		return err
	}
	var present []path.Present
	for _, r := range in.Facts.Repositories {
		present = append(present, path.Present{Alias: r.Alias, Name: r.Name, URLs: r.URLs, Enabled: r.Enabled})
	}
	if inventory, ok := u.Catalogue.Inventory(v.From, present); ok {
		in.Repositories = &inventory
	}
	if u.Point != nil {
		in.Point = u.Point(ctx)
	}
	in.Servers = u.sound(ctx, task)
	report := preflight.Check(in)
	if err := save(task, reportName, report); err != nil {
		return err
	}
	var blocked []string
	for _, f := range report.Findings {
		text := f.ID + ": " + f.Title
		if len(f.Items) > 0 {
			text += ": " + strings.Join(f.Items[:min(len(f.Items), shown)], ", ")
		}
		switch {
		case f.Accepted:
			task.Logf("accepted: %s", text)
		case f.Blocks() && f.Acceptable:
			blocked = append(blocked, text+" (--accept "+f.Accept()+" accepts it)")
		case f.Blocks():
			blocked = append(blocked, text+" ("+f.Remedy+")")
		case f.Severity == preflight.Info:
			task.Logf("%s", text)
		default:
			task.Warnf("%s (--accept %s acknowledges it)", text, f.Accept())
		}
	}
	if len(blocked) > 0 {
		return runbook.Refuse("", "%s", strings.Join(blocked, "; "))
	}
	return nil
}

// fetch downloads, and finds what metadata does not tell.
func (u *Upgrade) fetch(ctx context.Context, task runbook.Task) error {
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	r, err := z.Fetch(ctx, u.Terms)
	if err != nil {
		return err
	}
	return u.same(task, r.Transaction)
}

// same tells whether the transaction is still the planned one.
func (u *Upgrade) same(task runbook.Task, t *zypper.Transaction) error {
	before, err := kept[[]string](task, keptBefore)
	if err != nil {
		return err
	}
	planned, err := kept[[]string](task, keptExpected)
	if err != nil {
		return err
	}
	now, err := expect(before, t)
	if err == nil && !slices.Equal(now, planned) {
		err = fmt.Errorf("zypper now would do something else than was planned (%s); begin the upgrade anew", difference(planned, now))
	}
	return err
}

// expect is the set of packages after a transaction.
func expect(before []string, t *zypper.Transaction) ([]string, error) {
	set := map[string]int{}
	for _, p := range before {
		set[p]++
	}
	drop := func(name, edition, arch string) error {
		p := zypper.Package{Name: name, Edition: strings.TrimPrefix(edition, "0:"), Arch: arch}.String()
		if set[p] == 0 {
			return fmt.Errorf("zypper would replace %s, which is not installed", p)
		}
		if set[p]--; set[p] == 0 {
			delete(set, p)
		}
		return nil
	}
	add := func(c zypper.Change) {
		set[zypper.Package{Name: c.Name, Edition: strings.TrimPrefix(c.Edition, "0:"), Arch: c.Arch}.String()] = 1
	}
	for _, c := range slices.Concat(t.Upgrade, t.Downgrade, t.ChangeArch, t.ChangeVendor) {
		if c.Kind != "package" {
			continue
		}
		arch := c.ArchOld
		if arch == "" {
			arch = c.Arch
		}
		if err := drop(c.Name, c.EditionOld, arch); err != nil {
			return nil, err
		}
	}
	for _, c := range t.Remove {
		if c.Kind != "package" {
			continue
		}
		if err := drop(c.Name, c.Edition, c.Arch); err != nil {
			return nil, err
		}
	}
	for _, c := range slices.Concat(t.Upgrade, t.Downgrade, t.ChangeArch, t.ChangeVendor, t.Install) {
		if c.Kind == "package" {
			add(c)
		}
	}
	var list []string
	for p := range set {
		list = append(list, p)
	}
	slices.Sort(list)
	return list, nil
}

// texts are packages as sets are written down.
func texts(list []zypper.Package) []string {
	var all []string
	for _, p := range list {
		p.Edition = strings.TrimPrefix(p.Edition, "0:")
		all = append(all, p.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// shown bounds how many packages a message names.
const shown = 12

// difference says how two sets differ.
func difference(want, have []string) string {
	list := func(what string, in, out []string) string {
		var only []string
		for _, p := range in {
			if _, found := slices.BinarySearch(out, p); !found {
				only = append(only, p)
			}
		}
		if len(only) == 0 {
			return ""
		}
		text := strings.Join(only[:min(len(only), shown)], ", ")
		if more := len(only) - shown; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		return what + " " + text
	}
	missing, extra := list("missing", want, have), list("not expected", have, want)
	return strings.Join(slices.DeleteFunc([]string{missing, extra}, func(s string) bool { return s == "" }), "; ")
}

func load[T any](task runbook.Task, name string, into *T) error {
	raw, err := os.ReadFile(filepath.Join(task.Dir(), name))
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("read %s of the run: %w", name, err)
	}
	return nil
}
