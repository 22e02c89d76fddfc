package facts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/lab/sles"
)

// shells are what a host that is too old may have. A machine of the tests has all.
var shells = [][]string{{"dash"}, {"busybox", "ash"}, {"bash", "--posix"}}

func runScript(t *testing.T, shell []string, args ...string) *Facts {
	t.Helper()
	file := filepath.Join(t.TempDir(), "facts.sh")
	if err := os.WriteFile(file, []byte(Script()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell[0], append(append(shell[1:len(shell):len(shell)], file), args...)...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %v\n%s", shell, err, stderr.String())
	}
	f, err := Read(&out)
	if err != nil {
		t.Fatalf("%v: %v\n%s", shell, err, out.String())
	}
	return f
}

// same takes away what differs from one moment to the next.
func same(f *Facts) *Facts {
	f.Collected, f.By = time.Time{}, ""
	for i := range f.Space {
		f.Space[i].Free = 0
	}
	return f
}

func TestScriptBringsTheSameFacts(t *testing.T) {
	root := elderly(t)
	write(t, root, map[string]string{
		"etc/zypp/repos.d/odd \xfc.repo":   "[odd]\n",
		"etc/zypp/repos.d/z.repo":          "[z]\r\nenabled=1\r\nbaseurl=ftp://a@b/c \x00\xff\n   d",
		"etc/zypp/repos.d/.hidden.repo":    "[hidden]\n",
		"usr/share/real/displaymanager":    "DISPLAYMANAGER=kdm",
		"etc/sysconfig/displaymanager":     "",
		"etc/zypp/repos.d/with blank.repo": "[blank]\nname=not ended",
	})
	for name, to := range map[string]string{
		"etc/sysconfig/displaymanager": "/usr/share/real/displaymanager", // as the machine sees it
		"etc/os-release":               "/../../../../../../../etc/os-release",
		"etc/debian_version":           "../../../../../../../../../etc/debian_version",
		"usr/lib/modules":              "/lib/modules",
	} {
		place := filepath.Join(root, name)
		_ = os.MkdirAll(filepath.Dir(place), 0o755)
		_ = os.Remove(place)
		if err := os.Symlink(to, place); err != nil {
			t.Fatal(err)
		}
	}
	want := same(collect(t, root))
	if want.Desktop.DisplayManager != "kdm" || want.Release.ID != "sles" {
		t.Fatalf("links below the root: %+v %+v", want.Desktop, want.Release)
	}
	for _, shell := range shells {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			if got := same(runScript(t, shell, "--root", root, "-")); !reflect.DeepEqual(got, want) {
				t.Errorf("script: %+v\nhere:   %+v", got, want)
			}
		})
	}
}

func TestScriptOnTheRunningMachine(t *testing.T) {
	want, err := Collect(t.Context(), host.Local())
	if err != nil {
		t.Fatal(err)
	}
	got := runScript(t, shells[0], "-")
	// What others start and mount meanwhile is not compared.
	for _, f := range []*Facts{want, got} {
		same(f)
		f.Mounts, f.Space, f.Guests, f.Pending, f.Unknown = nil, nil, nil, nil, nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("script: %+v\nhere:   %+v", got, want)
	}
}

func TestScriptWritesAFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"facts.sh": Script(), "victim": "mine", "root/etc/HOSTNAME": "old1\n"})
	if err := os.Symlink("victim", filepath.Join(dir, "lifeboat-facts.txt.part")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dash", "facts.sh", "--root", filepath.Join(dir, "root"))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "lifeboat upgrade plan --facts lifeboat-facts.txt") {
		t.Fatalf("%v: %s", err, out)
	}
	name := filepath.Join(dir, "lifeboat-facts.txt")
	if info, err := os.Lstat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "victim")); err != nil || string(text) != "mine" {
		t.Errorf("written through a link: %q, %v", text, err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if f, err := Read(file); err != nil || f.Hostname != "old1" || f.By != "script" || f.Tree != filepath.Join(dir, "root") {
		t.Errorf("%+v, %v", f, err)
	}
}

// The script goes to people whole: what it needs must be in it, and no password.
func TestScriptText(t *testing.T) {
	text := Script()
	if strings.Contains(text, "#SOURCES#") || strings.Contains(text, "{root}") {
		t.Error("a place was not filled in")
	}
	for _, shell := range shells {
		cmd := exec.Command(shell[0], append(shell[1:len(shell):len(shell)], "-n")...)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", shell, err, out)
		}
	}
}

func TestSecretsStayWhereTheyAre(t *testing.T) {
	root := elderly(t)
	write(t, root, map[string]string{"etc/zypp/repos.d/odd.repo": `[odd]
baseurl=https://me:ge/heim@host/a
        https://me:geh@eim@host/b
        https://me:ge?heim@host/c
        https://host/d?user=me&PASSWORD=geheim,geheim&x=geheim
        https://host/e?geheim
mirrorlist=ftp://geheim@host/list
proxy=me:geheim@proxy:3128
password = ge heim geheim
  Password= geheim
proxypass = geheim
AUTH_TOKEN	=	geheim
name=x PASSWORD="ge heim geheim" netroot=iscsi:me:geheim@host vncpassword=geheim,geheim secret = geheim end
`, "etc/products.d/x.prod": "<product><name>x</name><url>https://me:geheim@host/?geheim</url><vendor>y@z</vendor><version>1</version></product>\n"})
	for _, shell := range shells {
		text, err := exec.Command(shell[0], append(shell[1:len(shell):len(shell)], "-c", Script(), "sh", "--root", root, "-")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"heim", "$1$secret"} {
			if i := bytes.Index(text, []byte(secret)); i >= 0 {
				t.Errorf("%v: %s was taken: %q", shell, secret, text[max(0, i-80):i+20])
			}
		}
		if f := same(runScript(t, shell, "--root", root, "-")); !reflect.DeepEqual(f, same(collect(t, root))) {
			t.Errorf("%v: %+v", shell, f)
		}
	}
	f := collect(t, root)
	if all := fmt.Sprintf("%+v", f); strings.Contains(all, "heim") {
		t.Errorf("a secret was taken: %s", all)
	}
	i := slices.IndexFunc(f.Repositories, func(r Repository) bool { return r.Alias == "odd" })
	if r := f.Repositories[i]; !slices.Equal(r.URLs, []string{"https://host/a", "https://host/b", "https://host/c", "https://host/d?", "https://host/e?"}) || r.Name != "x PASSWORD= netroot=host vncpassword= secret= end" {
		t.Errorf("%+v", r)
	}
	if !slices.ContainsFunc(f.Products, func(p Product) bool { return p.Name == "x" && p.Version == "1" }) {
		t.Errorf("%+v", f.Products)
	}
}

// A root with a real package database: rpm and the shells read it alike.
func TestScriptOnAnInstalledRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: installs a root")
	}
	lab, err := sles.Build(t.Context(), filepath.Join(t.TempDir(), "lab"), sles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Zypper(t.Context(), "addlock", "apache2"); err != nil {
		t.Fatal(err)
	}
	want := same(collect(t, lab.Root))
	if p, ok := want.Package("acme-backup"); !ok || p.Vendor == "" || p.Size == 0 || len(want.Inconsistent) > 0 || want.Manager != "rpm" {
		t.Errorf("packages %+v, inconsistent %q", want.Packages, want.Inconsistent)
	}
	if len(want.Locks) != 1 || want.Locks[0].Name != "apache2" || len(want.Unknown) > 0 || want.Base() == nil {
		t.Errorf("locks %+v, unknown %+v", want.Locks, want.Unknown)
	}
	for _, shell := range shells {
		if got := same(runScript(t, shell, "--root", lab.Root, "-")); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v\nhere:   %+v", shell, got, want)
		}
	}
	if _, err := lab.RPM(t.Context(), "-e", "--nodeps", "libopenssl0_9_8"); err != nil {
		t.Fatal(err)
	}
	if f := collect(t, lab.Root); len(f.Inconsistent) == 0 {
		t.Error("a package that others need is gone, and nothing tells")
	}
}
