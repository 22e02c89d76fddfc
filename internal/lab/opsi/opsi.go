// Package opsi is the client management server opsi as the lab plays it: a
// configuration server with its file backend or database or both, its files,
// certificates, depot and DHCP configuration, and doubles of its commands. The
// database definition and all data are the lab's own; names, columns, paths,
// words and exit codes are opsi's, as far as they matter to a backup or a
// recovery. It runs inside a lab system only.
package opsi

import (
	"fmt"
	"os"
	"strings"

	"lifeboat/internal/lab/machine"
)

// Variants of a server.
const (
	File   = "file"   // opsi 4.2, all objects in the file backend, old paths
	Hybrid = "hybrid" // opsi 4.2, file backend, MySQL and DHCP
	MySQL  = "mysql"  // opsi 4.3, MySQL only
)

// Spec is opsi's part of a lab system.
type Spec struct {
	Variant  string
	Version  string // of the packages
	Password string // of the database user on a full server
	Large    bool   // 400 clients
	Update   string // version of firefox that its repository has; "" is the installed one
	UID, GID int    // of opsiconfd and of opsifileadmins; others follow
}

// Names of the product.
const (
	confDir       = "/etc/opsi"
	backendsDir   = confDir + "/backends"
	hostKeyFile   = confDir + "/pckeys"
	mysqlConf     = backendsDir + "/mysql.conf"
	caCert        = confDir + "/ssl/opsi-ca-cert.pem"
	caKey         = confDir + "/ssl/opsi-ca-key.pem"
	serverCert    = confDir + "/ssl/opsiconfd-cert.pem"
	serverKey     = confDir + "/ssl/opsiconfd-key.pem"
	baseDir       = "/var/lib/opsi/config"
	depotDir      = "/var/lib/opsi/depot"
	repositoryDir = "/var/lib/opsi/repository"
	tftpDir       = "/tftpboot/linux"
	dhcpdConf     = "/etc/dhcp/dhcpd.conf"
	logDir        = "/var/log/opsi"
	runDir        = "/run/opsiconfd"
	databaseName  = "opsi"
	fileOwner     = "opsiconfd:opsifileadmins"
	adminOwner    = "opsiconfd:opsiadmin"
)

// Commands are what the package of tools brings.
var Commands = []string{"/usr/bin/opsi-set-rights", "/usr/bin/opsi-package-manager", "/usr/bin/opsi-package-updater"}

// Plug adds opsi's packages, units and doubles to a machine.
func Plug(m *machine.Machine) error {
	spec, err := machine.Part[Spec](m)
	if err != nil {
		return err
	}
	m.AddUnits(opsiconfdUnit(), opsipxeconfdUnit(), dhcpdUnit())
	m.Offer(spec.packages()...)
	for name, d := range map[string]machine.Double{
		"opsiconfd": opsiconfd, "opsi-setup": opsiSetup, "opsi-set-rights": setRightsCommand,
		"opsi-package-manager": manager, "opsi-package-updater": updater,
		"opsiconfd-daemon": daemon, "client-refresh": clientRefresh, "setup-opsi": setup, "install-opsi": install,
	} {
		m.Doubles[name] = d
	}
	for _, name := range []string{"opsiconfd-daemon", "setup-opsi", "install-opsi"} {
		m.Unlogged[name] = true
	}
	return nil
}

func (s Spec) usesFile() bool  { return s.Variant != MySQL }
func (s Spec) usesMySQL() bool { return s.Variant != File }
func (s Spec) usesDHCP() bool  { return s.Variant == Hybrid }

// workbench is where packages are made; long ago that was another directory.
func (s Spec) workbench() string {
	if s.Variant == File {
		return "/home/opsiproducts"
	}
	return "/var/lib/opsi/workbench"
}

// short is the first label of the host name. By its default it is a part of the
// names of shares, too: opsi in smb://opsi/opsi_depot.
func short(hostname string) string {
	name, _, _ := strings.Cut(hostname, ".")
	return name
}

// quiet runs a double without its output and without a log line: building a
// system is not part of its story.
func quiet(m *machine.Machine, name string, args ...string) error {
	var out strings.Builder
	c := &machine.Call{Name: name, Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
	if code := m.Doubles[name](m, c); code != 0 {
		return fmt.Errorf("%s: exit code %d: %s", name, code, out.String())
	}
	return nil
}

// put writes a file of opsi's with an owner.
func put(path, text string, mode os.FileMode, owner string) error {
	if err := machine.Write(path, text, mode); err != nil {
		return err
	}
	return machine.Own(owner, path)
}

// makeDirs makes a directory with an owner, whatever umask is set.
func makeDirs(owner string, mode os.FileMode, dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := machine.Own(owner, dir); err != nil {
			return err
		}
		if err := chmod(dir, mode); err != nil { // after the owner, whose change takes the group's bit away
			return err
		}
	}
	return nil
}
