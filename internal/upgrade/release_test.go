package upgrade

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/zypper"
)

// Package repositories of another release are no way around the vendor's rules: the
// transaction is judged by where it ends. Nobody can accept that.
func TestTransactionIntoAnotherReleaseIsRefused(t *testing.T) {
	t.Parallel()
	s, other := at(t, sles.SLES11SP2), at(t, sles.SLES11SP3)
	before := s.fingerprint()
	// Repositories that say nothing of a product.
	silent := make([]zypper.Repository, len(other.lab.Target))
	for i, r := range other.lab.Target {
		dir := filepath.Join(t.TempDir(), r.Alias)
		if err := shell(`cp -a "$1" "$2" && rm -r "$2/repodata" && createrepo_c --quiet "$2"`, r.Dir, dir); err != nil {
			t.Fatal(err)
		}
		silent[i] = zypper.Repository{Alias: r.Alias, URLs: []string{"file://" + dir}, Enabled: true, Unchecked: true}
	}
	for says, repositories := range map[string][]zypper.Repository{
		"SLES 12, and SLES 11 SP3 is wanted":         other.req.Repositories,
		"transaction-other-release: ":                silent,
		"has SLES 11 SP2, and SLES 11 SP3 is wanted": {{Alias: "again", URLs: []string{s.lab.Source[2].URL}, Enabled: true}},
	} {
		s.req.Repositories, s.req.Unrehearsed = repositories, true
		run, err := s.start()
		if runbook.ExitCode(run, err) != runbook.ExitRefused || Changed(run) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v\n%s", says, err, steps(run))
		}
	}
	s.same(before)
	if err := s.req.Accept.Add("transaction-other-release"); err == nil {
		t.Error("it can be accepted")
	}
}

// What the metadata has promised is looked at where the transaction was rehearsed.
func TestRehearsedIntoAnotherRelease(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12, sles.FaultRelease)
	before := s.fingerprint()
	run, err := s.start()
	if runbook.ExitCode(run, err) != runbook.ExitFailed || Changed(run) || !strings.Contains(err.Error(), "it is not SLES 12 SP1, but SLES 12 SP5") {
		t.Errorf("%v\n%s", err, steps(run))
	}
	s.same(before)
}

// Where a transaction ends is told by what it leaves: products under any name, and the
// packages that carry the release.
func TestEnds(t *testing.T) {
	t.Parallel()
	c, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	old := &facts.Facts{
		Products: []facts.Product{{Name: "SUSE_SLES", Version: "11.2"}, {Name: "sle-hae", Version: "11.2"}},
		Packages: []facts.Package{{Name: "sles-release", Version: "11.2"}, {Name: "bash", Version: "4"}},
	}
	change := func(kind, name, edition string) zypper.Change {
		return zypper.Change{Kind: kind, Name: name, Edition: edition}
	}
	for want, transaction := range map[string]zypper.Transaction{
		"SLES 11 SP2": {Upgrade: []zypper.Change{change("package", "bash", "5-1")}},
		"SLES 11 SP3": {Upgrade: []zypper.Change{change("package", "sles-release", "11.3-1.138"), change("product", "SUSE_SLES", "11.3-1.138")}},
		"SLES 12": {
			Upgrade: []zypper.Change{change("package", "sles-release", "0:12-6.3")},
			Remove:  []zypper.Change{change("product", "SUSE_SLES", "11.2-1"), change("product", "sle-hae", "11.2-1")},
			Install: []zypper.Change{change("product", "SLES", "12-6.3")},
		},
		"SLES 11 SP2 SLES 11 SP3": {Upgrade: []zypper.Change{change("package", "sles-release", "11.3-1.138")}},
		"SLED 12 SLES 11 SP2":     {Install: []zypper.Change{change("package", "sled-release", "12-1")}},
		"SLES 19": {
			Downgrade: []zypper.Change{change("package", "sles-release", "19-1")}, Remove: []zypper.Change{change("product", "SUSE_SLES", "11.2-1")},
		},
		"": {Remove: []zypper.Change{change("package", "sles-release", "11.2-1"), change("product", "SUSE_SLES", "11.2-1")}},
	} {
		e := preflight.Ends(c, old, &transaction, release(t, c, "SLES 11 SP3"))
		if got := strings.Join(e.Releases, " "); got != want || slices.Contains(e.Told, "product sle-hae 11.2") {
			t.Errorf("%q, not %q: %v", got, want, e.Told)
		}
	}
	if e := preflight.Ends(c, old, nil, release(t, c, "SLES 11 SP3")); e != nil {
		t.Errorf("nobody was asked, and yet: %v", e)
	}
}
