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

// list is a product's list of files with sums: what tells a locally changed file.
func (p product) list() string {
	var b strings.Builder
	b.WriteString("d 'custom' 0\nd 'files' 0\n")
	for _, f := range p.content() {
		sum := md5.Sum([]byte(f.text)) //nolint:gosec // what opsi uses
		fmt.Fprintf(&b, "f '%s' %d %s\n", f.path, len(f.text), hex.EncodeToString(sum[:]))
	}
	return b.String()
}

// unpack puts a product onto the depot share.
func (p product) unpack() error {
	dir := filepath.Join(depotDir, p.id)
	if err := makeDirs(fileOwner, 0o2770, dir, dir+"/files", dir+"/custom"); err != nil {
		return err
	}
	for _, f := range append(p.content(), file{p.id + ".files", p.list(), 0o660, fileOwner}) {
		if err := put(filepath.Join(dir, f.path), f.text, f.mode, f.owner); err != nil {
			return err
		}
	}
	return nil
}

// onDepot are the products that this server's depot holds.
var onDepot = []int{0, 1, 2, 3, 6, 9}

// shares fills depot, repository, workbench and boot files, with what
// administrators changed there.
func shares(s Spec, data *model) error {
	for _, n := range onDepot {
		p := data.products[n]
		if err := p.unpack(); err != nil {
			return err
		}
	}
	firefox := filepath.Join(depotDir, "firefox")
	bench := filepath.Join(s.workbench(), "site-tools")
	if err := makeDirs(fileOwner, 0o2770, bench, bench+"/OPSI", bench+"/CLIENT_DATA", logDir); err != nil {
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
		{logDir + "/opsiconfd/opsiconfd.log", "[5] [2024-05-02 08:00:00.000] opsiconfd started\n", 0o660, fileOwner},
	}
	if err := writeFiles(files); err != nil {
		return err
	}
	return machine.Own(fileOwner, logDir+"/opsiconfd")
}
