package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// installDebian makes this root a bare Debian-like operating system.
func (m *Machine) installDebian() error {
	if err := Install("/usr/bin/apt-get", "/usr/bin/apt"); err != nil {
		return err
	}
	// The unit files of this very machine's packages are not the lab's.
	for _, u := range m.units {
		if err := absent(os.Remove(filepath.Join(libDir, u.Full()))); err != nil {
			return err
		}
	}
	short, domain, _ := strings.Cut(m.Spec.Hostname, ".")
	address, _, _ := strings.Cut(m.Spec.Address, "/")
	for path, text := range map[string]string{
		"/etc/os-release": fmt.Sprintf("PRETTY_NAME=\"Debian GNU/Linux %s (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"%s\"\nVERSION=\"%s (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
			m.Spec.Line, m.Spec.Line, m.Spec.Line),
		"/etc/debian_version": m.Spec.Line + ".5\n",
		"/etc/hosts":          fmt.Sprintf("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s %s\n", address, m.Spec.Hostname, short),
		"/etc/resolv.conf":    fmt.Sprintf("search %s\nnameserver %s\n", domain, m.Spec.DNS),
		"/etc/network/interfaces": fmt.Sprintf("auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet static\n\taddress %s\n\tgateway %s\n\tdns-nameservers %s\n",
			m.Spec.Address, m.Spec.Gateway, m.Spec.DNS),
		"/etc/apt/sources.list":                "deb http://deb.debian.org/debian bookworm main\n",
		"/etc/mysql/mariadb.conf.d/99-lab.cnf": m.mysqlConfig(),
		dpkgStatus:                             "",
		dpkgDir + "/available":                 "",
		dpkgDir + "/info/format":               "1\n",
	} {
		if err := Write(path, text, 0o644); err != nil {
			return err
		}
	}
	for _, dir := range []string{dpkgDir + "/updates", "/etc/apt/sources.list.d"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return m.installBase()
}

func debianPackages() []Package {
	return []Package{
		{Name: "base-files", Version: "12.4+deb12u5", Arch: "amd64", Summary: "Debian base system miscellaneous files"},
		{Name: "linux-image-amd64", Version: "6.1.76", Release: "1", Arch: "amd64", Summary: "Linux for 64-bit PCs (meta-package)"},
		{Name: "apt", Version: "2.6.1", Arch: "amd64", Summary: "commandline package manager"},
	}
}

// interfaces applies the static addresses of interfaces(5).
func interfaces(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return absent(err)
	}
	name := ""
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 4 && f[0] == "iface":
			name = ""
			if f[3] == "static" && Exists("/sys/class/net/"+f[1]) {
				name = f[1]
			}
		case len(f) != 2 || name == "":
		case f[0] == "address":
			if err := ip("address", "replace", f[1], "dev", name); err != nil {
				return err
			}
			if err := ip("link", "set", name, "up"); err != nil {
				return err
			}
		case f[0] == "gateway":
			if err := ip("route", "replace", "default", "via", f[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// aptFailed is apt-get's exit code for every error, apt-get(8).
const aptFailed = 100

// apt is a double for update, install and upgrade. It installs from what the
// lab's update source offers once a source is configured.
func apt(m *Machine, c *Call) int {
	var words []string
	for _, a := range c.Args {
		if !strings.HasPrefix(a, "-") {
			words = append(words, a)
		}
	}
	if len(words) == 0 {
		return c.Fail(aptFailed, "E: no command given")
	}
	sources, err := filepath.Glob("/etc/apt/sources.list.d/*.list")
	if err != nil {
		return c.Fail(aptFailed, "E: %v", err)
	}
	switch verb, names := words[0], words[1:]; verb {
	case "update":
		c.Printf("Reading package lists... Done\n")
	case "install":
		for _, name := range names {
			if code := m.aptInstall(c, name, len(sources) > 0); code != 0 {
				return code
			}
		}
	case "upgrade", "dist-upgrade", "full-upgrade":
		newer := m.updates(nil)
		c.Printf("%d upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n", len(newer))
		for _, p := range newer {
			if code := m.aptAdd(c, p); code != 0 {
				return code
			}
		}
	default:
		return c.Fail(aptFailed, "E: Invalid operation %s", verb)
	}
	return 0
}

func (m *Machine) aptInstall(c *Call, name string, offered bool) int {
	i := slices.IndexFunc(m.packages, func(p Package) bool { return p.Name == name })
	if now, err := InstalledPackage(name); err == nil {
		c.Printf("%s is already the newest version (%s).\n", name, now.debVersion())
		return 0
	}
	if i < 0 || !offered {
		return c.Fail(aptFailed, "E: Unable to locate package %s", name)
	}
	for _, need := range m.packages[i].Needs {
		if code := m.aptInstall(c, need, offered); code != 0 {
			return code
		}
	}
	return m.aptAdd(c, m.packages[i])
}

func (m *Machine) aptAdd(c *Call, p Package) int {
	c.Printf("Setting up %s (%s) ...\n", p.Name, p.debVersion())
	if err := m.Add(p); err != nil {
		return c.Fail(aptFailed, "E: %v", err)
	}
	return 0
}
