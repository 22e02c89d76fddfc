package opsi

import (
	"crypto/md5" //nolint:gosec // what opsi uses
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"lifeboat/internal/lab/machine"
)

// content is the files of a product on the depot share, the same at each build.
func (p product) content() []file {
	return []file{
		{"setup.opsiscript", "; installs " + p.name + "\n[Actions]\nrequiredWinstVersion >= \"4.12\"\nDosInAnIcon_setup\n", 0o660, fileOwner},
		{"uninstall.opsiscript", "; removes " + p.name + "\n[Actions]\n", 0o660, fileOwner},
		{"files/" + p.id + " " + p.version + ".msi", strings.Repeat(hostKey(len(p.id)*31+int(p.version[0]))+p.id+"\n", 400), 0o660, fileOwner},
		{"custom/readme.txt", "Hier nichts ändern\n", 0o660, fileOwner},
	}
}

// fileList is a product's list of files with sums: what tells a locally changed
// file.
func fileList(content []file) string {
	var b strings.Builder
	seen := map[string]bool{".": true}
	for _, f := range content {
		if d := filepath.Dir(f.path); !seen[d] {
			seen[d] = true
			fmt.Fprintf(&b, "d '%s' 0\n", d)
		}
		sum := md5.Sum([]byte(f.text)) //nolint:gosec // what opsi uses
		fmt.Fprintf(&b, "f '%s' %d %s\n", f.path, len(f.text), hex.EncodeToString(sum[:]))
	}
	return b.String()
}

// unpack puts what clients get of a product onto the depot share.
func (p product) unpack(content []file) error {
	dir := filepath.Join(depotDir, p.id)
	made := map[string]bool{}
	for _, f := range append(content, file{p.id + ".files", fileList(content), 0o660, fileOwner}) {
		path := filepath.Join(dir, f.path)
		for _, d := range []string{dir, filepath.Dir(path)} {
			if made[d] {
				continue
			}
			if err := makeDirs(fileOwner, 0o2770, d); err != nil {
				return err
			}
			made[d] = true
		}
		if err := put(path, f.text, 0o660, fileOwner); err != nil {
			return err
		}
	}
	return nil
}

// siteProduct is made on this very server: no other repository has it.
const siteProduct = "site-tools"

// shares fills depot, repository, workbench and boot files, with what
// administrators changed there.
func shares(s Spec, data *model) error {
	for _, p := range data.products {
		if err := p.unpack(p.content()); err != nil {
			return err
		}
		if err := p.keep(); err != nil {
			return err
		}
	}
	firefox := filepath.Join(depotDir, "firefox")
	bench := filepath.Join(s.workbench(), siteProduct)
	if err := makeDirs(fileOwner, 0o2770, bench, bench+"/OPSI", bench+"/CLIENT_DATA", logDir, "/var/lib/opsi/public", "/var/lib/opsi/public/boot"); err != nil {
		return err
	}
	files := []file{
		// Two local changes, one local file, and a menu that is not the package's.
		{firefox + "/setup.opsiscript", data.products[1].content()[0].text + "; our proxy\nset $proxy$ = \"proxy.example.com\"\n", 0o660, fileOwner},
		{firefox + "/custom/policies für Köln.json", "{\"policies\": {\"Homepage\": \"https://intranet.example.com\"}}\n", 0o660, fileOwner},
		{filepath.Join(depotDir, "7zip/custom/readme.txt"), "geändert\n", 0o660, fileOwner},
		{tftpDir + "/pxelinux.cfg/default.menu", shippedMenu + "LABEL memtest\n    MENU LABEL Speicher prüfen\n    KERNEL memtest\n", 0o660, fileOwner},
		{tftpDir + "/pxelinux.cfg/01-52-54-00-0a-00-01", "DEFAULT local\nLABEL local\n    LOCALBOOT 0\n", 0o660, fileOwner},
		{bench + "/OPSI/control", data.products[6].control(), 0o660, fileOwner},
		{bench + "/CLIENT_DATA/setup.opsiscript", data.products[6].content()[0].text, 0o660, fileOwner},
		{"/etc/samba/smb.conf", smbConf(s), 0o644, "root:root"},
		{"/var/lib/opsi/public/boot/site splash für Köln.txt", "Willkommen\n", 0o664, fileOwner},
		{"/var/lib/opsi/server_commands_custom.conf", "[{\"id\": \"df\", \"commands\": [\"df -h\"]}]\n", 0o660, adminOwner},
		{"/var/lib/opsiconfd/addons/site/meta.json", "{\"id\": \"site\", \"version\": \"1.0\"}\n", 0o660, adminOwner},
		{logDir + "/opsiconfd/opsiconfd.log", "[5] [2024-05-02 08:00:00.000] opsiconfd started\n", 0o660, fileOwner},
	}
	if err := writeFiles(files); err != nil {
		return err
	}
	return machine.Own(fileOwner, logDir+"/opsiconfd")
}

// smbConf has opsi's shares and one more.
func smbConf(s Spec) string {
	var b strings.Builder
	b.WriteString("[global]\n   workgroup = LAB\n   server role = standalone server\n")
	for _, share := range [][2]string{{"opsi_depot", depotDir}, {"opsi_repository", repositoryDir}, {"opsi_workbench", s.workbench()}, {"scans", "/srv/scans"}} {
		fmt.Fprintf(&b, "\n[%s]\n   path = %s\n   writeable = no\n   invalid users = root\n", share[0], share[1])
	}
	return b.String()
}
