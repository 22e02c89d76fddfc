package sles

import (
	"path"
	"strings"
)

// busybox is the machine's, from Debian's busybox-static: scriptlets need a
// shell in the root that has no libraries.
const busybox = "/bin/busybox"

// applets are the commands that scriptlets may use.
var applets = []string{"sh", "cat", "chmod", "cp", "echo", "false", "grep", "id", "ln", "ls", "mkdir", "mv", "rm", "sed", "sleep", "stat", "sync", "test", "touch", "true", "uname"}

// pick chooses by release: 11 SP2, 11 SP3, 12, 12 SP1.
func (r release) pick(values ...string) string {
	for i, v := range []string{SLES11SP2, SLES11SP3, SLES12, SLES12SP1} {
		if v == r.version {
			return values[i]
		}
	}
	return ""
}

func (r release) is12() bool { return r.major() == "12" }

// first are the packages that a release came out with. Versions are about those
// of the real ones; contents are stand-ins.
func (r release) first() []pack {
	packs := []pack{
		r.filesystem(), r.bash(), r.releasePackage(), r.kernel(),
		r.apache2(r.pick("2.2.12-1.28.1", "2.2.12-1.38.2", "2.4.10-5.1", "2.4.16-5.1")),
		r.openssh(r.pick("5.1p1-41.51.1", "5.1p1-41.55.36", "6.6p1-4.7", "6.6p1-29.1")),
		r.postgresql(), r.database(), r.icu(),
	}
	if !r.is12() {
		return append(packs,
			library("libopenssl0_9_8", "0.9.8j", r.pick("0.26.1", "0.50.1"), "libssl.so.0.9.8"),
			pack{name: "kdm", version: "4.3.5", release: r.pick("0.3.1", "0.12.18.1"), requires: []string{"kdebase4-session"}, files: []file{program("/usr/bin/kdm")}},
			pack{name: "kdebase4-session", version: "4.3.5", release: r.pick("0.2.1", "0.12.18.1"), files: []file{program("/usr/bin/startkde")}},
			pack{
				name: "yast2-wagon", version: r.pick("2.17.32.1", "2.17.38"), release: "0.5.1",
				files: []file{
					text("/usr/share/YaST2/clients/wagon.ycp", "// wagon of the lab\n"),
					dir("/var/lib/YaST2/wagon"), dir("/var/lib/YaST2/wagon/hooks"),
				},
			},
			pack{name: "compat", version: "2009.1.19", release: r.pick("2.1", "2.7"), files: []file{text("/usr/lib64/libold.so.5", "compat\n")}},
			pack{name: "grub", version: "0.97", release: r.pick("162.160.1", "162.172.1"), files: []file{program("/usr/sbin/grub"), program("/usr/sbin/grubonce")}},
		)
	}
	return append(packs,
		obsoleting(library("libopenssl1_0_0", "1.0.1i", r.pick("", "", "5.1", "34.1"), "libssl.so.1.0.0"), "libopenssl0_9_8"),
		obsoleting(pack{name: "gdm", version: r.pick("", "", "3.10.0.1", "3.10.0.1"), release: r.pick("", "", "13.1", "29.2"), requires: []string{"gnome-session"}, files: []file{program("/usr/sbin/gdm")}}, "kdm"),
		obsoleting(pack{name: "gnome-session", version: "3.10.1", release: r.pick("", "", "8.1", "13.2"), files: []file{program("/usr/bin/gnome-session")}}, "kdebase4-session"),
		obsoleting(pack{name: "zypper-migration-plugin", version: r.pick("", "", "0.1", "0.4"), release: "1.1", files: []file{program("/usr/lib/zypper/commands/zypper-migration")}}, "yast2-wagon"),
		obsoleting(pack{name: "grub2", version: "2.02~beta2", release: r.pick("", "", "56.9", "73.3"), files: []file{program("/usr/sbin/grub2-mkconfig"), program("/usr/sbin/grub2-once"), program("/usr/bin/grub2-editenv"), dir("/boot/grub2")}}, "grub"),
	)
}

func obsoleting(p pack, old ...string) pack {
	p.obsoletes = append(p.obsoletes, old...)
	return p
}

func (r release) filesystem() pack {
	p := pack{name: "filesystem", version: r.pick("11", "11", "13.1", "13.1"), release: r.pick("1.13.1", "1.14.1", "8.1", "12.1")}
	for _, d := range strings.Fields(`/bin /boot /dev /etc /etc/sysconfig /etc/zypp /etc/zypp/repos.d /home /lib64 /media /mnt /opt /proc /run /sbin /srv /sys
		/usr /usr/bin /usr/lib /usr/lib64 /usr/sbin /usr/share /usr/share/doc /usr/share/doc/packages /var /var/adm /var/cache /var/lib /var/log /var/run /var/spool`) {
		p.files = append(p.files, dir(d))
	}
	for _, d := range []string{"/tmp", "/var/tmp"} {
		p.files = append(p.files, file{path: d, dir: true, mode: 0o1777})
	}
	p.files = append(p.files, file{path: "/root", dir: true, mode: 0o700})
	return p
}

func (r release) bash() pack {
	p := pack{
		name: "bash", version: r.pick("3.2", "3.2", "4.2", "4.2"), release: r.pick("147.3", "147.14.20.1", "75.2", "81.1"),
		requires: []string{"filesystem"}, provides: []string{"/bin/sh"},
		files: []file{{path: "/bin/busybox", host: busybox, mode: 0o755}},
	}
	for _, a := range applets {
		p.files = append(p.files, file{path: path.Join("/bin", a), link: "busybox"})
	}
	return p
}

func (r release) kernel() pack {
	version, rel := r.pick("3.0.13", "3.0.76", "3.12.28", "3.12.49"), r.pick("0.27.1", "0.11.1", "4.6", "11.1")
	full := version + "-" + rel + "-default"
	menu := "true"
	if r.version == SLES11SP3 { // as perl-Bootloader does it
		menu = "test ! -e /boot/grub/menu.lst || sed -i -e 's,/vmlinuz-[^ ]*-default,/vmlinuz-" + full + ",' -e 's,/initrd-[^ ]*-default,/initrd-" + full + ",' /boot/grub/menu.lst"
	}
	return pack{
		name: "kernel-default", version: version, release: rel, provides: []string{"kernel = " + version + "-" + rel},
		files: []file{
			text("/boot/vmlinuz-"+full, "a kernel of the lab, "+full+"\n"),
			text("/boot/initrd-"+full, "an initial RAM disk of the lab, "+full+"\n"),
		},
		post: script("ln -sfn vmlinuz-"+full+" /boot/vmlinuz", "ln -sfn initrd-"+full+" /boot/initrd", menu, "exit 0"),
	}
}

func (r release) apache2(edition string, changes ...change) pack {
	version, rel, _ := strings.Cut(edition, "-")
	return pack{
		name: "apache2", version: version, release: rel, changes: changes,
		requires: []string{r.releasePackage().name, r.pick("libssl.so.0.9.8", "libssl.so.0.9.8", "libssl.so.1.0.0", "libssl.so.1.0.0") + "()(64bit)"},
		files: []file{
			{path: "/etc/apache2/httpd.conf", config: true, content: "# httpd.conf of Apache " + version + "\nTimeout 300\n"},
			program(r.pick("/usr/sbin/httpd2", "/usr/sbin/httpd2", "/usr/sbin/httpd", "/usr/sbin/httpd")),
			text("/usr/share/doc/packages/apache2/README.SUSE", "Fixes are backported: the version stays "+version+".\n"),
			dir("/srv/www"), dir("/srv/www/htdocs"), dir("/var/log/apache2"),
		},
	}
}

func (r release) openssh(edition string, changes ...change) pack {
	version, rel, _ := strings.Cut(edition, "-")
	return pack{
		name: "openssh", version: version, release: rel, changes: changes,
		files: []file{
			{path: "/etc/ssh/sshd_config", config: true, mode: 0o640, content: "# OpenSSH " + version + "\nPermitRootLogin yes\n"},
			program("/usr/sbin/sshd"),
		},
	}
}

func (r release) postgresql() pack {
	name := r.pick("postgresql91", "postgresql91", "postgresql93", "postgresql94")
	p := pack{
		name: name, version: r.pick("9.1.3", "9.1.9", "9.3.5", "9.4.4"), release: r.pick("0.2.1", "0.3.1", "2.8", "1.5"),
		files: []file{program("/usr/lib/" + name + "/bin/postgres")},
	}
	if old := r.pick("", "", "postgresql91", "postgresql93"); old != "" {
		return obsoleting(p, old)
	}
	return p
}

func (r release) database() pack {
	p := pack{
		name: r.pick("mysql", "mysql", "mariadb", "mariadb"), version: r.pick("5.0.94", "5.5.31", "10.0.11", "10.0.21"), release: r.pick("0.2.4", "0.7.1", "6.2", "1.15"),
		files: []file{{path: "/etc/my.cnf", config: true, content: "[mysqld]\n# " + r.pick("5.0", "5.5", "10.0", "10.0") + "\n"}, program("/usr/sbin/mysqld")},
	}
	if r.is12() {
		p.provides = []string{"mysql = 5.6.99"}
		return obsoleting(p, "mysql")
	}
	return p
}

// icu is the library that each release drops in favour of another: what was
// built for it elsewhere must go.
func (r release) icu() pack {
	p := library(r.pick("libicu", "libicu46", "libicu52_1", "libicu55"), r.pick("4.0", "4.6", "52.1", "55.1"), r.pick("7.24", "1.1", "3.1", "2.1"), r.icuName())
	if old := r.pick("", "libicu", "libicu46", "libicu52_1"); old != "" {
		return obsoleting(p, old)
	}
	return p
}

func (r release) icuName() string {
	return r.pick("libicui18n.so.40", "libicui18n.so.46", "libicui18n.so.52.1", "libicui18n.so.55")
}

// foreign are packages of another vendor. acme-backup goes with the release's
// libicu, acme-agent needs nothing.
func (r release) foreign() []pack {
	return []pack{
		{name: "acme-backup", version: "7.1", release: r.major() + "." + r.patch(), vendor: acme, requires: []string{r.icuName() + "()(64bit)"}, files: []file{program("/opt/acme/bin/backup")}},
		{name: "acme-agent", version: "2.0", release: "1", vendor: acme, files: []file{program("/opt/acme/bin/agent")}},
	}
}
