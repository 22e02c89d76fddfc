package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// suseCommands and osCommands are doubles of SUSE-like and of all lab systems.
var suseCommands = []string{"/usr/sbin/chkconfig", "/usr/sbin/insserv", "/usr/bin/rpm", "/usr/bin/zypper"}

var osCommands = []string{
	"/usr/bin/systemctl", "/usr/sbin/service",
	"/usr/sbin/reboot", "/usr/sbin/shutdown", "/usr/sbin/poweroff", "/usr/sbin/halt", Home + "/boot", Home + "/halt-system",
}

// InstallSystem makes this root a bare operating system.
func (m *Machine) InstallSystem() error {
	if err := Install(osCommands...); err != nil {
		return err
	}
	if m.debian() {
		return m.installDebian()
	}
	if err := Install(suseCommands...); err != nil {
		return err
	}
	tool := "/usr/sbin/SUSEConnect"
	if m.Line() < 12 {
		tool = "/usr/bin/suse_register"
		if err := absent(os.Remove("/usr/lib/systemd/systemd")); err != nil {
			return err
		}
	}
	if err := Install(tool); err != nil {
		return err
	}
	for _, p := range []string{"/usr/bin/dpkg", "/usr/bin/dpkg-query", "/usr/bin/apt", "/usr/bin/apt-get"} {
		if err := absent(os.Remove(p)); err != nil {
			return err
		}
	}
	for path, text := range m.systemFiles() {
		if err := Write(path, text, 0o644); err != nil {
			return err
		}
	}
	if err := absent(os.Remove("/etc/HOSTNAME")); err != nil {
		return err
	}
	if err := os.Symlink("hostname", "/etc/HOSTNAME"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return m.installBase()
}

func (m *Machine) systemFiles() map[string]string {
	version, pack := m.Spec.Line+".1", "SP1"
	switch m.Line() {
	case 10:
		version, pack = "10.3", "SP3"
	case 12:
		version, pack = "12.5", "SP5"
	}
	short, _, _ := strings.Cut(m.Spec.Hostname, ".")
	address, _, _ := strings.Cut(m.Spec.Address, "/")
	_, domain, _ := strings.Cut(m.Spec.Hostname, ".")
	return map[string]string{
		"/etc/os-release": fmt.Sprintf("NAME=\"SLES\"\nVERSION=\"%s-%s\"\nVERSION_ID=\"%s\"\nPRETTY_NAME=\"SUSE Linux Enterprise Server %s %s\"\nID=\"sles\"\nANSI_COLOR=\"0;32\"\nCPE_NAME=\"cpe:/o:suse:sles:%s:%s\"\n",
			m.Spec.Line, pack, version, m.Spec.Line, pack, m.Spec.Line, strings.ToLower(pack)),
		"/etc/SuSE-release": fmt.Sprintf("SUSE Linux Enterprise Server %s (x86_64)\nVERSION = %s\nPATCHLEVEL = %s\n",
			m.Spec.Line, m.Spec.Line, strings.TrimPrefix(pack, "SP")),
		"/etc/hosts": fmt.Sprintf("127.0.0.1\tlocalhost\n::1\tlocalhost ipv6-localhost ipv6-loopback\n%s\t%s %s\n",
			address, m.Spec.Hostname, short),
		"/etc/resolv.conf": fmt.Sprintf("search %s\nnameserver %s\n", domain, m.Spec.DNS),
		"/etc/sysconfig/network/ifcfg-eth0": fmt.Sprintf("BOOTPROTO='static'\nSTARTMODE='auto'\nIPADDR='%s'\nLLADDR='%s'\nNAME='lab interface'\n",
			m.Spec.Address, m.Spec.MAC),
		"/etc/sysconfig/network/ifcfg-lo": "IPADDR=127.0.0.1/8\nSTARTMODE=nfsroot\nBOOTPROTO=static\n",
		"/etc/sysconfig/network/routes":   fmt.Sprintf("default %s - -\n", m.Spec.Gateway),
		"/etc/sysconfig/network/config": fmt.Sprintf("NETCONFIG_DNS_POLICY=\"auto\"\nNETCONFIG_DNS_STATIC_SEARCHLIST=\"%s\"\nNETCONFIG_DNS_STATIC_SERVERS=\"%s\"\n",
			domain, m.Spec.DNS),
		"/etc/sysconfig/proxy":                 "PROXY_ENABLED=\"no\"\nHTTP_PROXY=\"\"\nHTTPS_PROXY=\"\"\nNO_PROXY=\"localhost, 127.0.0.1\"\n",
		"/etc/mysql/mariadb.conf.d/99-lab.cnf": m.mysqlConfig(),
	}
}

// installBase puts the packages of a bare operating system on file and offers
// their updates.
func (m *Machine) installBase() error {
	for _, p := range m.basePackages() {
		if err := m.Add(p); err != nil {
			return err
		}
	}
	if err := m.InstallUnit(cronUnit()); err != nil {
		return err
	}
	u, err := m.Unit("cron")
	if err != nil {
		return err
	}
	return m.Enable(u, true)
}

func (m *Machine) basePackages() []Package {
	if m.debian() {
		return debianPackages()
	}
	return []Package{
		{Name: "sles-release", Version: m.Spec.Line, Release: "1.1", Arch: "x86_64", Summary: "SUSE Linux Enterprise Server"},
		{Name: "kernel-default", Version: "3.12.49", Release: "11.1", Arch: "x86_64", Summary: "The Standard Kernel"},
		{Name: "zypper", Version: "1.13.64", Release: "21.46.2", Arch: "x86_64", Summary: "Command line software manager"},
		{Name: "yast2", Version: "3.2.50", Release: "1.1", Arch: "x86_64", Summary: "YaST2 - Main Package"},
	}
}

// offerBase offers what zypper up brings to the operating system and the
// database server, which comes with the first product that needs it.
func (m *Machine) offerBase() {
	mysql := Package{
		Name: "mariadb", Version: "10.2.44", Release: "3.45.1", Arch: "x86_64", Summary: "Server part of MariaDB",
		Finish: func(m *Machine) error {
			u := m.mysqlUnit()
			return m.InstallUnit(u)
		},
	}
	switch {
	case m.debian():
		mysql.Name, mysql.Version, mysql.Release, mysql.Arch = "mariadb-server", "1:10.11.6", "0+deb12u1", "amd64"
		m.Offer(mysql)
		return
	case m.Line() < 12:
		mysql.Name, mysql.Version, mysql.Release = "mysql", "5.0.96", "0.6.1"
	}
	m.Offer(mysql, Package{
		Name: "kernel-default", Version: "3.12.74", Release: "60.64.40.1", Arch: "x86_64", Summary: "The Standard Kernel",
	})
}

// DatabasePackage is the name of the line's database server package.
func (m *Machine) DatabasePackage() string {
	switch {
	case m.debian():
		return "mariadb-server"
	case m.Line() < 12:
		return "mysql"
	}
	return "mariadb"
}
