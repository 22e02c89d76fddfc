package changelog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/zypper"
)

func TestIdentifiers(t *testing.T) {
	for text, want := range map[string]string{
		"- fix CVE-2013-1862 with httpd-CVE-2013-1862.diff [bnc#829056]":      "[bug 829056 CVE-2013-1862]",
		"verification of client certificates, CAN-2005-2700 [#113701]":        "[bug 113701 CVE-2005-2700]",
		"can-2005-2700, CVE-2005-2700":                                        "[CVE-2005-2700]",
		"bsc#1000001, boo#1000002 and bugzilla 1000003":                       "[bug 1000001 bug 1000002 bug 1000003]",
		"CVE-2099-1234567 (Bug: #4711)":                                       "[bug 4711 CVE-2099-1234567]",
		"&#12345; a#12345 fate#317000 version 12345 CVE-20-1 XCVE-2013-1862x": "[]",
	} {
		if got := fmt.Sprint(append([]Identifier{}, Identifiers(text)...)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for _, bad := range []string{"", "2013-1862", "CVE-2013-1862 CVE-2013-1863", "CVE-2013-1862x"} {
		if id, err := ParseCVE(bad); err == nil {
			t.Errorf("%q is %v", bad, id)
		}
	}
	for text, want := range map[string]string{"829056": "829056", "bnc#829056": "829056", "BSC#1": "", "#829056": "829056", "x": ""} {
		if id, err := ParseBug(text); (err == nil) != (want != "") || id.Bug != want {
			t.Errorf("%q: %v, %v", text, id, err)
		}
	}
}

const log = `* Mon Jul 15 2013 someone@example.com
- fix CVE-2013-1862
  [bnc#829056]

* Tue Sep 06 2005 someone@example.com
- fix CAN-2005-2700
`

func TestJudge(t *testing.T) {
	p := &Package{Name: "apache2", Edition: "2.2.12-1.40.1", Installed: true}
	p.entries(log)
	p.add(ByReadme, "README.SUSE", "see CVE-2012-0001\n")
	notice := func(name, status, id string) zypper.Notice {
		return zypper.Notice{Name: "n", Status: status, Issues: []zypper.Issue{{Type: "cve", ID: id}}, Packages: []zypper.Update{{Name: name, Edition: "2.2.12-1.48.1"}}}
	}
	for name, c := range map[string]struct {
		id      string
		notices []zypper.Notice
		want    Verdict
	}{
		"changelog":                    {"CVE-2013-1862", nil, Fixed},
		"old name":                     {"CVE-2005-2700", nil, Fixed},
		"nobody":                       {"CVE-2014-0001", nil, Unknown},
		"readme only":                  {"CVE-2012-0001", nil, Unknown},
		"notice needed":                {"CVE-2014-0001", []zypper.Notice{notice("apache2", "needed", "CVE-2014-0001")}, Needed},
		"notice applied":               {"CVE-2014-0001", []zypper.Notice{notice("apache2", "applied", "CVE-2014-0001")}, Fixed},
		"notice of another package":    {"CVE-2014-0001", []zypper.Notice{notice("nginx", "needed", "CVE-2014-0001")}, Unknown},
		"notice of another fault":      {"CVE-2014-0001", []zypper.Notice{notice("apache2", "needed", "CVE-2014-0002")}, Unknown},
		"mended and an update again":   {"CVE-2013-1862", []zypper.Notice{notice("apache2", "needed", "CVE-2013-1862")}, Needed},
		"notice that does not concern": {"CVE-2014-0001", []zypper.Notice{notice("apache2", "not-needed", "CVE-2014-0001")}, Unknown},
	} {
		fault, err := ParseCVE(c.id)
		if err != nil {
			t.Fatal(err)
		}
		if a := p.Judge(fault, c.notices); a.Verdict != c.want || a.Why == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := p.Judge(Identifier{Bug: "829056"}, nil); a.Verdict != Fixed || a.Evidence[0].Place != "2013-07-15" {
		t.Errorf("%+v", a)
	}
}

// A line that names a fault is no proof that it was mended.
func TestDoubt(t *testing.T) {
	for body, want := range map[string]Verdict{
		"- fix CVE-2014-1111 (bnc#1111)":                                                    Fixed,
		"- fix CVE-2014-1111: do not crash when a header is missing":                        Fixed,
		"- httpd-CVE-2014-1111.patch: remove control characters before they are logged":     Fixed,
		"- update to 2.4.9:\n  * CVE-2014-1111 is fixed\n  * removed the patch for Solaris": Fixed,
		"- removed httpd-CVE-2014-1111.patch: merged upstream":                              Fixed,
		"- drop httpd-CVE-2014-1111.patch,\n  it is included in this version":               Fixed,
		"- revert the fix for CVE-2014-1111, it broke clients":                              Doubtful,
		"- reverted for now:\n  * httpd-CVE-2014-1111.patch":                                Doubtful,
		"- CVE-2014-1111 is not yet fixed, needs backport":                                  Doubtful,
		"- remove patch for CVE-2014-1111":                                                  Doubtful,
		"- dropped httpd-CVE-2014-1111.patch: causes crashes":                               Doubtful,
		"- disabled the patch of\n  CVE-2014-1111":                                          Doubtful,
		"- partial fix for CVE-2014-1111, incomplete":                                       Doubtful,
		"- not affected by CVE-2014-1111":                                                   Doubtful,
		"- CVE-2014-1111 isn't completely fixed":                                            Doubtful,
		"- backed out httpd-CVE-2014-1111.patch":                                            Doubtful,
		"- mitigate CVE-2014-1111 by configuration":                                         Doubtful,
	} {
		p := &Package{Name: "apache2", Edition: "2.2.12-1"}
		p.entries("* Mon Jul 15 2013 someone@example.com\n" + body + "\n\n* Sun Jul 14 2013 someone@example.com\n- fix CVE-2014-1111\n")
		if a := p.Judge(Identifier{CVE: "CVE-2014-1111"}, nil); a.Verdict != want {
			t.Errorf("%q: %+v, want %s", body, a, want)
		}
	}
	p := &Package{Name: "apache2"}
	p.entries("* Mon Jul 15 2013 someone@example.com\n- fix CVE-2014-1111 again\n\n* Sun Jul 14 2013 someone@example.com\n- revert the fix of CVE-2014-1111\n")
	if a := p.Judge(Identifier{CVE: "CVE-2014-1111"}, nil); a.Verdict != Fixed {
		t.Errorf("mended again: %+v", a)
	}
}

func TestReports(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"trivy":            {`{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-2013-1862","PkgName":"apache2","Title":"x"},{"VulnerabilityID":"GHSA-1"}]}]}`, "CVE-2013-1862 apache2|GHSA-1 "},
		"trivy references": {`{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"SUSE-SU-2014:0001-1","PkgName":"openssh","References":["https://x/cve/CVE-2014-2532/","https://x/CVE-2014-2653"]}]}]}`, "CVE-2014-2532 openssh|CVE-2014-2653 openssh"},
		"colours":          {"\x1b[31mCVE-2014-2532\x1b[0m openssh, CVE_2014_2533_x\nSUSE-SU-2014:0001-1 openssh\n", "CVE-2014-2532 |CVE-2014-2533 |SUSE-SU-2014:0001-1 "},
		"tested":           {"CVEs,NVT Name,QoD,Severity\nCVE-2013-1862,A,99,9\nCVE-2013-1863,B,80,9\n,Hole,70,5.0\n,Ping,80,0.0\n", "CVE-2013-1862  tested|CVE-2013-1863 |Hole "},
		"grype":            {`{"matches":[{"vulnerability":{"id":"GHSA-x"},"relatedVulnerabilities":[{"id":"CVE-2013-1862"}],"artifact":{"name":"apache2"}}]}`, "CVE-2013-1862 apache2"},
		"other":            {`[{"issue":"CVE-2013-1862"},{"issue":"CVE-2013-1863"}]`, "CVE-2013-1862 |CVE-2013-1863 "},
		"nessus":           {"Plugin ID,CVE,Risk,Host,Name\n1,CVE-2013-1862,High,h,\"Apache < 2.2.25\"\n2,,None,h,Ping\n", "CVE-2013-1862 "},
		"semicolon":        {"\xef\xbb\xbfIP;CVEs;Package\n::1;CVE-2013-1862,CVE-2013-1863;apache2\n", "CVE-2013-1862 apache2|CVE-2013-1863 apache2"},
		"text":             {"one CVE-2013-1862\ntwo CAN-2005-2700 and CVE-2013-1862\n", "CVE-2013-1862 |CVE-2005-2700 "},
	} {
		found, err := ReadReport(strings.NewReader(c.text))
		var got []string
		for _, f := range found {
			text := Answer{Fault: f.Fault, Advisory: f.Advisory}.Name() + " " + f.Package
			if f.Tested {
				text += " tested"
			}
			got = append(got, text)
		}
		if strings.Join(got, "|") != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "nothing here", "{", "a,b\nc,d\n"} {
		if found, err := ReadReport(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %v", bad, found)
		}
	}
	if _, err := ReadReport(strings.NewReader("x")); !errors.Is(err, ErrNoFindings) {
		t.Error(err)
	}
}

const spec = `
Name: tool
Version: 1.0
Release: 7
Summary: tool
License: MIT
Vendor: SUSE
BuildArch: noarch
Patch0: tool-CVE-2013-1862.patch
Patch1: other.diff
%description
tool
%install
mkdir -p %{buildroot}/usr/share/doc/packages/tool
echo 'CVE-2012-0001 does not concern us' >%{buildroot}/usr/share/doc/packages/tool/README.SUSE
%files
/usr/share/doc/packages/tool
%changelog
* Mon Jul 15 2013 someone@example.com
- fix CVE-2011-3607
`

// packages builds a package and its source with the real rpmbuild.
func packages(t testing.TB) (source, binary []byte) {
	if _, err := exec.LookPath("rpmbuild"); err != nil {
		t.Skip("needs rpmbuild (package rpm): builds a package")
	}
	top := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(top, "tool.spec"), []byte(spec), 0o600),
		os.WriteFile(filepath.Join(top, "tool-CVE-2013-1862.patch"), []byte("--- a\n+++ b\n"), 0o600),
		os.WriteFile(filepath.Join(top, "other.diff"), []byte("From: x\nSubject: CVE-2014-0001 (bnc#829056)\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rpmbuild", "-ba", "--quiet", "--define", "_topdir "+top, "--define", "_sourcedir "+top,
		"--define", "_srcrpmdir "+top, "--define", "_rpmdir "+top, "--define", "_build_id_links none", filepath.Join(top, "tool.spec"))
	cmd.Env = append(os.Environ(), "HOME="+top)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	return read("tool-1.0-7.src.rpm"), read("noarch/tool-1.0-7.noarch.rpm")
}

func TestReadFile(t *testing.T) {
	source, binary := packages(t)
	verdicts := func(data []byte) (list []string) {
		p, err := ReadFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range p.Named() {
			list = append(list, a.Fault.String()+" "+string(a.Verdict)+" "+string(a.Evidence[0].Kind))
		}
		if p.Name != "tool" || p.Edition != "1.0-7" || p.Vendor != "SUSE" {
			t.Errorf("%+v", p)
		}
		return list
	}
	if got := verdicts(source); !slices.Equal(got, []string{
		"CVE-2014-0001 fixed patch", "CVE-2013-1862 fixed patch", "CVE-2011-3607 fixed changelog", "bug 829056 fixed patch",
	}) {
		t.Errorf("source: %q", got)
	}
	if got := verdicts(binary); !slices.Equal(got, []string{"CVE-2012-0001 unknown readme", "CVE-2011-3607 fixed changelog"}) {
		t.Errorf("binary: %q", got)
	}
	for n := range 60 {
		if p, err := ReadFile(bytes.NewReader(source[:len(source)*n/60])); err == nil {
			t.Errorf("cut after %d of 60 parts: %+v", n, p)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	source, binary := packages(f)
	f.Add(source)
	f.Add(binary)
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := ReadFile(bytes.NewReader(data)); err == nil {
			p.Named()
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add([]byte("Package,CVE\napache2,CVE-2013-1862\n"))
	f.Add([]byte(`{"matches":[{"vulnerability":{"id":"CVE-2013-1862"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := ReadReport(bytes.NewReader(data))
		if (err == nil) != (len(found) > 0) {
			t.Errorf("%d findings, %v", len(found), err)
		}
	})
}
