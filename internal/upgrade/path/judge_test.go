package path

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/strict"
	"lifeboat/profiles"
)

// shipped reads the section upgrade of a shipped profile, whatever else is in it.
func shipped(t testing.TB, name string) *Catalogue {
	t.Helper()
	text, err := fs.ReadFile(profiles.FS, name+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := strict.Parse(name+".yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	c := new(Catalogue)
	for _, e := range doc.Entries(doc.Root) {
		if e.Key == "upgrade" {
			doc.Fill(e.Value, c)
		}
	}
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func parse(t *testing.T, c *Catalogue, text string) Release {
	t.Helper()
	r, err := c.Parse(text, Release{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told writes a verdict down: its outcome, reasons, releases on the way and advice.
func told(v Verdict) string {
	parts := []string{string(v.Outcome)}
	for _, r := range v.Reasons {
		parts = append(parts, r.ID)
	}
	var stops []string
	for _, h := range v.Hops {
		stops = append(stops, h.To.Edition())
	}
	if len(stops) > 0 {
		parts = append(parts, "by "+strings.Join(stops, ", "))
	}
	for _, a := range v.Advice {
		parts = append(parts, "advice "+a.ID)
	}
	return strings.Join(parts, "; ")
}

// Acceptance 1: the manual's paths, with the exact verdict and plan of each.
func TestAcceptance01PathMatrix(t *testing.T) {
	c := shipped(t, "sles")
	for _, test := range []struct{ from, to, want string }{
		{"SLES 11 (x86_64)", "SLES 12", "refused; skips-releases; by 11 SP1, 11 SP2, 11 SP3, 12; advice fresh-installation"},
		{"SLES 11 SP1 (x86_64)", "SLES 12", "refused; skips-releases; by 11 SP2, 11 SP3, 12; advice fresh-installation"},
		{"SLES 11 SP2 (x86_64)", "SLES 12", "refused; skips-releases; by 11 SP3, 12; advice fresh-installation"},
		{"SLES 11 SP3 (x86_64)", "SLES 12", "supported; by 12"},
		{"SLES 11 SP4 (x86_64)", "SLES 12", "supported; by 12"},
		{"SLES 11 SP3 (s390x)", "SLES 12", "supported; by 12"},
		{"SLED 11 SP3 (x86_64)", "SLED 12", "supported; by 12"},
		{"SLED 11 SP1 (x86_64)", "SLED 12", "refused; skips-releases; by 11 SP2, 11 SP3, 12; advice fresh-installation"},
		{"SLES 12 (x86_64)", "SLES 12", "current"},
		{"SLES 12 SP1 (x86_64)", "SLES 12", "refused; older-release"},

		{"SLES 10 (x86_64)", "SLES 12", "refused; no-path; advice fresh-installation"},
		{"SLES 10 SP4 (x86_64)", "SLES 12", "refused; no-path; advice fresh-installation"},
		{"SLES 10 SP4 (i586)", "SLES 12", "refused; word-size; advice fresh-installation"},
		{"SLES 10 SP4 (x86_64)", "SLES 11 SP4", "supported; by 11 SP4"},
		{"SLES 10 SP4 (ppc)", "SLES 11 SP4", "refused; word-size; advice fresh-installation"},

		{"SLES 11 SP3 (i586)", "SLES 12", "refused; word-size; advice fresh-installation"},
		{"SLES 11 SP1 (i686)", "SLES 12", "refused; word-size; advice fresh-installation"},
		{"SLES 11 SP3 (i586)", "SLES 12 (x86_64)", "refused; word-size; advice fresh-installation"},
		{"SLES 11 SP2 (i586)", "SLES 11 SP3 (x86_64)", "refused; word-size; advice fresh-installation"},
		{"SLES 11 SP2 (i586)", "SLES 11 SP3", "supported; by 11 SP3"},
		{"SLES 11 SP3 (ppc64)", "SLES 12", "refused; byte-order; advice fresh-installation"},
		{"SLES 11 SP3 (ppc64)", "SLES 12 (ppc64le)", "refused; byte-order; advice fresh-installation"},
		{"SLES 11 SP3 (ia64)", "SLES 12", "refused; not-built-for; advice fresh-installation"},
		{"SLES 12 (x86_64)", "SLES 12 SP1 (ppc64le)", "refused; other-architecture; advice fresh-installation"},
		{"SLES 11 SP3 (x86_64)", "SLED 12", "refused; other-product; advice fresh-installation"},

		{"SLES 12 (x86_64)", "SLES 12 SP3", "supported; by 12 SP3"},
		{"SLED 12 (x86_64)", "SLED 12 SP2", "refused; skips-releases; by 12 SP1, 12 SP2; advice fresh-installation"},
		{"SLES 12 SP3 (x86_64)", "SLES 12 SP5", "refused; skips-releases; by 12 SP4, 12 SP5; advice fresh-installation"},
		{"SLES 12 SP5 (x86_64)", "SLES 15 SP6", "supported; by 15 SP6"},
		{"SLES 12 SP4 (x86_64)", "SLES 15 SP6", "refused; skips-releases; by 12 SP5, 15 SP6; advice fresh-installation"},
		{"SLES 12 SP5 (x86_64)", "SLES 15 SP7", "supported; by 15 SP7"},
		{"SLES 11 SP4 (x86_64)", "SLES 15 SP6", "refused; skips-releases; by 15 SP3, 15 SP6; advice fresh-installation"},
		{"SLES 15 (x86_64)", "SLES 15 SP6", "refused; skips-releases; by 15 SP3, 15 SP6; advice fresh-installation"},
		{"SLES 15 SP5 (x86_64)", "SLES 15 SP7", "supported; by 15 SP7"},
		{"SLED 15 SP4 (x86_64)", "SLED 15 SP6", "refused; skips-releases; by 15 SP5, 15 SP6; advice fresh-installation"},
	} {
		got := c.Judge(parse(t, c, test.from), parse(t, c, test.to))
		if told(got) != test.want {
			t.Errorf("%s to %s:\n got %s\nwant %s", test.from, test.to, told(got), test.want)
		}
		for _, r := range slices.Concat(got.Reasons, got.Advice) {
			if r.Text == "" || strings.ContainsAny(r.Text, "{}") || r.Source.URL == "" {
				t.Errorf("%s to %s: %+v", test.from, test.to, r)
			}
		}
	}
}

func TestDebianPathMatrix(t *testing.T) {
	c := shipped(t, "debian")
	for _, test := range []struct{ from, to, want string }{
		{"Debian 11 (x86_64)", "Debian 12", "supported; by 12"},
		{"Debian 12 (amd64)", "Debian 13", "supported; by 13"},
		{"Debian 11 (amd64)", "Debian 13", "refused; skips-releases; by 12, 13"},
		{"Debian 11 (i686)", "Debian 12", "supported; by 12"},
		{"Debian 12 (i386)", "Debian 13", "refused; word-size"},
		{"Debian 12 (i386)", "Debian 13 (amd64)", "refused; word-size"},
		{"Debian 13 (arm64)", "Debian 12", "refused; older-release"},
	} {
		v := c.Judge(parse(t, c, test.from), parse(t, c, test.to))
		if told(v) != test.want {
			t.Errorf("%s to %s: %s", test.from, test.to, told(v))
		}
		if len(v.Hops) > 0 && (!v.Hops[0].Live() || v.Hops[0].Methods[0].By != "apt") {
			t.Errorf("%s to %s: %+v", test.from, test.to, v.Hops[0])
		}
	}
}

// Service packs are gone to online; from 11 to 12 only the installer leads, or SUSE
// Manager.
func TestMethods(t *testing.T) {
	c := shipped(t, "sles")
	for _, test := range []struct{ from, to, methods string }{
		{"SLES 11 SP2", "SLES 11 SP3", "online, medium, network, manager"},
		{"SLES 12", "SLES 12 SP1", "online, manager, medium, network, pxe"},
		{"SLES 11 SP3", "SLES 12", "medium, network, pxe, boot-entry, manager"},
		{"SLES 12 SP5", "SLES 15 SP6", "medium, network, pxe, boot-entry, migration-system"},
	} {
		v := c.Judge(parse(t, c, test.from), parse(t, c, test.to))
		if methods(v) != test.methods || v.Hops[0].Live() != strings.Contains(test.methods, "online") {
			t.Errorf("%s to %s: %s, live %v", test.from, test.to, methods(v), v.Hops[0].Live())
		}
	}
	v := c.Judge(parse(t, c, "SLES 11 SP3"), parse(t, c, "SLES 12"))
	if got := c.By(v, "online"); told(got) != "refused; other-method; by 12" || !strings.Contains(got.Reasons[0].Text, "boot-entry") {
		t.Errorf("online from 11 SP3 to 12: %s", told(got))
	}
	if got := c.By(v, "boot-entry"); told(got) != "supported; by 12" || len(got.Hops[0].Methods) != 1 {
		t.Errorf("a boot entry from 11 SP3 to 12: %s", told(got))
	}
	if len(v.Hops[0].Methods) != 5 {
		t.Error("choosing a method has changed the verdict it was chosen from")
	}
}

func TestNext(t *testing.T) {
	c := shipped(t, "sles")
	for from, want := range map[string]string{
		"SLES 11 SP3 (x86_64)": "11 SP4, 12, 12 SP1, 12 SP2", "SLES 11 SP3 (i586)": "11 SP4", "SLES 15 SP7": "",
		"SLED 12 SP4": "15, 15 SP1", "SLES 12 SP5": "15 SP2, 15 SP3, 15 SP4, 15 SP5, 15 SP6, 15 SP7",
	} {
		var got []string
		for _, h := range c.Next(parse(t, c, from)) {
			got = append(got, h.To.Edition())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %s", from, strings.Join(got, ", "))
		}
	}
}

func TestParseAndFind(t *testing.T) {
	c := shipped(t, "sles")
	near := Release{Product: "SLED", Version: "11", SP: 3, Arch: "x86_64"}
	for text, want := range map[string]string{
		"SLES 12": "SLES 12 (x86_64)", "12 SP1": "SLED 12 SP1 (x86_64)", "sles-11-sp3": "SLES 11 SP3 (x86_64)", "SLES12.1": "SLES 12 SP1 (x86_64)",
		"SUSE Linux Enterprise Server 11 SP3 (i686)": "SLES 11 SP3 (i586)", "15 GA": "SLED 15 (x86_64)",
	} {
		if r, err := c.Parse(text, near); err != nil || r.String() != want {
			t.Errorf("%q: %s, %v", text, r, err)
		}
	}
	for text, want := range map[string]string{
		"SLEX 12": "did you mean SLE", "SLES 13": "known are 10, 10 SP1", "SLES 12 (vax)": "architecture", "latest": "names no release",
		"SLES 12 SP1 SP2": "no version", strings.Repeat("9", 300): "names no release",
	} {
		if r, err := c.Parse(text, near); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v", text, r, err)
		}
	}
	if _, err := c.Parse("12", Release{}); err == nil || !strings.Contains(err.Error(), "which product") {
		t.Errorf("a version alone: %v", err)
	}
	if r, err := c.Find("sles", "11", 3, "i686"); err != nil || r.String() != "SLES 11 SP3 (i586)" {
		t.Errorf("%s, %v", r, err)
	}
	for _, id := range []string{"opensuse", "debian", ""} {
		if _, err := c.Find(id, "12", 0, "x86_64"); err == nil || c.Knows(id) {
			t.Errorf("%q is known", id)
		}
	}
}

// A release whose way is judged without an architecture is judged by its number alone.
func TestWithoutArchitecture(t *testing.T) {
	c := shipped(t, "sles")
	if got := told(c.Judge(parse(t, c, "SLES 11 SP3"), parse(t, c, "SLES 12 (x86_64)"))); got != "supported; by 12" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	c := shipped(f, "sles")
	for _, text := range []string{"SLES 12", "sles-11-sp3", "SUSE Linux Enterprise Server 12 SP1 (x86_64)", "12.1", "(", "SLED 0", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := c.Parse(text, Release{})
		if err != nil {
			return
		}
		again, err := c.Parse(r.String(), Release{})
		if err != nil || again != r {
			t.Errorf("%q: %+v, then %+v, %v", text, r, again, err)
		}
		if e, ok := c.Edition(r); !ok || e.Source == "" {
			t.Errorf("%q: nothing is known of %s", text, r)
		}
	})
}

// A release from before all that are known is refused, and its reason has the source that
// speaks of the target.
func TestBeforeAllThatIsKnown(t *testing.T) {
	c := shipped(t, "sles")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	nine, err := c.Find("sles", "9", 3, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	for to, guide := range map[string]string{"SLES 12": "SUSE Linux Enterprise 12,", "SLES 15 SP6": "15 SP6"} {
		v := c.Judge(nine, parse(t, c, to))
		if told := told(v); told != "refused; no-path; advice fresh-installation" {
			t.Errorf("%s: %s", to, told)
		}
		if len(v.Reasons) == 1 && !strings.Contains(v.Reasons[0].Source.Title, guide) {
			t.Errorf("%s: %+v", to, v.Reasons[0])
		}
	}
	for _, version := range []string{"14", "x", ""} {
		if r, err := c.Find("sles", version, 0, "x86_64"); err == nil {
			t.Errorf("%+v", r)
		}
	}
}
