package smt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/ini.v1"

	"lifeboat/internal/product"
)

// Bounds of a directory that is looked through.
const (
	importDepth   = 16
	importEntries = 200_000
)

// place says what a saved file or directory is: by the end of its path, or by
// its name alone when somebody put everything into one directory.
type place struct {
	path      string
	component string
	dir       bool
	// exact places are only recognised by their whole path: the name alone says
	// too little.
	exact bool
	// holds tells whether what has that name is really it.
	holds func(file string) bool
}

var places = []place{
	{path: "/var/lib/CAM", component: "certificate-authority", dir: true, holds: holdsAuthority},
	{path: "/var/lib/CAM/YaST_Default_CA", component: "certificate-authority", dir: true},
	{path: "/etc/ssl/servercerts", component: "server-certificate", dir: true},
	{path: "/etc/ssl/servercerts/servercert.pem", component: "server-certificate"},
	{path: "/etc/ssl/servercerts/serverkey.pem", component: "server-certificate"},
	{path: "/etc/smt.conf", component: "configuration"},
	{path: "/etc/smt.d", component: "configuration", dir: true},
	{path: "/etc/smt.d/nu_server.conf", component: "configuration"},
	{path: "/etc/smt.d/smt_mod_perl.conf", component: "configuration"},
	{path: "/etc/smt.d/smt_support.conf", component: "configuration"},
	{path: "/etc/smt.d/smt-cron.conf", component: "configuration"},
	{path: "/etc/smt.d/novell.com-smt", component: "configuration"},
	{path: "/etc/cron.d/novell.com-smt", component: "cron-table", exact: true},
	{path: "/etc/zypp/credentials.d/NCCcredentials", component: "credentials"},
	{path: "/etc/zypp/credentials.d/SCCcredentials", component: "credentials"},
	{path: "/etc/apache2/conf.d", component: "apache", dir: true, exact: true},
	{path: "/etc/apache2/vhosts.d", component: "apache", dir: true},
	{path: "/etc/apache2/default-server.conf", component: "apache"},
	{path: "/etc/apache2/httpd.conf", component: "apache"},
	{path: "/etc/apache2/listen.conf", component: "apache"},
	{path: "/etc/apache2/server-tuning.conf", component: "apache"},
	{path: "/etc/apache2/ssl-global.conf", component: "apache"},
	{path: "/etc/sysconfig/apache2", component: "apache", exact: true},
	{path: "/etc/suseRegister.conf", component: "registration"},
	{path: "/etc/SUSEConnect", component: "registration"},
	{path: "/etc/sysconfig/proxy", component: "registration", exact: true},
	{path: "/root/.curlrc", component: "registration"},
	{path: "/var/lib/smt", component: "signing-key", dir: true, exact: true},
	{path: "/etc/my.cnf", component: "database-server"},
	// No component has them; they tell which machine was lost.
	{path: "/etc/HOSTNAME", holds: holdsName},
	{path: "/etc/hostname", holds: holdsName},
	{path: "/etc/os-release"},
	{path: "/usr/lib/os-release", exact: true},
	{path: "/etc/SuSE-release"},
	{path: "/srv/www/htdocs/repo", component: treeComponent, dir: true, holds: holdsTree},
}

const treeComponent = "package-tree"

// finder collects what is recognised.
type finder struct {
	dir     string
	found   map[string]hit // by path on the lost machine
	dumps   []dump
	unknown []string
	result  *product.Import
	entries int
}

// hit is one recognised file or directory.
type hit struct {
	place
	from  string
	whole bool // by its whole path
}

// importSaved recognises what was saved by hand in dir: as the article lists it,
// all in one directory or at its places below it. Symbolic links are not followed.
func importSaved(ctx context.Context, dir string) (*product.Import, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("import: %s is no directory; give the one that holds what was saved", dir)
	}
	f := &finder{dir: dir, found: map[string]hit{}, result: &product.Import{Dir: dir, Settings: map[string]string{}}}
	if err := f.look(ctx, ".", 0); err != nil {
		return nil, fmt.Errorf("import %s: %w", dir, err)
	}
	f.settle()
	return f.result, nil
}

// look goes through one directory.
func (f *finder) look(ctx context.Context, rel string, depth int) error {
	entries, err := os.ReadDir(filepath.Join(f.dir, rel))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.entries++; f.entries > importEntries {
			return fmt.Errorf("more than %d entries; give the directory that holds only what was saved", importEntries)
		}
		name := path.Join(rel, e.Name())
		switch {
		case e.IsDir() && f.take(name, true):
		case e.IsDir() && depth < importDepth:
			if err := f.look(ctx, name, depth+1); err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
		case e.Type().IsRegular() && f.take(name, false):
		case e.Type().IsRegular():
			d, err := readDump(filepath.Join(f.dir, name), name)
			if err != nil {
				f.result.Warnings = append(f.result.Warnings, fmt.Sprintf("%s could not be read: %v", name, err))
			}
			if d != nil {
				f.dumps = append(f.dumps, *d)
			} else {
				f.unknown = append(f.unknown, name)
			}
		default:
			f.unknown = append(f.unknown, name)
		}
	}
	return nil
}

// take recognises one entry. The whole path is worth more than the name, and
// what lies higher more than what lies deeper.
func (f *finder) take(name string, dir bool) bool {
	at, whole := -1, false
	for i, p := range places {
		if p.dir != dir {
			continue
		}
		full := "/"+name == p.path || strings.HasSuffix(name, p.path)
		if !full && (p.exact || path.Base(name) != path.Base(p.path)) {
			continue
		}
		if p.holds != nil && !p.holds(filepath.Join(f.dir, name)) {
			continue
		}
		if at < 0 || full && !whole {
			at, whole = i, full
		}
	}
	if at < 0 {
		return false
	}
	h := hit{place: places[at], from: name, whole: whole}
	before, twice := f.found[h.path]
	if twice {
		if before.whole || !whole {
			h, before = before, h
		}
		f.result.Warnings = append(f.result.Warnings, fmt.Sprintf("%s was saved twice; %s is taken, not %s", h.path, h.from, before.from))
		f.unknown = append(f.unknown, before.from)
	}
	f.found[h.path] = h
	return true
}

// holdsAuthority: a directory CAM is one when an authority stands below it.
func holdsAuthority(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(escape(dir), "*", "cacert.pem"))
	return len(found) > 0
}

// holdsTree: a directory repo is SMT's when its well-known parts are there.
func holdsTree(dir string) bool {
	for _, part := range []string{"$RCE", "SUSE", "full", "testing"} {
		if info, err := os.Lstat(filepath.Join(dir, part)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

// escape makes a path mean itself in a pattern.
func escape(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}

// settle turns what was found into the description.
func (f *finder) settle() {
	mirrorTo, database := f.settings()
	for _, p := range places {
		h, ok := f.found[p.path]
		if !ok {
			continue
		}
		if parent, inside := f.found[path.Dir(p.path)]; inside && parent.dir { // the directory brings its own
			f.unknown = append(f.unknown, h.from)
			continue
		}
		target := p.path
		if p.component == treeComponent {
			target = path.Join(mirrorTo, "repo")
		}
		f.result.Files = append(f.result.Files, product.ImportFile{Path: target, From: h.from, Component: p.component, Dir: p.dir})
	}
	f.chooseDump(database)
	f.missing()
	f.remarks()
	slices.Sort(f.unknown)
	f.result.Unknown = f.unknown
}

// settings reads what the saved smt.conf says.
func (f *finder) settings() (mirrorTo, database string) {
	mirrorTo, database = "/srv/www/htdocs", "smt"
	h, ok := f.found["/etc/smt.conf"]
	if !ok {
		return mirrorTo, database
	}
	conf, err := ini.LoadSources(ini.LoadOptions{IgnoreInlineComment: true, SkipUnrecognizableLines: true, AllowBooleanKeys: true}, filepath.Join(f.dir, h.from))
	if err != nil {
		f.result.Warnings = append(f.result.Warnings, fmt.Sprintf("%s cannot be read as SMT's configuration: %v", h.from, err))
		return mirrorTo, database
	}
	if v := conf.Section("LOCAL").Key("MirrorTo").String(); path.IsAbs(v) {
		mirrorTo = path.Clean(v)
	}
	if v := databaseOf(conf.Section("DB").Key("config").String()); v != "" {
		database = v
	}
	f.name(conf.Section("LOCAL").Key("url").String())
	f.result.Settings["mirror_to"], f.result.Settings["db_name"] = mirrorTo, database
	for _, key := range []string{"NUUrl", "NURegUrl"} {
		if v := conf.Section("NU").Key(key).String(); strings.Contains(v, "novell.com") {
			f.result.Warnings = append(f.result.Warnings, fmt.Sprintf("smt.conf names %s, which does not exist any more; move to the SUSE Customer Center, see https://www.suse.com/support/kb/doc/?id=000019508", v))
			break
		}
	}
	return mirrorTo, database
}

// databaseOf reads the name out of dbi:mysql:database=smt;host=localhost.
func databaseOf(dsn string) string {
	parts := strings.SplitN(dsn, ":", 3)
	if len(parts) != 3 {
		return ""
	}
	for part := range strings.SplitSeq(parts[2], ";") {
		if key, value, ok := strings.Cut(part, "="); ok && (key == "database" || key == "dbname" || key == "db") {
			return strings.TrimSpace(value)
		} else if !ok {
			return strings.TrimSpace(part)
		}
	}
	return ""
}

// chooseDump takes the newest dump of the database. An empty one is only taken
// when there is no other: it is refused then, by its name.
func (f *finder) chooseDump(database string) {
	var fit []dump
	for _, d := range f.dumps {
		if d.fits(database) {
			fit = append(fit, d)
		} else {
			f.unknown = append(f.unknown, d.from)
			f.result.Warnings = append(f.result.Warnings, fmt.Sprintf("%s is a dump of another database (%s)", d.from, d.database))
		}
	}
	if len(fit) == 0 {
		return
	}
	slices.SortStableFunc(fit, func(a, b dump) int {
		switch {
		case a.empty == b.empty:
			return b.when.Compare(a.when)
		case a.empty:
			return 1
		}
		return -1
	})
	f.result.Dumps = []product.ImportDump{{Database: database, Component: "database", From: fit[0].from, Compression: fit[0].compression}}
	for _, d := range fit[1:] {
		f.unknown = append(f.unknown, d.from)
		what := "an older"
		if d.empty {
			what = "an empty"
		}
		f.result.Warnings = append(f.result.Warnings, fmt.Sprintf("%s is %s dump; %s is taken", d.from, what, fit[0].from))
	}
}

// missing lists what the article asks for and was not found.
func (f *finder) missing() {
	has := map[string]bool{"database": len(f.result.Dumps) > 0, "hostname": f.result.Facts["hostname"] != ""}
	for _, file := range f.result.Files {
		has[file.Component] = true
		has[file.Path] = true
		if path.Base(file.Path) == "hostname" || path.Base(file.Path) == "HOSTNAME" {
			has["hostname"] = true
		}
	}
	for _, m := range []struct {
		key string
		product.Missing
	}{
		{"database", product.Missing{Component: "database", What: "a dump of the database", Critical: true, Loss: "All registrations are gone."}},
		{"certificate-authority", product.Missing{Component: "certificate-authority", What: "the certificate authority (CAM)", Critical: true, Loss: "Clients stop trusting the server."}},
		{"/etc/smt.conf", product.Missing{Component: "configuration", What: "smt.conf", Critical: true, Loss: "Mirror credentials, database access and everything set by hand are gone."}},
		{"/etc/smt.d", product.Missing{Component: "configuration", What: "the directory smt.d", Loss: "Changes to job times and to SMT's part of apache are gone."}},
		{"credentials", product.Missing{Component: "credentials", What: "NCCcredentials or SCCcredentials", Critical: true, Loss: "The server must be registered again as a new one."}},
		{"apache", product.Missing{Component: "apache", What: "changed files of apache", Loss: "What was set by hand there is gone; nothing, if nothing was."}},
		{"hostname", product.Missing{What: "the name of the lost machine (/etc/HOSTNAME)", Loss: "A recovery cannot see whether it runs on a machine of that name, and asks for --force hostname."}},
		{treeComponent, product.Missing{Component: treeComponent, What: "the package repositories", Loss: "They must be mirrored again."}},
	} {
		if !has[m.key] {
			f.result.Missing = append(f.result.Missing, m.Missing)
		}
	}
	f.result.Missing = append(f.result.Missing, product.Missing{Component: "network", What: "the network as Lifeboat records it", Loss: "Addresses and routes are known only from notes."})
}

// remarks tells about files that a person should look at.
func (f *finder) remarks() {
	for _, name := range f.unknown {
		base := strings.ToLower(path.Base(name))
		switch {
		case base == "smt-db-backup.sh":
			f.result.Warnings = append(f.result.Warnings, name+" holds the password of the database administrator; it is not taken over. Change that password")
		case strings.Contains(base, "network"), strings.Contains(base, "ifcfg"), strings.Contains(base, "route"),
			strings.Contains(base, "resolv"), strings.Contains(base, "dns"), base == "hosts", base == "ip.txt", strings.HasPrefix(base, "ip-"), strings.HasPrefix(base, "ifconfig"):
			f.result.Warnings = append(f.result.Warnings, name+" looks like a note about the network; it is not taken over, keep it at hand")
		}
	}
	if _, ncc := f.found["/etc/zypp/credentials.d/NCCcredentials"]; ncc {
		if _, scc := f.found["/etc/zypp/credentials.d/SCCcredentials"]; !scc {
			f.result.Warnings = append(f.result.Warnings, "the saved credentials are of the Novell Customer Center, which does not exist any more; see https://www.suse.com/support/kb/doc/?id=000019508")
		}
	}
}
