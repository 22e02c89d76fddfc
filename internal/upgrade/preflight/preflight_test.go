package preflight

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

const gibi = 1 << 30

var now = time.Date(2014, 11, 20, 12, 0, 0, 0, time.UTC)

// good is a machine that may be upgraded at once.
func good() Input {
	from := path.Release{Product: "SLES", Version: "11", SP: 2, Arch: "x86_64"}
	to := path.Release{Product: "SLES", Version: "11", SP: 3, Arch: "x86_64"}
	online := path.Chosen{ID: "online", By: "zypper"}
	suse := "SUSE LINUX Products GmbH, Nuernberg, Germany"
	return Input{
		Facts: &facts.Facts{
			Format: facts.Format, Collected: now.Add(-time.Hour), Live: true, Hostname: "smt1",
			Release: facts.Release{ID: "sles", Version: "11", SP: 2, Like: []string{"suse"}},
			Arch:    "x86_64", Bits: 64, Endian: "little",
			Root: facts.Root{Device: "/dev/sda2", UUID: "12-ab", Filesystem: "ext3"},
			Space: []facts.Space{
				{Path: "/", Device: "/dev/sda2", Mount: "/", Size: 20 * gibi, Free: 10 * gibi},
				{Path: "/boot", Device: "/dev/sda1", Mount: "/boot", Size: gibi, Free: gibi / 2},
				{Path: "/usr", Device: "/dev/sda2", Mount: "/", Size: 20 * gibi, Free: 10 * gibi},
				{Path: "/var/cache", Device: "/dev/sdb1", Mount: "/var", Size: 20 * gibi, Free: 10 * gibi},
			},
			Boot: facts.Boot{Loader: "grub", Config: "/boot/grub/menu.lst"}, Manager: "rpm",
			Packages: []facts.Package{
				{Name: "acme-agent", Version: "1", Vendor: "ACME Inc.", Size: 1000},
				{Name: "apache2", Version: "2.2", Vendor: suse, Size: 4 << 20},
				{Name: "kdm", Version: "3.5", Vendor: suse, Size: 4 << 20},
				{Name: "sles-release", Version: "11.2", Vendor: suse},
			},
			Repositories: []facts.Repository{{Alias: "SLES11-SP2-Core", Enabled: true}},
		},
		Verdict:     &path.Verdict{Outcome: path.Supported, From: from, To: to, Hops: []path.Hop{{From: from, To: to, Methods: []path.Chosen{online}}}},
		To:          to,
		Method:      &online,
		Transaction: &zypper.Transaction{Upgrade: []zypper.Change{{Kind: "package", Name: "apache2", EditionOld: "2.2", Edition: "2.4"}}, Download: 1 << 20, Space: 1 << 20},
		Point: Point{
			System: "sles", Repository: "/backup", ID: "0123456789abcdef", Time: now.Add(-2 * time.Hour), Verified: now.Add(-time.Hour),
		},
		Accept: Accepted{"release-notes": {"SLES-11-SP3"}},
		Now:    now,
	}
}

// open lists the findings that are not for the record, each with its severity.
func open(r *Report) string {
	var list []string
	for _, f := range r.Findings {
		if f.Severity != Info && !f.Accepted {
			list = append(list, string(f.Severity)+" "+f.ID)
		}
	}
	return strings.Join(list, ", ")
}

func TestGood(t *testing.T) {
	r := Check(good())
	if r.Inhibited || r.Open() || open(r) != "" {
		t.Errorf("%s\n%+v", open(r), r.Findings)
	}
	if f, ok := r.Find("root-device"); !ok || f.Detail != "/dev/sda2 (UUID 12-ab), ext3" {
		t.Errorf("root device: %+v", f)
	}
	if f, ok := r.Find("third-party"); !ok || !slices.Equal(f.Items, []string{"acme-agent (ACME Inc.)"}) {
		t.Errorf("third party: %+v", f)
	}
}

func TestChecks(t *testing.T) {
	remove := func(in *Input, kind string, names ...string) {
		for _, name := range names {
			in.Transaction.Remove = append(in.Transaction.Remove, zypper.Change{Kind: kind, Name: name, Edition: "1-1"})
		}
	}
	refuse := func(in *Input, id, text string) {
		in.Verdict.Outcome, in.Verdict.Reasons = path.Refused, []path.Reason{{ID: id, Text: text}}
	}
	no := false
	for name, c := range map[string]struct {
		change func(*Input)
		want   string
		says   string // in the finding's texts
		accept string // what accepts all of it; "" when nothing does
	}{
		"a guest":            {func(in *Input) { in.Facts.Guests = []facts.Guest{{Name: "mail", Kind: "kvm", Source: "x"}} }, "inhibitor guests-running", "mail (kvm, x)", ""},
		"no packages known":  {func(in *Input) { in.Facts.Unknown = []facts.Unknown{{What: "packages", Why: "no rpm"}} }, "inhibitor facts-incomplete", "packages: no rpm", ""},
		"boot loader":        {func(in *Input) { in.Facts.Boot = facts.Boot{}; in.Method = &path.Chosen{By: "installer"} }, "high boot-loader-unknown", "medium", "boot-loader-unknown"},
		"old facts":          {func(in *Input) { in.Facts.Collected = now.Add(-50 * time.Hour) }, "medium facts-old", "50 hours", "facts-old"},
		"facts to come":      {func(in *Input) { in.Facts.Collected = now.Add(time.Hour) }, "medium facts-old", "in the future here", "facts-old"},
		"no profile":         {func(in *Input) { in.Verdict = nil }, "inhibitor path-unknown", "", ""},
		"a skipped release":  {func(in *Input) { refuse(in, path.SkipsReleases, "no skipping") }, "inhibitor path-refused", "no skipping", ""},
		"32 bits":            {func(in *Input) { refuse(in, path.WordSize, "64 bits only") }, "inhibitor architecture", "64 bits only", ""},
		"a kernel of others": {func(in *Input) { in.Facts.Arch, in.Facts.Machine = "i586", "x86_64" }, "inhibitor architectures-mixed", "kernel is for x86_64", "architectures-mixed"},
		"a kernel of its":    {func(in *Input) { in.Facts.Arch, in.Facts.Machine = "i586", "i686" }, "", "", ""},
		"POWER of old":       {func(in *Input) { in.Facts.Arch, in.Facts.Machine = "ppc", "ppc64" }, "", "", ""},
		"the order of bytes": {func(in *Input) { in.Facts.Arch, in.Facts.Machine = "ppc64le", "ppc64" }, "inhibitor architectures-mixed", "for ppc64", "architectures-mixed"},
		"rpm of others": {func(in *Input) {
			in.Facts.Packages = append(in.Facts.Packages, facts.Package{Name: "rpm", Arch: "i586"})
		}, "inhibitor architectures-mixed", "rpm is for i586", "architectures-mixed"},
		"programs of 32": {func(in *Input) {
			in.Facts.Packages = append(in.Facts.Packages, facts.Package{Name: "libX11", Arch: "i686"})
		}, "", "", ""},
		"a base product": {func(in *Input) {
			in.Facts.Products = []facts.Product{{Name: "SUSE_SLES", Version: "11.2", Arch: "i586", Base: true}}
		}, "inhibitor architectures-mixed", "SUSE_SLES 11.2 is for i586", "architectures-mixed"},
		"an add-on": {func(in *Input) {
			in.Facts.Products = []facts.Product{{Name: "SUSE_SLES", Arch: "x86_64", Base: true}, {Name: "sdk", Version: "11.2", Arch: "i586"}}
		}, "medium architectures-mixed", "sdk 11.2 is for i586", "architectures-mixed"},
		"conditions":         {func(in *Input) { in.Method.Needs = []string{"all patches"} }, "high path-needs", "all patches", "path-needs"},
		"release notes":      {func(in *Input) { in.Accept = Accepted{"release-notes": {"SLES-12"}} }, "inhibitor release-notes", "SLES 11 SP3", "release-notes=SLES-11-SP3"},
		"no point":           {func(in *Input) { in.Point.ID = "" }, "inhibitor recovery-point-missing", "no complete recovery point", ""},
		"no repository":      {func(in *Input) { in.Point = Point{} }, "inhibitor recovery-point-missing", "configuration", ""},
		"a point to come":    {func(in *Input) { in.Point = Point{System: "sles", Repository: "/b", Planned: true} }, "", "", ""},
		"not verified since": {func(in *Input) { in.Point.Verified = in.Point.Time.Add(-time.Minute) }, "inhibitor recovery-point-unverified", "", ""},
		"not all saved":      {func(in *Input) { in.Point.Missing = []string{"/srv"} }, "inhibitor recovery-point-incomplete", "/srv", ""},
		"the same disk":      {func(in *Input) { in.Point.Shared = []string{"sda"} }, "inhibitor recovery-point-same-disk", "sda", "recovery-point-same-disk"},
		"an unknown disk":    {func(in *Input) { in.Point.DiskUnknown = "zfs does not tell" }, "inhibitor recovery-point-disk-unknown", "zfs does not tell", "recovery-point-disk-unknown"},
		"an old point":       {func(in *Input) { in.Point.Time, in.Point.Verified = now.Add(-30*time.Hour), now }, "high recovery-point-old", "30 hours", "recovery-point-old"},
		"only YaST's backup": {func(in *Input) { in.Facts.OldBackups = []string{"/var/adm/backup/x"}; in.Point.ID = "" }, "inhibitor recovery-point-missing", "", ""},
		"no root device":     {func(in *Input) { in.Facts.Root = facts.Root{} }, "inhibitor root-device-unknown", "df /", ""},
		"little space":       {func(in *Input) { in.Transaction.Space = 11 * gibi }, "inhibitor disk-space-low", "/ (/dev/sda2) has 10 GiB free", ""},
		"a small cache":      {func(in *Input) { in.Transaction.Download = 11 * gibi }, "inhibitor disk-space-low", "/var (/dev/sdb1)", ""},
		"tight":              {func(in *Input) { in.Transaction.Space = 9 * gibi }, "high disk-space-tight", "", "disk-space-tight"},
		"room for others":    {func(in *Input) { in.Needs = []Need{{"/var/cache/x", 12 * gibi, "the rehearsal"}} }, "inhibitor disk-space-low", "12 GiB for the rehearsal", ""},
		"a small /boot": {func(in *Input) {
			in.Facts.Space[1].Free = 10 << 20
			in.Transaction.Install = []zypper.Change{{Name: "kernel-default"}}
		}, "inhibitor boot-space-low", "/boot (/dev/sda1)", ""},
		"/boot as it was":    {func(in *Input) { in.Facts.Space[1].Free = 10 << 20 }, "", "", ""},
		"replaced libraries": {func(in *Input) { in.Facts.Pending = []string{"2 files"} }, "inhibitor restart-pending", "2 files", "restart-pending"},
		"KDE stays in 11":    {func(in *Input) { in.Facts.Desktop = facts.Desktop{WindowManager: "kde4", DisplayManager: "kdm4"} }, "", "", ""},
		"KDE goes with 12": {func(in *Input) {
			in.Facts.Desktop = facts.Desktop{WindowManager: "kde4", DisplayManager: "kdm4"}
			in.To.Version = "12"
		}, "inhibitor release-notes, medium desktop-changes", "", "release-notes=SLES-12-SP3 desktop-changes"},
		"a broken database": {func(in *Input) { in.Facts.Inconsistent = []string{"a needs b"} }, "inhibitor package-database", "a needs b", "package-database=" + digest([]string{"a needs b"})},
		"locks":             {func(in *Input) { in.Facts.Locks = []facts.Lock{{Name: "kernel*"}, {Name: "apache2"}} }, "inhibitor packages-locked", "kernel*", "packages-locked=kernel*,apache2"},
		"no transaction":    {func(in *Input) { in.Transaction, in.Untold = nil, "zypper is missing" }, "high transaction-unknown, high third-party-unknown", "zypper is missing", "transaction-unknown third-party-unknown"},
		"a conflict":        {func(in *Input) { in.Transaction, in.Conflicts = nil, []string{"a needs b"} }, "inhibitor packages-conflict, high third-party-unknown", "a needs b", ""},
		"the installer's":   {func(in *Input) { in.Transaction, in.Method = nil, &path.Chosen{By: "installer"} }, "high third-party-unknown", "acme-agent (ACME Inc.)", "third-party-unknown"},
		"a product goes":    {func(in *Input) { remove(in, "product", "sle-hae") }, "inhibitor products-removed", "sle-hae", "products-removed=sle-hae"},
		"a product anew": {func(in *Input) {
			remove(in, "product", "SLES")
			in.Transaction.Install = []zypper.Change{{Kind: "product", Name: "SLES"}}
		}, "", "", ""},
		"others' package": {func(in *Input) { remove(in, "package", "acme-agent") }, "inhibitor third-party-removed", "ACME Inc.", "third-party-removed=acme-agent"},
		"the vendor's":    {func(in *Input) { remove(in, "package", "kdm") }, "inhibitor packages-removed", "kdm-1-1", "packages-removed=" + digest([]string{"kdm-1-1"})},
		"both":            {func(in *Input) { remove(in, "package", "kdm", "acme-agent") }, "inhibitor third-party-removed, inhibitor packages-removed", "kdm-1-1", "third-party-removed=acme-agent packages-removed=" + digest([]string{"kdm-1-1"})},
		"another release": {func(in *Input) {
			in.Ends = &Ending{Releases: []string{"SLES 12"}, Told: []string{"package sles-release 12"}}
		}, "inhibitor transaction-other-release", "It would be SLES 12, and SLES 11 SP3 is wanted", ""},
		"the same release": {func(in *Input) {
			in.Ends = &Ending{Releases: []string{"SLES 11 SP2"}, Told: []string{"package sles-release 11.2"}}
		}, "inhibitor transaction-other-release", "It would stay SLES 11 SP2", ""},
		"two releases": {func(in *Input) {
			in.Ends = &Ending{Releases: []string{"SLES 11 SP3", "SLES 12"}, Told: []string{"package sles-release 12"}}
		}, "inhibitor transaction-other-release", "of several at once: SLES 11 SP3, SLES 12", ""},
		"no release":         {func(in *Input) { in.Ends = &Ending{} }, "inhibitor transaction-other-release", "Nothing would be left", ""},
		"the wanted release": {func(in *Input) { in.Ends = &Ending{Releases: []string{"SLES 11 SP3"}} }, "", "", ""},
		"another vendor": {func(in *Input) {
			in.Transaction.ChangeVendor = []zypper.Change{{Name: "a", EditionOld: "1", Edition: "2"}}
		}, "high vendor-changed", "a 1 → 2", "vendor-changed"},
		"older": {func(in *Input) { in.Transaction.Downgrade = []zypper.Change{{Name: "a"}} }, "medium packages-downgraded", "", "packages-downgraded"},
		"repository missing": {func(in *Input) {
			in.Repositories = &path.Inventory{Entries: []path.Entry{{Name: "Pool", Missing: true}}}
		}, "inhibitor repositories-missing", "Pool (not there)", "repositories-missing"},
		"an update channel left out": {func(in *Input) {
			in.Offered = &path.Inventory{Release: in.To, Entries: []path.Entry{{Name: "SLES11-SP3-Pool"}, {Name: "SLES11-SP3-Updates", Missing: true}}}
		}, "inhibitor target-repositories-missing", "SLES11-SP3-Updates", "target-repositories-missing"},
		"tampered": {func(in *Input) {
			in.Transaction, in.Distrusted, in.Facts.Packages = nil, []string{"SLES11-SP3-Updates"}, in.Facts.Packages[1:]
		}, "inhibitor target-repositories-distrusted", "SLES11-SP3-Updates", ""},
		"unsigned of the target": {func(in *Input) { in.Unchecked = []string{"new"} }, "high repositories-unsigned", "new", "repositories-unsigned=new"},
		"a boot entry for zipl": {func(in *Input) {
			in.Facts.Boot.Loader, in.Method = "zipl", &path.Chosen{ID: "boot-entry", By: "installer"}
		}, "inhibitor boot-entry-impossible", "It is zipl", ""},
		"no signatures":       {func(in *Input) { in.Facts.Repositories[0].Check, in.Facts.Repositories[0].Alias = &no, "my, own" }, "high repositories-unsigned", "my, own", "repositories-unsigned=my__own"},
		"a disabled one":      {func(in *Input) { in.Facts.Repositories[0].Check, in.Facts.Repositories[0].Enabled = &no, false }, "", "", ""},
		"there already":       {func(in *Input) { in.Verdict.Outcome, in.Accept = path.Current, nil }, "", "", ""},
		"guessed low on disk": {func(in *Input) { in.Transaction = nil; in.Facts.Packages[1].Size = 40 * gibi }, "inhibitor disk-space-low, high transaction-unknown, high third-party-unknown", "guessed", "disk-space-low transaction-unknown third-party-unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			in := good()
			c.change(&in)
			r := Check(in)
			if got := open(r); got != c.want {
				t.Fatalf("%q, not %q", got, c.want)
			}
			if r.Inhibited != strings.Contains(c.want, "inhibitor") || r.Open() != (strings.Contains(c.want, "high ") || strings.Contains(c.want, "medium ")) {
				t.Errorf("inhibited %v, open %v", r.Inhibited, r.Open())
			}
			texts := ""
			for _, f := range r.Findings {
				if f.Title == "" || f.Remedy == "" && f.Severity != Info {
					t.Errorf("%s says too little: %+v", f.ID, f)
				}
				texts += f.Detail + "\n" + strings.Join(f.Items, "\n") + "\n" + f.Remedy + "\n"
			}
			if !strings.Contains(texts, c.says) {
				t.Errorf("%q is not in %s", c.says, texts)
			}
			accepted := Accepted{}
			for _, text := range strings.Fields(c.accept) {
				if err := accepted.Add(text); err != nil {
					t.Fatal(err)
				}
			}
			for id, words := range in.Accept {
				if accepted[id] == nil {
					accepted[id] = words
				}
			}
			in.Accept = accepted
			again := Check(in)
			if c.accept != "" && open(again) != "" {
				t.Errorf("%s does not accept %s", c.accept, open(again))
			}
			if c.accept == "" && open(again) != c.want {
				t.Errorf("nothing was accepted, and yet: %s", open(again))
			}
		})
	}
}

// A list that has grown since it was accepted is not accepted any more.
func TestAcceptanceIsForWhatWasSeen(t *testing.T) {
	in := good()
	in.Accept["third-party-removed"] = []string{"acme-agent"}
	in.Accept["packages-removed"] = []string{digest([]string{"kdm-1-1"})}
	in.Transaction.Remove = []zypper.Change{{Kind: "package", Name: "acme-agent"}, {Kind: "package", Name: "kdm", Edition: "1-1"}}
	if r := Check(in); r.Inhibited || len(r.Unused) > 0 {
		t.Errorf("%s, unused %v", open(r), r.Unused)
	}
	in.Transaction.Remove = append(in.Transaction.Remove, zypper.Change{Kind: "package", Name: "apache2", Edition: "2-2"})
	if r := Check(in); open(r) != "inhibitor packages-removed" {
		t.Errorf("%s", open(r))
	}
	in.Transaction.Remove = nil
	if r := Check(in); r.Inhibited || !slices.Equal(r.Unused, []string{"packages-removed", "third-party-removed"}) {
		t.Errorf("%s, unused %v", open(r), r.Unused)
	}
}

func TestAccept(t *testing.T) {
	a, err := ReadAccepted(strings.NewReader("# what we know\n\nrelease-notes = SLES-12\t # read by two\nthird-party-removed=a,b, c\r\nthird-party-removed=d\nfacts-old\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a["third-party-removed"], []string{"a", "b", "c", "d"}) || !slices.Equal(a["release-notes"], []string{"SLES-12"}) || a["facts-old"] == nil {
		t.Errorf("%v", a)
	}
	for text, says := range map[string]string{
		"release-note=x":               "line 1: there is no finding",
		"\nguests-running":             "line 2: guests-running cannot be accepted",
		"=":                            "no finding",
		strings.Repeat("x", 100_000):   "too long",
		strings.Repeat("#\n", 600_000): "longer than",
	} {
		if _, err := ReadAccepted(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
}

func FuzzReadAccepted(f *testing.F) {
	f.Add("release-notes=SLES-12 # x\nfacts-old\n")
	f.Add("third-party-removed=a,,b\nthird-party-removed\n#\n\t")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ReadAccepted(strings.NewReader(text))
		if err != nil {
			return
		}
		in := good()
		in.Accept = a
		in.Facts.Guests = []facts.Guest{{Name: text}}
		if r := Check(in); !r.Inhibited {
			t.Errorf("%q accepts guests", text)
		}
	})
}

// The page for administrators has every finding, as it is.
func TestRulesHaveStableNames(t *testing.T) {
	page, err := os.ReadFile("../../../docs/upgrade.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Rules() {
		row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", r.ID, r.Severity, r.Accepted, r.Title)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/upgrade.md lacks %s", row)
		}
	}
	seenIDs := map[string]bool{}
	for _, r := range Rules() {
		if seenIDs[r.ID] || r.ID != strings.ToLower(r.ID) || strings.ContainsAny(r.ID, " _=,") || r.Title == "" {
			t.Errorf("%+v", r)
		}
		seenIDs[r.ID] = true
	}
}

func TestPage(t *testing.T) {
	in := good()
	in.Facts.Hostname = `<script>alert("x")</script>`
	in.Facts.Guests = []facts.Guest{{Name: `"><img src=x>`, Kind: "kvm"}}
	in.Transaction.Space = 30 * gibi
	in.Point = Point{}
	r := Check(in)
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, part := range []string{"It cannot be upgraded now.", "guests-running", "disk-space-low", "recovery-point-missing", "prefers-color-scheme: dark", "3 findings stand"} {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	for _, part := range []string{"<script", "<img", "http-equiv", "<link", "@import", "url("} {
		if strings.Contains(text, part) {
			t.Errorf("the page has %q", part)
		}
	}
	if want := "lifeboat upgrade check"; r.Command() != want {
		t.Errorf("%q", r.Command())
	}
	in.Facts.Locks = []facts.Lock{{Name: "kernel*"}}
	if want := "lifeboat upgrade check --accept 'packages-locked=kernel*'"; Check(in).Command() != want {
		t.Errorf("%q", Check(in).Command())
	}
}

func TestSource(t *testing.T) {
	to := path.Release{Product: "SLES", Version: "12", SP: 1}
	for name, test := range map[string]struct {
		source *Source
		want   string
	}{
		"none looked at": {nil, ""},
		"the release":    {&Source{Address: "x", Has: []string{"SLES 12 SP1"}}, ""},
		"another one":    {&Source{Address: "x", Has: []string{"SLES 12"}, Other: true}, "source-other-release"},
		"a wrong one":    {&Source{Address: "x", Refuted: true, Doubt: []string{"a"}}, "source-refuted"},
		"nobody's":       {&Source{Address: "x", Doubt: []string{"a"}}, "source-unproven"},
	} {
		r := Check(Input{Facts: &facts.Facts{}, To: to, Source: test.source})
		var got []string
		for _, f := range r.Findings {
			if strings.HasPrefix(f.ID, "source-") {
				got = append(got, f.ID)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if test.source != nil && (test.source.Wrong(to) != "") != (test.source.Other || test.source.Refuted) {
			t.Errorf("%s: %q", name, test.source.Wrong(to))
		}
	}
}
