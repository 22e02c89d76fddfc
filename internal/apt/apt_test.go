package apt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	os.Exit(m.Run())
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func installed(name, version, more string) string {
	return fmt.Sprintf("Package: %s\nStatus: install ok installed\nPriority: optional\nSection: misc\nInstalled-Size: 100\nMaintainer: x\nArchitecture: amd64\nVersion: %s\n%sDescription: x\n\n", name, version, more)
}

func offered(name, version, more string) string {
	return fmt.Sprintf("Package: %s\nVersion: %s\nPriority: optional\nSection: misc\nInstalled-Size: 300\nMaintainer: x\nArchitecture: amd64\nFilename: pool/%s.deb\nSize: 5000\nSHA256: %064d\n%sDescription: x\n\n", name, version, name, 0, more)
}

// debian is a root with a release of Debian, and a package repository with the next.
func debian(t *testing.T, codename, offers string) (root string) {
	t.Helper()
	dir := t.TempDir()
	root = filepath.Join(dir, "root")
	sum := sha256.Sum256([]byte(offers))
	put(t, dir, map[string]string{
		"repository/dists/" + codename + "/main/binary-amd64/Packages": offers,
		"repository/dists/" + codename + "/Release": fmt.Sprintf("Origin: Debian\nLabel: Debian\nCodename: %s\nArchitectures: amd64\nComponents: main\nDate: Sat, 09 Aug 2025 09:00:00 UTC\nSHA256:\n %x %d main/binary-amd64/Packages\n",
			codename, sum, len(offers)),
		"root/etc/os-release": "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"root/etc/fstab":      "/dev/vda1 / ext4 defaults 0 1\n",
		"root/etc/apt/sources.list": "# the release\ndeb [trusted=yes] file:" + dir + "/repository bookworm main\n" +
			"deb https://acme.example/apt nodistro main\n",
		"root/etc/apt/apt.conf.d/99evil": "DPkg::Pre-Invoke { \"touch " + dir + "/evil\"; };\n",
		"root/var/lib/apt/lists/old":     "",
		"root/var/lib/dpkg/status": installed("base-files", "12.4", "Essential: yes\n") + installed("libfoo1", "1.0", "") +
			installed("foo", "1.0-1", "Depends: libfoo1\n") + installed("acme", "1", "Depends: libfoo1\n") + installed("doc", "2.0", ""),
		"root/var/cache/apt/archives/partial/x": "",
	})
	return root
}

var trixie = offered("base-files", "13.1", "Essential: yes\n") + offered("libfoo2", "2.0", "Conflicts: libfoo1\n") + offered("foo", "2.0-1", "Depends: libfoo2\n")

// tree is every file below a directory with its content.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		fmt.Fprintf(&out, "%s %x\n", name, sha256.Sum256(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func simulate(t *testing.T, root, to string) (*Answer, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: builds a sandbox")
	}
	dir, err := os.MkdirTemp("", "lifeboat-apt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Simulate(t.Context(), Options{Root: root, Dir: dir, From: "bookworm", To: to})
}

func names(a *Answer) string {
	var out []string
	t := a.Transaction
	for _, c := range t.Upgrade {
		out = append(out, c.Name+" "+c.EditionOld+" to "+c.Edition)
	}
	for _, c := range t.Install {
		out = append(out, "+"+c.Name+" "+c.Edition)
	}
	for _, c := range t.Remove {
		out = append(out, "-"+c.Name)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// Debian's plan: the way by the profile, the packages by apt itself, and the same checks
// as for any other system.
func TestSimulateAndCheck(t *testing.T) {
	root := debian(t, "trixie", trixie)
	before := tree(t, root)
	a, err := simulate(t, root, "trixie")
	if err != nil {
		t.Fatal(err)
	}
	if got := names(a); got != "+libfoo2 2.0, -acme, -libfoo1, base-files 12.4 to 13.1, foo 1.0-1 to 2.0-1" {
		t.Error(got)
	}
	if a.Transaction.Download != 15000 || a.Transaction.Space <= 0 || len(a.Conflicts) != 0 {
		t.Errorf("download %d, space %d, conflicts %q", a.Transaction.Download, a.Transaction.Space, a.Conflicts)
	}
	if !slices.Equal(a.Left, []string{"https://acme.example/apt nodistro"}) {
		t.Errorf("left out: %q", a.Left)
	}
	if after := tree(t, root); after != before {
		t.Errorf("the root was changed:\n%s\n%s", before, after)
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(root), "evil")); err == nil {
		t.Error("a command of the root's configuration was run")
	}

	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	f, err := facts.Collect(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	from, to := path.Release{Product: "Debian", Version: "12", Arch: "amd64"}, path.Release{Product: "Debian", Version: "13", Arch: "amd64"}
	v := path.Verdict{Outcome: path.Supported, From: from, To: to, Hops: []path.Hop{{From: from, To: to, Methods: []path.Chosen{{ID: "apt", By: "apt"}}}}}
	report := preflight.Check(preflight.Input{
		Facts: f, Verdict: &v, To: to, Method: &v.Hops[0].Methods[0], Transaction: a.Transaction, Conflicts: a.Conflicts, Now: time.Now(),
	})
	removed, ok := report.Find("packages-removed")
	if !ok || !removed.Blocks() || !slices.Contains(removed.Items, "acme-1") {
		t.Errorf("packages that are removed do not stand in the way: %+v", report.Findings)
	}
	if c := report.Changes; c == nil || c.Upgrade != 2 || c.Install != 1 || c.Remove != 2 {
		t.Errorf("changes: %+v", report.Changes)
	}
	if !report.Inhibited {
		t.Error("nothing stands in the way of a host without a recovery point")
	}
}

func TestSimulateWithoutAWay(t *testing.T) {
	// What replaces an essential package without being it.
	a, err := simulate(t, debian(t, "trixie", offered("foo", "2.0-1", "Depends: base\n")+offered("base", "1", "Conflicts: base-files\n")), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Contains(a.Kept, "foo")
	if !kept && len(a.Conflicts) == 0 {
		t.Errorf("got %+v %+v", a, a.Transaction)
	}
	// A repository that does not have the release.
	if _, err := simulate(t, debian(t, "forky", trixie), "trixie"); err == nil || !strings.Contains(err.Error(), "fetch the package lists of trixie") {
		t.Errorf("got %v", err)
	}
	// Sources of none.
	root := debian(t, "trixie", trixie)
	put(t, root, map[string]string{"etc/apt/sources.list": "deb https://acme.example/apt nodistro main\n"})
	if _, err := simulate(t, root, "trixie"); err == nil || !strings.Contains(err.Error(), "no source of bookworm") {
		t.Errorf("got %v", err)
	}
}
