package backup_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/export"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

const (
	opsiDump = "-- MySQL dump 10.13\n--\n-- Host: localhost    Database: opsi\nCREATE TABLE `HOST` (hostId VARCHAR(255) PRIMARY KEY, type VARCHAR(30));\n" +
		"INSERT INTO `HOST` VALUES ('opsi1.example.com','OpsiConfigserver'),('pc1.example.com','OpsiClient');\n-- Dump completed on 2026-11-20 10:11:12\n"
	dispatchConf = "backend_.* : file, mysql\nlicense.* : mysql\n.* : file\n"
	mysqlConf    = "# -*- coding: utf-8 -*-\nmodule = 'MySQL'\nconfig = {\n    \"address\": u\"localhost\",\n    \"database\": u\"opsi\",\n    \"username\": u\"opsi\",\n    \"password\": u\"x\",\n}\n"
	fileConf     = "module = 'File'\nconfig = {\n    \"baseDir\": u\"/var/lib/opsi/config\",\n    \"hostKeyFile\": u\"/etc/opsi/pckeys\",\n}\n"
	dhcpdConf    = "module = 'DHCPD'\nconfig = {\n    \"dhcpdConfigFile\": u\"/etc/dhcp/dhcpd.conf\",\n}\n"
	host1        = "opsi1.example.com"
)

// packed is a member of an archive that a test makes.
type packed struct {
	archive.Member
	text string
}

// hybrid is what opsi-backup makes of a server with file backend, MySQL and DHCP.
func hybrid() []packed {
	file := func(part archive.Part, backend, path, text, user, group string) packed {
		return packed{archive.Member{Part: part, Backend: backend, Path: path, Mode: 0o660, User: user, UID: 54321, Group: group, GID: 54322}, text}
	}
	dir := func(part archive.Part, backend, path string) packed {
		p := file(part, backend, path, "", "opsiconfd", "opsifileadmins")
		p.Type, p.Mode = archive.Directory, 0o770
		return p
	}
	link := file(archive.Configuration, "", "modules", "", "root", "root")
	link.Type, link.Target = archive.Symlink, "/srv/licence/modules"
	extra := file(archive.Files, "file", "clients/extra.ini", "", "opsiconfd", "opsifileadmins")
	extra.Type, extra.Target = archive.Hardlink, "CONTENT/BACKENDS/FILE/file/config.ini"
	templates := file(archive.Files, "file", "templates", "", "opsiconfd", "opsifileadmins")
	templates.Type, templates.Target = archive.Symlink, "stock"
	list := []packed{
		dir(archive.Files, "file", "stock"),
		file(archive.Files, "file", "stock/config.ini", "[y]\n", "opsiconfd", "opsifileadmins"),
		dir(archive.Files, "file", "."),
		file(archive.Files, "file", "config.ini", "[x]\n", "opsiconfd", "opsifileadmins"),
		dir(archive.Files, "file", "clients"),
		file(archive.Files, "file", "clients/bücher 1.example.com.ini", "[info]\n", "no-such-user-here", "opsifileadmins"),
		extra, templates,
		file(archive.HostKeys, "file", "pckeys", "pc1.example.com:00112233445566778899aabbccddeeff\n", "opsiconfd", "opsiadmin"),
		file(archive.Database, "mysql", "database.sql", opsiDump, "root", "root"),
		file(archive.DHCP, "dhcpd", "dhcpd.conf", "subnet 192.0.2.0 netmask 255.255.255.0 {}\n", "root", "root"),
		dir(archive.Configuration, "", "."),
		dir(archive.Configuration, "", "backends"),
		file(archive.Configuration, "", "backends/file.conf", fileConf, "root", "root"),
		file(archive.Configuration, "", "backends/mysql.conf", mysqlConf, "root", "root"),
		file(archive.Configuration, "", "backends/dhcpd.conf", dhcpdConf, "root", "root"),
		dir(archive.Configuration, "", "backendManager"),
		file(archive.Configuration, "", "backendManager/dispatch.conf", dispatchConf, "root", "root"),
		file(archive.Configuration, "", "pckeys", "pc1.example.com:00112233445566778899aabbccddeeff\n", "opsiconfd", "opsiadmin"),
		link,
	}
	return list
}

// opsiArchive writes an archive.
func opsiArchive(t *testing.T, members []packed) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "opsi1_4.2.0.309_2026-11-20_10-11-20.000000.tar.gz")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := archive.NewWriter(f, archive.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		m.ModTime, m.Size = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), int64(len(m.text))
		if err := w.Add(m.Member, strings.NewReader(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	info := archive.Info{
		Hostname: "opsi1", FQDN: host1, Domain: "example.com", Distribution: "Debian GNU/Linux",
		SysVersion: "(12,)", DistributionID: "bookworm", OpsiVersion: "4.2.0.309",
	}
	if err := errors.Join(w.Close(info), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

// An archive of opsi-backup becomes a point of the lost machine, with the owners
// it had there, whatever accounts this machine has.
func TestImportOfAnOpsiArchive(t *testing.T) {
	i, err := importFrom(t, "opsi", opsiArchive(t, hybrid()))
	if err != nil {
		t.Fatal(err)
	}
	p := pointOf(t, i)
	m := p.Manifest
	for key, want := range map[string]string{
		"hostname": "opsi1", "fqdn": host1, "server_id": host1, "os": "Debian GNU/Linux 12 (bookworm)", "os_id": "debian", "os_version": "12",
		"version": "4.2", "backends": "file mysql dhcp",
	} {
		if m.Identity[key] != want {
			t.Errorf("%s is %q, want %q", key, m.Identity[key], want)
		}
	}
	if m.Incomplete || len(m.Lacks()) != 0 {
		t.Errorf("lacks %v: %v", m.Lacks(), m.Noted())
	}
	if want := time.Date(2026, 11, 20, 10, 11, 20, 0, time.Local); !m.Moment.Equal(want) {
		t.Errorf("moment %s, want %s", m.Moment, want)
	}
	for at, want := range map[string]string{
		"/etc/opsi/pckeys": "pc1.example.com:00112233445566778899aabbccddeeff\n", "/var/lib/opsi/config/config.ini": "[x]\n",
		"/var/lib/opsi/config/clients/bücher 1.example.com.ini": "[info]\n", "/etc/dhcp/dhcpd.conf": "subnet 192.0.2.0 netmask 255.255.255.0 {}\n",
	} {
		n, err := p.Find(t.Context(), at)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		r, err := p.OpenFile(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want || n.Mode.Perm() != 0o660 {
			t.Errorf("%s: %q, %v, %v", at, got, n.Mode, err)
		}
		r.Close()
	}
	link, err := p.Find(t.Context(), "/etc/opsi/modules")
	if err != nil || link.LinkTarget != "/srv/licence/modules" {
		t.Errorf("%+v, %v", link, err)
	}
	t.Run("and an archive again", func(t *testing.T) { exported(t, p) })
	if os.Geteuid() != 0 {
		t.Skip("needs root: keeps owners")
	}
	for at, want := range map[string][2]string{
		"/var/lib/opsi/config": {"opsiconfd", "opsifileadmins"},
		"/var/lib/opsi/config/clients/bücher 1.example.com.ini": {"no-such-user-here", "opsifileadmins"},
		"/etc/opsi/pckeys":  {"opsiconfd", "opsiadmin"},
		"/etc/opsi/modules": {"root", "root"},
		"/var/lib":          {"root", "root"},
	} {
		n, err := p.Find(t.Context(), at)
		if err != nil {
			t.Error(err)
		} else if got := [2]string{m.Owners.Users[n.UID], m.Owners.Groups[n.GID]}; got != want {
			t.Errorf("%s belongs to %v, want %v", at, got, want)
		}
	}
}

// exported writes the point as an archive and compares it with the first one.
func exported(t *testing.T, p *vault.Point) {
	name := filepath.Join(t.TempDir(), "again.tar.bz2")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	report, err := export.Write(t.Context(), f, p, p.Manifest, export.Options{Compression: archive.Bzip2})
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), name, archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if f := a.Verify(); len(f) != 0 || report.Members != len(a.Members) {
		t.Errorf("%d members of %d: %v", len(a.Members), report.Members, f)
	}
	want := archive.Info{
		Hostname: "opsi1", FQDN: host1, Domain: "example.com", Distribution: "Debian GNU/Linux", SysVersion: "(12,)", DistributionID: "bookworm", OpsiVersion: "4.2.0.309",
	}
	if a.Info != want {
		t.Errorf("info %+v", a.Info)
	}
	type entry struct {
		kind   archive.Type
		mode   fs.FileMode
		owner  string
		target string
		size   int64
	}
	got := map[string]entry{}
	for _, m := range a.Members {
		got[m.Name] = entry{m.Type, m.Mode, m.User + ":" + m.Group, m.Target, m.Size}
	}
	for _, m := range hybrid() {
		at := path.Join("CONTENT", string(m.Part), m.Backend, m.Path)
		want := entry{m.Type, m.Mode, m.User + ":" + m.Group, m.Target, int64(len(m.text))}
		is, there := got[at]
		delete(got, at)
		switch {
		case m.Part == archive.Database: // dumped again
			want.mode, want.size = 0o600, is.size
		case m.Type == archive.Symlink:
			want.mode = is.mode
		}
		if os.Geteuid() != 0 {
			want.owner = is.owner
		}
		if m.Path == "clients/extra.ini" || m.Path == "templates" {
			continue // told below
		}
		if !there || is != want {
			t.Errorf("%s: %+v, want %+v", at, is, want)
		}
	}
	file := "CONTENT/BACKENDS/FILE/file/"
	delete(got, file+"clients/extra.ini")
	if len(got) != 1 || got[file+"templates/config.ini"].size != 4 || got[file+"templates/config.ini"].kind != archive.Regular {
		t.Errorf("more than there was: %v", got)
	}
	if all := strings.Join(report.Warnings, "\n"); !strings.Contains(all, "1 hard links") || !strings.Contains(all, "templates became a copy") {
		t.Errorf("warnings %s", all)
	}
}

// What opsi uses and the archive does not hold makes the point incomplete.
func TestImportOfLessOfOpsi(t *testing.T) {
	without := func(part archive.Part) []packed {
		return slices.DeleteFunc(hybrid(), func(p packed) bool { return p.Part == part })
	}
	for name, c := range map[string]struct {
		members []packed
		lacks   []string
		warning string
	}{
		"no database":      {without(archive.Database), []string{"database"}, "what the backend mysql holds"},
		"no files":         {without(archive.Files), []string{"file-backend"}, "what the backend file holds"},
		"no configuration": {without(archive.Configuration), []string{"configuration"}, "taken to belong to the usual places: the file backend to /var/lib/opsi/config with its host keys in /etc/opsi/pckeys, the database to opsi, the DHCP server's configuration to /etc/dhcp/dhcpd.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := importFrom(t, "opsi", opsiArchive(t, c.members))
			if err != nil {
				t.Fatal(err)
			}
			m := pointOf(t, i).Manifest
			if !m.Incomplete || !slices.Equal(m.Lacks(), c.lacks) {
				t.Errorf("incomplete %v, lacks %v", m.Incomplete, m.Lacks())
			}
			if all := strings.Join(m.Warnings, "\n"); !strings.Contains(all, c.warning) {
				t.Errorf("no %q in %s", c.warning, all)
			}
		})
	}
}

// Paths in a hostile configuration lead nowhere but into the import's own root.
// An archive does not choose which file of the machine it is.
func TestPlacesOfAnOpsiArchive(t *testing.T) {
	with := func(file, from, to string) []packed {
		all := slices.DeleteFunc(hybrid(), func(p packed) bool { return p.Part == archive.Database })
		for n := range all {
			if all[n].Path == "backends/"+file {
				all[n].text = strings.Replace(all[n].text, from, to, 1)
			}
		}
		return all
	}
	for place, members := range map[string][]packed{
		"/etc/cron.d/evil":           with("dhcpd.conf", "/etc/dhcp/dhcpd.conf", "/etc/opsi/../cron.d/evil"),
		"/etc/shadow":                with("file.conf", "/etc/opsi/pckeys", "/etc/shadow"),
		"/root/.ssh/authorized_keys": with("file.conf", "/etc/opsi/pckeys", "/root/.ssh/authorized_keys"),
		"/etc":                       with("file.conf", "/var/lib/opsi/config", "/etc"),
	} {
		_, err := importFrom(t, "opsi", opsiArchive(t, members)) // forced
		if !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), `"`+place+`"`) || strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: %v", place, err)
		}
	}
	i, err := importFrom(t, "opsi", opsiArchive(t, with("file.conf", "/var/lib/opsi/config", "/data/opsi")))
	if err != nil || !strings.Contains(strings.Join(i.Warnings(), "\n"), `belong to ["/data/opsi"]`) {
		t.Errorf("forced into another place: %v", err)
	}
}

func TestHostileOpsiArchive(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(at, to string) packed {
		return packed{archive.Member{Part: archive.Configuration, Path: at, Type: archive.Symlink, Target: to, User: "root", Group: "root"}, ""}
	}
	few := func() []packed { // without the database, which takes time to load
		return slices.DeleteFunc(hybrid(), func(p packed) bool { return p.Part == archive.Database })
	}
	conf := func(name, old, to string) []packed {
		list := few()
		for i, p := range list {
			if p.Path == "backends/"+name {
				list[i].text = strings.Replace(p.text, old, to, 1)
			}
		}
		return list
	}
	for name, members := range map[string][]packed{
		"base directory over a link": append(conf("file.conf", "/var/lib/opsi/config", "/etc/opsi/way/deep"), link("way", outside)),
		"base directory is a link":   append(conf("file.conf", "/var/lib/opsi/config", "/etc/opsi/way"), link("way", outside)),
		"DHCP file over a link":      append(conf("dhcpd.conf", "/etc/dhcp/dhcpd.conf", "/etc/opsi/way/dhcpd.conf"), link("way", outside)),
		"DHCP file is a link":        append(conf("dhcpd.conf", "/etc/dhcp/dhcpd.conf", "/etc/opsi/way"), link("way", victim)),
		"host keys are a link":       append(conf("file.conf", "/etc/opsi/pckeys", "/etc/opsi/way"), link("way", victim)),
		"backend is a link": append(slices.DeleteFunc(few(), func(p packed) bool { return p.Path == "backends/file.conf" }),
			link("backends/file.conf", "/etc/passwd")),
		"dots in a path": conf("file.conf", "/var/lib/opsi/config", "/../../../../../../../../"+outside),
	} {
		t.Run(name, func(t *testing.T) {
			i, err := importFrom(t, "opsi", opsiArchive(t, members))
			if err == nil {
				_ = i.Components()
			}
			if data, err := os.ReadFile(victim); err != nil || string(data) != "mine" {
				t.Errorf("%q, %v", data, err)
			}
			if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
	i, err := importFrom(t, "opsi", victim)
	if i != nil || err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file of nobody: %v", err)
	}
}
