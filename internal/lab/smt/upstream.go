package smt

import (
	"crypto/sha1" //nolint:gosec // the format of that time
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path"
	"time"

	"lifeboat/internal/lab/machine"
)

// What the customer center and its package servers hold. It is a function of
// the line alone, so a lost server can mirror the same bytes again.

type product struct {
	id                              int
	name, version, rel, arch, class string
}

type catalog struct {
	id                                                 int // row id where the schema has one
	name, target, path, description, kind, source, url string
	mirrored, mirrorable                               bool
	products                                           []int // indexes
	packages                                           []pkg
}

type pkg struct {
	name, version, release, arch string
	size                         int
}

func (p pkg) file() string {
	return fmt.Sprintf("%s-%s-%s.%s.rpm", p.name, p.version, p.release, p.arch)
}

// location is the path below a repository.
func (p pkg) location() string { return path.Join("rpm", p.arch, p.file()) }

// content is the package's bytes: the magic of an RPM lead and noise. They
// depend on the file name only, so the same package in two repositories is the same.
func (p pkg) content() []byte {
	seed := sha256.Sum256([]byte(p.file()))
	b := make([]byte, p.size)
	r := rand.NewChaCha8(seed)
	_, _ = r.Read(b)
	copy(b, "\xed\xab\xee\xdb\x03\x00\x00\x00")
	copy(b[8:], p.name)
	return b
}

// built is when the server says the file was made.
func built(name string) time.Time {
	sum := sha256.Sum256([]byte(name))
	days := binary.BigEndian.Uint16(sum[:]) % 2500
	seconds := binary.BigEndian.Uint16(sum[2:])
	return time.Date(2009, 3, 1, 4, 5, 6, 0, time.UTC).AddDate(0, 0, int(days)).Add(time.Duration(seconds) * time.Second)
}

func catalogID(name, target string) string {
	sum := sha1.Sum([]byte(name + "-" + target)) //nolint:gosec // SMT's own key
	return hex.EncodeToString(sum[:])
}

func upstream(m *machine.Machine) (products []product, catalogs []catalog) {
	sp := map[int]string{10: "SP3", 11: "SP1", 12: "SP5"}[m.Line()]
	products = []product{
		{431, "SUSE_SLES", "11.1", "", "x86_64", "7261"},
		{432, "SUSE_SLED", "11.1", "", "x86_64", "7260"},
		{437, "sle-sdk", "11.1", "", "x86_64", "SLE-SDK"},
	}
	first, source := "SLES11-"+sp, "N"
	target, host := "sle-11-x86_64", "https://nu.novell.com"
	switch m.Line() {
	case 10:
		first, target = "SLES10-"+sp, "sles-10-x86_64"
		products[0].version, products[1].version, products[2].version = "10.3", "10.3", "10.3"
	case 12:
		source, host = "S", "https://updates.suse.com"
		products = append(products[:1:1], product{1878, "SLES", "12.5", "", "x86_64", "7261"}, product{1881, "sle-sdk", "12.5", "", "x86_64", "SLE-SDK"})
	}
	updates, tools := sharedPackages()
	rce := func(name, kind string, mirrored, mirrorable bool, list []pkg, of ...int) catalog {
		local := "$RCE/" + name + "/" + target
		return catalog{
			name: name, target: target, path: local, description: name + " for " + target, kind: kind, source: source,
			url: host + "/repo/" + local, mirrored: mirrored, mirrorable: mirrorable, products: of, packages: list,
		}
	}
	second := rce("SLE11-SDK-"+sp+"-Updates", "nu", true, true, tools, 2)
	if m.Line() == 12 {
		const local = "SUSE/Updates/SLE-SDK/12-SP5/x86_64/update"
		second = catalog{
			name: "SLE-SDK12-SP5-Updates", target: "sle-12-x86_64", path: local, kind: "nu", source: source, url: host + "/" + local,
			description: "Software development kit, updates", mirrored: true, mirrorable: true, products: []int{2}, packages: tools,
		}
		first = "SLES11-SP4"
	}
	catalogs = []catalog{
		rce(first+"-Pool", "nu", false, true, nil, 0, 1),
		rce(first+"-Updates", "nu", true, true, updates, 0, 1),
		rce(first+"-Debuginfo-Updates", "nu", false, true, nil, 0),
		second,
		rce("SLED11-Extras", "zypp", false, false, nil, 1),
		{
			name: "Hausmittel", target: "", path: "custom/hausmittel", description: "Eigene Pakete für Köln", kind: "zypp", source: "C",
			url: "http://packages.example.com/hausmittel", mirrorable: true, products: []int{0}, packages: sitePackages(),
		},
	}
	for i := range catalogs {
		catalogs[i].id = i + 1
	}
	return products, catalogs
}

// sharedPackages are 24 and 16 packages of 1 KiB to 2 MiB; twelve are in both lists.
func sharedPackages() (updates, tools []pkg) {
	names := []string{
		"aaa_base", "apache2", "bash", "bind-utils", "cifs-mount", "coreutils", "cups", "dbus-1", "expat", "freetype2", "glib2",
		"glibc", "gpg2", "krb5", "libpng12-0", "libtiff3", "libxml2", "mozilla-nss", "openssh", "openssl", "perl", "python", "sudo", "zlib",
		"gcc43", "gdb", "kernel-source", "libtool",
	}
	arches := []string{"x86_64", "noarch", "i586"}
	for i, n := range names {
		size := 1 << (10 + i%11) // 1 KiB … 1 MiB
		size += i * 7919
		if n == "glibc" {
			size = 2 << 20
		}
		p := pkg{name: n, version: fmt.Sprintf("%d.%d.%d", 1+i%5, i%9, i%7), release: fmt.Sprintf("%d.%d.1", 10+i, i%4), arch: arches[i%3], size: size}
		if i < 24 {
			updates = append(updates, p)
		}
		if i >= 12 {
			tools = append(tools, p)
		}
	}
	return updates, tools
}

func sitePackages() []pkg {
	return []pkg{
		{name: "hausmittel-config", version: "1.0", release: "3", arch: "noarch", size: 3000},
		{name: "hausmittel-tools", version: "2.1", release: "1", arch: "x86_64", size: 150_000},
	}
}
