package apt

import (
	"slices"
	"testing"
)

var move = Options{From: "bookworm", To: "trixie"}

func TestSwitchLines(t *testing.T) {
	const old = `# deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm main contrib # ours
deb-src [signed-by=/k arch=amd64] http://security.debian.org/debian-security bookworm-security main
deb http://deb.debian.org/debian stable main
deb https://packages.example/apt bookworm-pgdg main
deb https://acme.example/apt bookworms main
deb https://acme.example/apt ./
`
	const want = `# deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian trixie main contrib # ours
deb-src [signed-by=/k arch=amd64] http://security.debian.org/debian-security trixie-security main
deb http://deb.debian.org/debian trixie main
deb https://packages.example/apt trixie-pgdg main
`
	got, kept, left := switchLines(old, move)
	if got != want || kept != 4 || !slices.Equal(left, []string{"https://acme.example/apt bookworms", "https://acme.example/apt ./"}) {
		t.Errorf("%d kept, left %q\n%s", kept, left, got)
	}
}

func TestSwitchStanzas(t *testing.T) {
	const old = `Types: deb
# a comment
URIs: http://deb.debian.org/debian
Suites: bookworm
  bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://acme.example/apt
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm-backports
`
	const want = `Types: deb
# a comment
URIs: http://deb.debian.org/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

`
	got, kept, left := switchStanzas(old, move)
	if got != want || kept != 1 || !slices.Equal(left, []string{"https://acme.example/apt nodistro"}) {
		t.Errorf("%d kept, left %q\n%s", kept, left, got)
	}
}

// What apt 2.6 prints, with what a small repository does not bring about.
func TestRead(t *testing.T) {
	a := read([]byte(`Reading package lists...
The following packages have been kept back:
  linux-image-amd64 foo
The following packages will be DOWNGRADED:
  bar
WARNING: The following essential packages will be removed.
This should NOT be done unless you know exactly what you are doing!
  sysvinit-utils util-linux (due to sysvinit-utils)
2 upgraded, 0 newly installed.
Remv old:i386 [1:2.3-4] [dep:amd64 ]
Inst bar [2.0] (1.0 Debian:13.1/stable, Debian-Security:13/stable-security [amd64])
Inst libc6:i386 [2.36-9] (2.41-12 Debian:13.1/stable [i386]) [libc-bin:amd64 ]
Inst new (1.0 Debian:stable [all])
Conf new (1.0 Debian:stable [all])
The following packages have unmet dependencies:
 foo : Depends: libbar (>= 2) but it is not going to be installed
E: Broken packages
`))
	tr := a.Transaction
	if len(tr.Downgrade) != 1 || tr.Downgrade[0].Edition != "1.0" || len(tr.Upgrade) != 1 || tr.Upgrade[0].Arch != "i386" || len(tr.Install) != 1 || tr.Install[0].Arch != "all" {
		t.Errorf("%+v", tr)
	}
	if len(tr.Remove) != 1 || tr.Remove[0].Name != "old" || tr.Remove[0].Arch != "i386" || tr.Remove[0].Edition != "1:2.3-4" {
		t.Errorf("%+v", tr.Remove)
	}
	if !slices.Equal(a.Kept, []string{"linux-image-amd64", "foo"}) || !slices.Contains(a.Conflicts, "sysvinit-utils would be removed, and is essential") || !slices.Contains(a.Conflicts, "foo : Depends: libbar (>= 2) but it is not going to be installed") {
		t.Errorf("kept %q, conflicts %q", a.Kept, a.Conflicts)
	}
	a.sizes([]byte("'http://x/a b.deb' a_1_all.deb 1234 SHA256:00\n'file:/b.deb' b_1_all.deb 66 \nAfter this operation, 1,024 kB disk space will be freed.\n"))
	if tr.Download != 1300 || tr.Space != -1024000 {
		t.Errorf("download %d, space %d", tr.Download, tr.Space)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Inst a [1] (2 D:s [amd64])\nRemv b [1]\n", "deb http://x bookworm main\n\nSuites: bookworm\n x\n")
	f.Fuzz(func(t *testing.T, out, sources string) {
		a := read([]byte(out))
		a.sizes([]byte(out))
		if tr := a.Transaction; tr.Packages != len(tr.Upgrade)+len(tr.Install)+len(tr.Remove)+len(tr.Downgrade) {
			t.Error("changes are lost")
		}
		again, kept, _ := switchLines(sources, move)
		if twice, n, _ := switchLines(again, Options{From: "trixie", To: "trixie"}); twice != again || n < kept {
			t.Errorf("%q becomes %q, then %q", sources, again, twice)
		}
		switchStanzas(sources, move)
	})
}
