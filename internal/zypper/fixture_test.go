package zypper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Two releases of a few packages. The scripts of apache2 fail when a file of the root
// says so, and wait where there is a FIFO.
const oldSpec = `
Name: filesystem
Version: 1
Release: 1
Summary: base
License: MIT
Vendor: SUSE
AutoReqProv: no
Provides: /bin/sh
%description
base
%package -n sles-release
Version: 11
Summary: release
AutoReqProv: no
Requires: filesystem
%description -n sles-release
release
%package -n apache2
Version: 2.2
Summary: web server
AutoReqProv: no
Requires: filesystem
%description -n apache2
web server
%package -n kdm
Version: 1
Summary: login
AutoReqProv: no
%description -n kdm
login
%package -n acme-tool
Version: 1
Summary: third party
Vendor: ACME
AutoReqProv: no
Requires: kdm
%description -n acme-tool
third party
%install
mkdir -p %{buildroot}/bin %{buildroot}/etc/products.d %{buildroot}/srv %{buildroot}/opt
cp @BUSYBOX@ %{buildroot}/bin/sh
echo '<product><vendor>SUSE</vendor><name>SLES</name><version>11.3</version><release>1</release><arch>x86_64</arch></product>' >%{buildroot}/etc/products.d/SLES.prod
ln -s SLES.prod %{buildroot}/etc/products.d/baseproduct
echo 2.2 >%{buildroot}/srv/apache2
echo 1 >%{buildroot}/opt/kdm
echo 1 >%{buildroot}/opt/acme
%files
/bin/sh
%files -n sles-release
/etc/products.d/SLES.prod
/etc/products.d/baseproduct
%files -n apache2
/srv/apache2
%files -n kdm
/opt/kdm
%files -n acme-tool
/opt/acme
`

const newSpec = `
Name: filesystem
Version: 2
Release: 1
Summary: base
License: MIT
Vendor: SUSE
AutoReqProv: no
Provides: /bin/sh
%description
base
%package -n sles-release
Version: 12
Summary: release
AutoReqProv: no
Requires: filesystem
%description -n sles-release
release
%package -n apache2
Version: 2.4
Summary: web server
AutoReqProv: no
Requires: filesystem libapr
%description -n apache2
web server
%package -n libapr
Version: 1
Summary: library
AutoReqProv: no
%description -n libapr
library
%package -n gdm
Version: 1
Summary: login
AutoReqProv: no
Obsoletes: kdm < 2
%description -n gdm
login
%pre -n apache2
test ! -e /break/pre || exit 1
%post -n apache2
if test -p /break/wait; then echo waiting >/break/reached; read x </break/wait; fi
test ! -e /break/post || exit 3
%posttrans -n apache2
test ! -e /break/posttrans || exit 7
%install
mkdir -p %{buildroot}/bin %{buildroot}/etc/products.d %{buildroot}/srv %{buildroot}/opt
cp @BUSYBOX@ %{buildroot}/bin/sh
echo '<product><vendor>SUSE</vendor><name>SLES</name><version>12</version><release>1</release><arch>x86_64</arch></product>' >%{buildroot}/etc/products.d/SLES.prod
ln -s SLES.prod %{buildroot}/etc/products.d/baseproduct
echo 2.4 >%{buildroot}/srv/apache2
echo 1 >%{buildroot}/opt/apr
echo 1 >%{buildroot}/opt/gdm
%files
/bin/sh
%files -n sles-release
/etc/products.d/SLES.prod
/etc/products.d/baseproduct
%files -n apache2
/srv/apache2
%files -n libapr
/opt/apr
%files -n gdm
/opt/gdm
`

// A package of the new release that has a file of another one.
const rivalSpec = `
Name: libapr
Version: 1
Release: 2
Summary: library
License: MIT
Vendor: SUSE
AutoReqProv: no
%description
library
%install
mkdir -p %{buildroot}/opt
echo 2 >%{buildroot}/opt/gdm
%files
/opt/gdm
`

const products = `<?xml version="1.0" encoding="UTF-8"?>
<products><product><vendor>SUSE</vendor><name>SLES</name><version ver="%s" rel="1" epoch="0"/><arch>x86_64</arch>
<summary>SUSE Linux Enterprise Server</summary><shortsummary>SLES</shortsummary><description>server</description></product></products>
`

func run(t *testing.T, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// packages builds a package repository.
func packages(t *testing.T, dir, version, spec string) {
	t.Helper()
	top := t.TempDir()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(top, "set.spec")
	put(t, file, strings.ReplaceAll(spec, "@BUSYBOX@", busybox))
	run(t, nil, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+top, "--define", "_rpmdir "+dir, "--define", "_build_id_links none",
		"--define", "debug_package %{nil}", "--define", "__os_install_post %{nil}", file)
	run(t, nil, "createrepo_c", "-q", "--general-compress-type=gz", dir)
	list := filepath.Join(top, "products.xml")
	put(t, list, fmt.Sprintf(products, version))
	run(t, nil, "modifyrepo_c", "--mdtype=products", list, filepath.Join(dir, "repodata"))
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shared is built once: both repositories and a root that has the old release, with
// the old repository off and the new one on.
var shared struct {
	once sync.Once
	dir  string
	ok   bool
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

type lab struct {
	*Zypper
	root, old, new string
}

// build returns a root of its own.
func build(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: installs packages below a root")
	}
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "zypper")
		if err != nil {
			t.Fatal(err)
		}
		shared.dir = dir
		packages(t, filepath.Join(dir, "old"), "11.3", oldSpec)
		packages(t, filepath.Join(dir, "new"), "12", newSpec)
		put(t, filepath.Join(dir, "root/etc/zypp/zypp.conf"), "")
		z, err := New(Options{Root: filepath.Join(dir, "root"), Dir: filepath.Join(dir, "state")})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		add := func(name string) {
			err := z.AddRepository(ctx, Repository{Alias: name, URLs: []string{"file://" + filepath.Join(dir, name)}, Enabled: true, Unchecked: true})
			if err != nil {
				t.Fatal(err)
			}
		}
		add("old")
		if _, err := z.Refresh(ctx, false); err != nil {
			t.Fatal(err)
		}
		if _, err := z.call(ctx, unrefreshed, "install", "--no-recommends", "filesystem", "sles-release", "apache2", "kdm", "acme-tool"); err != nil {
			t.Fatal(err)
		}
		if err := z.DisableRepositories("old"); err != nil {
			t.Fatal(err)
		}
		add("new")
		if _, err := z.Refresh(ctx, false); err != nil {
			t.Fatal(err)
		}
		shared.ok = true
	})
	if !shared.ok {
		t.Fatal("the shared root could not be built")
	}
	l := &lab{root: filepath.Join(t.TempDir(), "root"), old: filepath.Join(shared.dir, "old"), new: filepath.Join(shared.dir, "new")}
	run(t, nil, "cp", "-a", filepath.Join(shared.dir, "root"), l.root)
	var err error
	if l.Zypper, err = New(Options{Root: l.root, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	return l
}

// copied lets the root use a copy of the new repository, which may be spoilt.
func (l *lab) copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new")
	run(t, nil, "cp", "-a", l.new, dir)
	l.use(t, dir)
	return dir
}

func (l *lab) use(t *testing.T, dir string) {
	t.Helper()
	ctx := t.Context()
	if err := l.AddRepository(ctx, Repository{Alias: "new", URLs: []string{"file://" + dir}, Enabled: true, Unchecked: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Refresh(ctx, false); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) set(t *testing.T) string {
	t.Helper()
	list, err := l.Packages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range list {
		names = append(names, p.String())
	}
	return strings.Join(names, " ")
}

func itoa(n int) string { return fmt.Sprint(n) }
