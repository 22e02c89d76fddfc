// Package smt is SUSE's Subscription Management Tool as the lab plays it: a
// server with its database, files, certificates and package repositories, and
// doubles of its commands. The database definition and all data are the lab's
// own; names, columns, paths, words and exit codes are SMT's, as far as they
// matter to a backup or a recovery. It runs inside a lab system only.
package smt

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"

	"lifeboat/internal/lab/machine"
)

// Spec is SMT's part of a lab system.
type Spec struct {
	Schema  string // schema version of the package: 0.09, 0.14 or 3.09
	Version string // package version
	// UpdateVersion and UpdateSchema are what zypper up brings; "" is no update.
	UpdateVersion, UpdateSchema string
	Password                    string // of the database user smt on a full server
	UID, WWWUID, WWWGID         int    // of users smt and wwwrun and group www
	MirrorTo                    string
	CAPassword                  string // opens the CA's and the server's key
	Local                       bool   // an administrator's view, trigger, routine and event
	OldScript                   bool   // the article's own backup script with a password
	MirrorTime                  string // how long smt-mirror takes, as a Go duration
}

// Names of the product.
const (
	Config       = "/etc/smt.conf"
	confDir      = "/etc/smt.d"
	caDir        = "/var/lib/CAM/YaST_Default_CA"
	serverCert   = "/etc/ssl/servercerts/servercert.pem"
	serverKey    = "/etc/ssl/servercerts/serverkey.pem"
	docRoot      = "/srv/www/htdocs"
	publishedCA  = docRoot + "/smt.crt"
	databaseName = "smt"
	binDir       = "/usr/lib/SMT/bin"
	module       = "/usr/lib/perl5/vendor_perl/5.18.2/SMT.pm"
	runDir       = "/var/run/smt"
	logDir       = "/var/log/smt"
)

// Plug adds SMT's packages, units and doubles to a machine.
func Plug(m *machine.Machine) error {
	spec, err := machine.Part[Spec](m)
	if err != nil {
		return err
	}
	m.AddUnits(apacheUnit(), smtUnit(), upgradeUnit(), targetUnit())
	m.Offer(spec.packages(m)...)
	for name, d := range map[string]machine.Double{
		"rcsmt": rcsmt, "smt": rcsmtOrTool, "smt-db": smtDB, "smt-schema-upgrade": schemaUpgrade,
		"smt-ncc-sync": sync, "smt-scc-sync": sync, "smt-sync": sync,
		"smt-catalogs": catalogs, "smt-repos": catalogs, "smt-list-registrations": registrations, "smt-job": jobs,
		"smt-mirror": mirror, "yast2": yast, "yast2-smt-wizard": wizard, "yast-ca-export": caExport,
		"httpd2-prefork": httpd, "rcapache2": rcApache, "apache2": rcApache, "client-refresh": clientRefresh, "setup-smt": setup,
	} {
		m.Doubles[name] = d
	}
	m.Unlogged["httpd2-prefork"], m.Unlogged["setup-smt"] = true, true
	return nil
}

// SystemCommands are doubles of the operating system that know SMT's modules.
var SystemCommands = []string{"/usr/sbin/yast2", "/usr/sbin/yast-ca-export"}

// legacy lines have init scripts, NCC and MyISAM.
func legacy(m *machine.Machine) bool { return m.Line() < 12 }

// settings is smt.conf: sections of raw values. Like Config::IniFiles it takes
// a value as it stands up to the end of the line: quotes, # and ; are part of it.
type settings map[string]map[string]string

func readSettings() (settings, error) {
	raw, err := os.ReadFile(Config)
	if err != nil {
		return nil, err
	}
	s, section := settings{}, ""
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			s[section] = map[string]string{}
		default:
			if key, value, ok := strings.Cut(line, "="); ok && s[section] != nil {
				s[section][strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return s, lines.Err()
}

// mirrorTo is the configured MirrorTo.
func (s settings) mirrorTo() string {
	if v := s["LOCAL"]["MirrorTo"]; v != "" {
		return v
	}
	return docRoot
}

// text renders smt.conf.
func confText(m *machine.Machine, s Spec, password, nuUser, nuPass string) string {
	host, center := "https://nu.novell.com/", "https://secure-www.novell.com/center/regsvc/"
	if !legacy(m) {
		host, center = "https://updates.suse.com/", "https://scc.suse.com/connect"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[NU]\nNUUrl=%s\nNURegUrl=%s\nNUUser=%s\nNUPass=%s\n\n", host, center, nuUser, nuPass)
	fmt.Fprintf(&b, "[DB]\nconfig=dbi:mysql:database=smt;host=localhost\nuser=smt\npass=%s\n\n", password)
	fmt.Fprintf(&b, "[LOCAL]\nurl=https://%s/\nnccEmail=admin@example.com\n# where the packages go\nMirrorTo=%s\nMirrorAll=false\nMirrorSRC=false\n", m.Spec.Hostname, s.MirrorTo)
	b.WriteString("forwardRegistration=true\nrndRegister=127\nrequiredAuthType=none\nsigningKeyID=\nHTTPProxy=\nHTTPSProxy=\n")
	if s.Schema != "0.09" {
		b.WriteString("smtUser=smt\n\n[JOBQUEUE]\nmaxFinishedJobAge=8\njobStatusIsSuccess=1,4\n")
	}
	b.WriteString("\n[REST]\nenableRESTAdminAccess=0\nRESTAdminUser=RESTroot\nRESTAdminPassword=\n")
	b.WriteString("\n[REPORT]\nreportEmail=root\nreportEmailFrom=root@localhost\nmailServer=\n")
	return b.String()
}
