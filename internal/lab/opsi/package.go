package opsi

import (
	"strings"

	"lifeboat/internal/lab/machine"
)

// accounts makes opsi's users and groups. opsiconfd is in both groups.
func (s Spec) accounts(*machine.Machine) error {
	for name, gid := range map[string]int{"opsifileadmins": s.GID, "opsiadmin": s.GID + 1} {
		if err := machine.AddGroup(name, gid); err != nil {
			return err
		}
	}
	if err := machine.AddUser("opsiconfd", s.UID, "opsiadmin", "/var/lib/opsi", "/bin/bash"); err != nil {
		return err
	}
	if err := machine.AddMember("opsifileadmins", "opsiconfd"); err != nil {
		return err
	}
	return machine.AddUser("pcpatch", s.UID+1, "opsifileadmins", "/var/lib/opsi", "/bin/false")
}

// packages are opsi's own and the DHCP server. They come set up, as Debian's do:
// what the last one needs is there when its setup runs.
func (s Spec) packages() []machine.Package {
	version, release, _ := strings.Cut(s.Version, "-")
	if release == "" {
		release = "1"
	}
	deb := func(name, summary string, needs ...string) machine.Package {
		return machine.Package{Name: name, Version: version, Release: release, Arch: "amd64", Summary: summary, Needs: needs, Setup: s.accounts}
	}
	dhcp := machine.Package{
		Name: "isc-dhcp-server", Version: "4.4.3-P1", Release: "2", Arch: "amd64", Summary: "ISC DHCP server for automatic IP address assignment",
		Files: []machine.PackageFile{
			{Path: dhcpdConf, Text: "# a sample\noption domain-name \"example.org\";\ndefault-lease-time 600;\n", Mode: 0o644, Config: true},
			{Path: "/etc/default/isc-dhcp-server", Text: "INTERFACESv4=\"eth0\"\n", Mode: 0o644, Config: true},
			{Path: "/var/lib/dhcp", Dir: true, Mode: 0o755},
		},
		Finish: installUnit(dhcpdUnit),
	}
	opsiconfd := deb("opsiconfd", "opsi configuration service")
	if s.usesMySQL() {
		opsiconfd.Needs = append(opsiconfd.Needs, "mariadb-server")
	}
	opsiconfd.Files = []machine.PackageFile{
		{Path: confDir, Dir: true, Mode: 0o755, Owner: adminOwner},
		{Path: confDir + "/backendManager", Dir: true, Mode: 0o770, Owner: adminOwner},
		{Path: backendsDir, Dir: true, Mode: 0o770, Owner: adminOwner},
		{Path: "/var/lib/opsi", Dir: true, Mode: 0o750, Owner: fileOwner},
		{Path: logDir, Dir: true, Mode: 0o770, Owner: adminOwner},
		{Path: "/usr/bin/opsiconfd", Double: true},
		{Path: "/usr/bin/opsi-setup", Double: true},
	}
	opsiconfd.Finish = installUnit(opsiconfdUnit)
	pxe := deb("opsipxeconfd", "opsi PXE configuration service", "opsiconfd")
	pxe.Files = []machine.PackageFile{
		{Path: confDir + "/opsipxeconfd.conf", Text: "pxe config dir = " + tftpDir + "/pxelinux.cfg\nlog level = 4\n", Mode: 0o644, Config: true},
	}
	pxe.Finish = installUnit(opsipxeconfdUnit)
	utils := deb("opsi-utils", "opsi tools", "opsiconfd")
	utils.Files = []machine.PackageFile{
		{Path: confDir + "/opsi-package-updater.conf", Text: "[general]\npackageDir = " + repositoryDir + "\nlogFile = " + logDir + "/opsi-package-updater.log\ntempdir = /tmp\n", Mode: 0o660, Owner: adminOwner, Config: true},
		{Path: confDir + "/package-updater.repos.d", Dir: true, Mode: 0o770, Owner: adminOwner},
		{Path: confDir + "/package-updater.repos.d/uib-windows.repo", Text: "[repository_uib_windows]\nactive = true\nbaseUrl = https://opsipackages.43.opsi.org/stable\ndirs = windows/localboot/, windows/netboot/\nautoInstall = false\nautoUpdate = true\n", Mode: 0o660, Owner: adminOwner, Config: true},
	}
	for _, command := range Commands {
		utils.Files = append(utils.Files, machine.PackageFile{Path: command, Double: true})
	}
	boot := deb("opsi-linux-bootimage", "opsi bootimage", "opsiconfd")
	boot.Files = []machine.PackageFile{
		{Path: tftpDir, Dir: true, Mode: 0o770, Owner: fileOwner},
		{Path: tftpDir + "/pxelinux.0", Text: strings.Repeat("pxelinux of the lab\n", 2000), Mode: 0o660, Owner: fileOwner},
		{Path: tftpDir + "/install-x64", Text: strings.Repeat("bootimage of the lab\n", 10000), Mode: 0o660, Owner: fileOwner},
		{Path: tftpDir + "/pxelinux.cfg", Dir: true, Mode: 0o770, Owner: fileOwner},
		{Path: tftpDir + "/pxelinux.cfg/default.menu", Text: shippedMenu, Mode: 0o660, Owner: fileOwner, Config: true},
		{Path: tftpDir + "/pxelinux.cfg/install-x64", Text: "default opsi-install-x64\nlabel opsi-install-x64\nkernel install-x64\nappend initrd=miniroot-x64.bz2 quiet\n", Mode: 0o660, Owner: fileOwner},
	}
	server := deb("opsi-server", "opsi server with all it needs", "opsiconfd", "opsi-utils", "opsipxeconfd", "opsi-linux-bootimage")
	if s.usesDHCP() {
		server.Needs = append(server.Needs, "isc-dhcp-server")
	}
	server.Setup, server.Finish = nil, setUp
	return []machine.Package{dhcp, opsiconfd, pxe, utils, boot, server}
}

const shippedMenu = "PROMPT 0\nTIMEOUT 50\nDEFAULT local\nLABEL local\n    MENU LABEL Start from hard disk\n    LOCALBOOT 0\n"

func installUnit(u func() *machine.Unit) func(*machine.Machine) error {
	return func(m *machine.Machine) error { return m.InstallUnit(u()) }
}
