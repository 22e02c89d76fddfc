package gaps

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"lifeboat/internal/host"
)

func sumOf(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		read func(text string, known map[string]shipped)
		text string
		want map[string]shipped
	}{
		"dpkg --search": {
			func(text string, known map[string]shipped) { readSearch(strings.NewReader(text), known) },
			"passwd, base-files: /etc/default\nlibc6:amd64: /etc/ld.so.conf.d/x86: y.conf\ndiversion by dash from: /etc/sh\nno path\n: \n",
			map[string]shipped{"/etc/default": {by: "passwd"}, "/etc/ld.so.conf.d/x86: y.conf": {by: "libc6"}},
		},
		"conffiles": {
			func(text string, known map[string]shipped) { readConffiles(strings.NewReader(text), known) },
			"cron\n /etc/crontab " + sumOf("x") + "\n /etc/with blank.conf " + sumOf("y") + " obsolete\n /etc/new newconffile\n relative " + sumOf("x") + "\n\nnone\n\n",
			map[string]shipped{
				"/etc/crontab": {by: "cron", digest: sumOf("x"), config: true}, "/etc/with blank.conf": {by: "cron", digest: sumOf("y"), config: true},
				"/etc/new": {by: "cron", config: true},
			},
		},
		// The first lines are what rpm 4.18 prints of a package made for it.
		"rpm": {
			func(text string, known map[string]shipped) { readFiles(strings.NewReader(text), known) },
			"ed-conf\t17\t2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806\t/etc/ed.conf\n" +
				"ed-conf\t0\t\t/etc/ed.d\n" +
				"ed-conf\t1\t27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a\t/etc/ed.d/with blank\n" +
				"ed-conf\t0\t\t/etc/ed.link\ned-conf\t64\t\t/etc/ghost\n" +
				"ed-conf\t0\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\t/usr/share/plain\n" +
				"db\t1\t" + strings.Repeat("cd", 32) + "\t/var/lib/db/my.cnf\nghost\t65\t" + strings.Repeat("ab", 32) + "\t/etc/ghosts\nshort\t1\tabc\t/etc/short\n[%{=NAME}\n\t\t\t\nx\t1\ty\n",
			map[string]shipped{
				"/etc/ed.conf": {by: "ed-conf", digest: "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806", config: true}, "/etc/ed.d": {by: "ed-conf"},
				"/etc/ed.d/with blank": {by: "ed-conf", digest: "27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a", config: true},
				"/etc/ed.link":         {by: "ed-conf"}, "/etc/ghost": {by: "ed-conf"},
				"/var/lib/db/my.cnf": {by: "db", digest: strings.Repeat("cd", 32), config: true}, "/etc/ghosts": {by: "ghost", config: true},
				"/etc/short": {by: "short", config: true},
			},
		},
	} {
		known := map[string]shipped{}
		test.read(test.text, known)
		if fmt.Sprint(known) != fmt.Sprint(test.want) {
			t.Errorf("%s:\n%v\n%v", name, known, test.want)
		}
	}
}

// machine is a machine below a root with these files.
func machine(t *testing.T, texts map[string]string) *host.Host {
	t.Helper()
	root := t.TempDir()
	for at, text := range texts {
		file := filepath.Join(root, at)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSearch(t *testing.T) {
	h := machine(t, map[string]string{
		"/etc/same.conf": "same", "/etc/changed.conf": "changed", "/etc/covered.conf": "changed", "/etc/crontab": "changed",
		"/etc/product/main.conf": "x", "/etc/product/extra.conf": "x", "/etc/product.d/more": "x",
		"/etc/deep/in/server.key": "x", "/etc/deep/out": "x", "/etc/own/a/1": "12", "/etc/own/b/2": "345", "/etc/own/b/3": "6",
		"/etc/shared/ours": "x", "/etc/shared/shipped": "x", "/etc/shared/deep/er/one": "x",
		"/etc/ssl/certs/ca.pem": "x", "/etc/ssl/private/server.key": "x", "/etc/passwd-": "x", "/etc/passwd": "x",
		"/etc/left/out": "x", "/etc/empty": "", "/var/lib/db/my.cnf": "changed", "/usr/bin/tool": "changed",
		// Where administrators keep things.
		"/usr/local/sbin/tool": "x", "/usr/local/sbin/deep/more": "x", "/usr/local/share/one": "x", "/opt/vendor/shipped": "x", "/opt/vendor/own/1": "x", "/opt/vendor/own/2": "x",
		"/srv/www/covered/1": "x", "/srv/www/own": "x", "/root/.bash_history": "x", "/root/job.sh": "x", "/root/.ssh/authorized_keys": "x", "/var/spool/cron/crontabs/root": "x", "/home/one": "x",
	})
	if err := os.Symlink("/nowhere", filepath.Join(h.Root(), "etc/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("same.conf", filepath.Join(h.Root(), "etc/replaced.conf")); err != nil {
		t.Fatal(err)
	}
	known := map[string]shipped{"/etc/shared": {by: "shared"}, "/etc/shared/shipped": {by: "shared"}, "/etc/ssl": {by: "ssl"}, "/opt/vendor": {by: "vendor"}, "/opt/vendor/shipped": {by: "vendor"}, "/var/spool/cron/crontabs": {by: "cron"}}
	for _, at := range []string{"/etc/same.conf", "/etc/changed.conf", "/etc/covered.conf", "/etc/crontab", "/etc/gone.conf", "/var/lib/db/my.cnf", "/etc/replaced.conf", "/etc/changed.conf/below"} {
		known[at] = shipped{by: "p", digest: sumOf("same"), config: true}
	}
	known["/usr/bin/tool"] = shipped{by: "p", digest: sumOf("same")}
	s := &search{
		Options: Options{Host: h, Covered: []string{"/srv/www/covered", "/etc/covered.conf", "/etc/product/main.conf", "/etc/absent"}, LeftOut: map[string]string{"/etc/left/out": "optional"}},
		known:   known, rules: theRules(),
	}
	if err := s.changed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, place := range places {
		if h.Exists(place) {
			if err := s.unowned(t.Context(), place); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for _, g := range s.gaps {
		s.rank(&g)
		got = append(got, fmt.Sprintf("%d %s %s %d %d", g.Rank, g.Kind, g.Path, g.Files, g.Bytes))
	}
	slices.Sort(got)
	want := []string{
		"1 changed /etc/crontab 1 7",
		"1 unowned /etc/deep 2 2",
		"1 unowned /etc/left/out 1 1",
		"1 unowned /etc/passwd 1 1",
		"1 unowned /etc/product/extra.conf 1 1",
		"1 unowned /etc/ssl/private/server.key 1 1",
		"1 unowned /root/.ssh/authorized_keys 1 1",
		"1 unowned /root/job.sh 1 1",
		"1 unowned /usr/local/sbin 2 2",
		"1 unowned /var/spool/cron/crontabs/root 1 1",
		"2 changed /etc/changed.conf 1 7",
		"2 changed /etc/replaced.conf 1 9",
		"2 changed /var/lib/db/my.cnf 1 7",
		"2 unowned /opt/vendor/own 2 2",
		"2 unowned /srv/www/own 1 1",
		"2 unowned /usr/local/share/one 1 1",
		"3 unowned /etc/link 1 8",
		"3 unowned /etc/own 3 6",
		"3 unowned /etc/product.d/more 1 1",
		"3 unowned /etc/shared/deep/er/one 1 1",
		"3 unowned /etc/shared/ours 1 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A machine whose packages are not known has no list of everything.
func TestNoPackages(t *testing.T) {
	if _, err := Find(t.Context(), Options{Host: machine(t, map[string]string{"/etc/file": "x"})}); !errors.Is(err, ErrNoPackages) {
		t.Error(err)
	}
}

// The lines are those of rpm 4.18 and dpkg 1.21.
func TestAltered(t *testing.T) {
	text := "??5??????   /usr/bin/own tool\n??5?????? c /etc/x.conf\nmissing     /usr/lib/gone\nS.5....T.  d /usr/share/doc\n.M.......    /var/mode\nS.5....T.    /usr/lib/a\n5\n??5?????? relative\n"
	if got, want := altered(strings.NewReader(text)), []string{"/usr/bin/own tool", "/etc/x.conf", "/usr/share/doc", "/usr/lib/a"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestUCF(t *testing.T) {
	h := machine(t, map[string]string{hashes: sumOf("x") + "  /etc/ssh/sshd_config\nnot a sum  /etc/x\n" + sumOf("y") + "  /etc/known\n"})
	known := map[string]shipped{"/etc/known": {by: "p", digest: sumOf("z"), config: true}}
	if err := readHashes(h, known); err != nil {
		t.Fatal(err)
	}
	if len(known) != 2 || known["/etc/ssh/sshd_config"].digest != sumOf("x") || known["/etc/known"].digest != sumOf("z") {
		t.Errorf("%v", known)
	}
}

func TestRules(t *testing.T) {
	r, err := readRules(rulesText)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]rule{r.Ignore, r.Worth} {
		for _, rule := range list {
			for _, pattern := range rule.Paths {
				if !doublestar.ValidatePattern(pattern) || !strings.HasPrefix(pattern, "/") || rule.Why == "" {
					t.Errorf("%q: %q", rule.Why, pattern)
				}
			}
		}
	}
	for at, want := range map[string]bool{
		"/etc/mtab": true, "/etc/ssl/certs/a.pem": true, "/etc/rc3.d/S01x": true, "/etc/systemd/system/multi-user.target.wants/x.service": true,
		"/etc/a/b.rpmsave": true, "/etc/shadow-": true, "/etc/alternatives": true, "/etc/lifeboat/lifeboat.yaml": true, "/etc/cron.d/lifeboat-smt": true,
		"/etc/systemd/system/own.service": false, "/etc/ssl/private/x.key": false, "/etc": false, "/etc/own.conf": false,
	} {
		if r.ignores(at) != want {
			t.Errorf("%s: ignored %v", at, !want)
		}
	}
	for at, want := range map[string]bool{"/etc/cron.daily/own": true, "/etc/deep/in/x.key": true, "/etc/ssh/ssh_host_ed25519_key": true, "/etc/own.conf": false} {
		if (r.values(at) != "") != want {
			t.Errorf("%s: worth %q", at, r.values(at))
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("p, q: /etc/x\n /etc/y " + sumOf("") + "\np\t1\t" + sumOf("") + "\t/etc/z\n")
	f.Fuzz(func(t *testing.T, text string) {
		known := map[string]shipped{}
		readSearch(strings.NewReader(text), known)
		readConffiles(strings.NewReader(text), known)
		readFiles(strings.NewReader(text), known)
		altered(strings.NewReader(text))
		for at, is := range known {
			if !strings.HasPrefix(at, "/") || is.digest != "" && hasher(is.digest) == nil {
				t.Errorf("%q: %+v", at, is)
			}
		}
	})
}
