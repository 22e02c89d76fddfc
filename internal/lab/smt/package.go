package smt

import (
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/lab/machine"
)

// commands are the tools a version brings.
func (s Spec) commands() []string {
	names := []string{
		"/usr/sbin/smt-list-registrations", "/usr/sbin/smt-mirror", binDir + "/smt-db", "/usr/sbin/rcsmt", "/usr/sbin/smt",
		"/usr/sbin/yast2-smt-wizard", "/usr/sbin/smt-catalogs",
	}
	switch s.Schema {
	case "0.09":
		return append(names, "/usr/sbin/smt-ncc-sync")
	case "3.09":
		return append(names, "/usr/sbin/smt-repos", "/usr/sbin/smt-job", "/usr/sbin/smt-scc-sync", "/usr/sbin/smt-sync", binDir+"/smt-schema-upgrade")
	default:
		return append(names, "/usr/sbin/smt-repos", "/usr/sbin/smt-job", "/usr/sbin/smt-ncc-sync")
	}
}

func (s Spec) mode() os.FileMode {
	if s.Schema == "0.09" {
		return 0o644
	}
	return 0o640
}

func (s Spec) logFile(program string) string {
	if s.Schema == "0.09" {
		return "/var/log/smt-" + program + ".log"
	}
	return logDir + "/smt-" + program + ".log"
}

// cronTable is novell.com-smt; SMT 12 ships its lines commented out.
func (s Spec) cronTable() string {
	off := ""
	if s.Schema == "3.09" {
		off = "###"
	}
	text := "# SMT's jobs\nSHELL=/bin/bash\nPATH=/bin:/usr/bin:/sbin:/usr/sbin:/usr/lib/SMT/bin\n"
	text += off + "*/15 * * * * root /usr/lib/SMT/bin/smt-repeated-register\n" + off + "0 1 * * * root /usr/lib/SMT/bin/smt-daily\n" +
		off + "0 5 * * 1 root /usr/lib/SMT/bin/smt-gen-report\n"
	if s.Schema != "0.09" {
		text += off + "0 2 * * * root /usr/lib/SMT/bin/smt-run-jobqueue-cleanup\n"
	}
	return text
}

// packages are smt, at first as specified and then as updated, and apache2.
func (s Spec) packages(m *machine.Machine) []machine.Package {
	apache := machine.Package{
		Name: "apache2", Version: "2.4.23", Release: "29.66.1", Arch: "x86_64", Summary: "The Apache HTTPD Server",
		Setup: func(*machine.Machine) error {
			if err := machine.AddGroup("www", s.WWWGID); err != nil {
				return err
			}
			return machine.AddUser("wwwrun", s.WWWUID, "www", "/var/lib/wwwrun", "/bin/false")
		},
		Files: []machine.PackageFile{
			{Path: "/usr/sbin/httpd2-prefork", Double: true},
			{Path: "/etc/apache2/httpd.conf", Text: "Include /etc/apache2/default-server.conf\nInclude /etc/apache2/conf.d/*.conf\nInclude /etc/apache2/vhosts.d/*.conf\n", Mode: 0o644, Config: true},
			{Path: "/etc/apache2/default-server.conf", Text: "DocumentRoot \"/srv/www/htdocs\"\n<Directory \"/srv/www/htdocs\">\n  Options None\n  AllowOverride None\n</Directory>\n", Mode: 0o644, Config: true},
			{Path: "/etc/apache2/vhosts.d", Dir: true, Mode: 0o755},
			{Path: "/etc/apache2/conf.d", Dir: true, Mode: 0o755},
			{Path: "/etc/sysconfig/apache2", Text: "APACHE_MODULES=\"actions alias auth_basic ssl perl\"\nAPACHE_SERVER_FLAGS=\"SSL\"\n", Mode: 0o644, Config: true},
			{Path: docRoot, Dir: true, Mode: 0o755},
			{Path: "/var/log/apache2", Dir: true, Mode: 0o750},
		},
		Finish: func(m *machine.Machine) error { return m.InstallUnit(apacheUnit()) },
	}
	list := []machine.Package{apache, s.smtPackage(m, s.Version, s.Schema)}
	if s.UpdateVersion != "" {
		schema := s.UpdateSchema
		if schema == "" {
			schema = s.Schema
		}
		list = append(list, s.smtPackage(m, s.UpdateVersion, schema))
	}
	return list
}

func (s Spec) smtPackage(m *machine.Machine, version, schema string) machine.Package {
	p := machine.Package{
		Name: "smt", Version: version, Release: "1.1", Arch: "x86_64", Summary: "Subscription Management Tool",
		Needs: []string{m.DatabasePackage(), "apache2"},
		Setup: func(*machine.Machine) error {
			// SMT has no home directory of its own before 1.1, but a user.
			return machine.AddUser("smt", s.UID, "www", "/var/lib/smt", "/bin/false")
		},
		Files: []machine.PackageFile{
			{Path: "/etc/smt.d", Dir: true, Mode: 0o755},
			{Path: Config, Text: confText(m, s, "", "", ""), Mode: s.mode(), Owner: "root:www", Config: true},
			{Path: confDir + "/nu_server.conf", Text: "Alias /repo /srv/www/htdocs/repo\n<Location /repo>\n  PerlAuthenHandler NU::SMTAuth\n</Location>\n", Mode: 0o644, Config: true},
			{Path: confDir + "/smt_mod_perl.conf", Text: "PerlRequire /etc/smt.d/smt_mod_perl.pl\n<Location /center/regsvc>\n  SetHandler perl-script\n</Location>\n", Mode: 0o644, Config: true},
			{Path: confDir + "/smt-cron.conf", Text: "NCC_SYNC_PARAMS=\"-L " + s.logFile("ncc-sync") + "\"\nMIRROR_PARAMS=\"-L " + s.logFile("mirror") + "\"\nREGISTER_PARAMS=\"\"\nREPORT_PARAMS=\"\"\n", Mode: 0o644, Config: true},
			{Path: confDir + "/novell.com-smt", Text: s.cronTable(), Mode: 0o644, Config: true},
			{Path: confDir + "/vhost-ssl.conf", Text: "<VirtualHost _default_:443>\n  SSLEngine on\n  SSLCertificateFile " + serverCert + "\n  SSLCertificateKeyFile " + serverKey + "\n</VirtualHost>\n", Mode: 0o644, Config: true},
			{Path: module, Text: fmt.Sprintf("package SMT;\n$SMT::VERSION = '%s';\n$SMT::SCHEMA_VERSION = %s;\n1;\n", version, schema), Mode: 0o644},
			{Path: docRoot + "/repo", Dir: true, Mode: 0o755, Owner: "smt:www"},
			{Path: docRoot + "/repo/tools", Dir: true, Mode: 0o755, Owner: "smt:www"},
			{Path: docRoot + "/repo/keys", Dir: true, Mode: 0o755, Owner: "smt:www"},
			{Path: docRoot + "/repo/tools/clientSetup4SMT.sh", Text: "#!/bin/sh\n# tells a client where its update server is\n", Mode: 0o755, Owner: "smt:www"},
			{Path: "/usr/lib/tmpfiles.d/smt.conf", Text: "d /var/run/smt 0775 smt www\n", Mode: 0o644},
			{Path: "/var/lib/smt", Dir: true, Mode: 0o700, Owner: "smt:www"},
			{Path: "/var/cache/smt", Dir: true, Mode: 0o755, Owner: "smt:www"},
		},
		Finish: func(m *machine.Machine) error {
			for _, u := range []*machine.Unit{smtUnit(), upgradeUnit(), targetUnit()} {
				if u.Name == "smt" && u.Suffix == "" || !legacy(m) {
					if err := m.InstallUnit(u); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	if s.Schema != "0.09" {
		p.Files = append(p.Files, machine.PackageFile{Path: confDir + "/smt_support.conf", Text: "<Location /upload>\n  SetHandler perl-script\n</Location>\n", Mode: 0o644, Config: true},
			machine.PackageFile{Path: logDir, Dir: true, Mode: 0o755, Owner: "smt:www"}, machine.PackageFile{Path: "/var/spool/smt-support", Dir: true, Mode: 0o755, Owner: "smt:www"})
	}
	for _, command := range s.commands() {
		p.Files = append(p.Files, machine.PackageFile{Path: command, Double: true})
	}
	return p
}

// links are what a start of SMT makes and a stop removes: link, target.
func links(m *machine.Machine) [][2]string {
	list := [][2]string{
		{"/etc/apache2/conf.d/nu_server.conf", confDir + "/nu_server.conf"},
		{"/etc/apache2/conf.d/smt_mod_perl.conf", confDir + "/smt_mod_perl.conf"},
		{"/etc/apache2/vhosts.d/vhost-ssl.conf", confDir + "/vhost-ssl.conf"},
		{"/etc/cron.d/novell.com-smt", confDir + "/novell.com-smt"},
	}
	if machine.MustPart[Spec](m).Schema != "0.09" {
		list = append(list, [2]string{"/etc/apache2/conf.d/smt_support.conf", confDir + "/smt_support.conf"})
	}
	return list
}

// mirrorDirs makes a directory of the tree and gives each new one to SMT.
func mirrorDirs(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := mirrorDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return ownTree(dir)
}

// ownTree gives a file of the tree to SMT.
func ownTree(path string) error {
	if os.Geteuid() != 0 {
		return nil // it is SMT's already
	}
	return machine.Own("smt:www", path)
}
