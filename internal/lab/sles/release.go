package sles

import (
	"fmt"
	"slices"
	"strings"
)

// Releases of both product lines, as VERSION_ID in /etc/os-release has them.
const (
	SLES11SP2 = "11.2"
	SLES11SP3 = "11.3"
	SLES12    = "12"
	SLES12SP1 = "12.1"
)

// Products of which the lab has packages.
const (
	SLES = "SLES" // the server
	SLED = "SLED" // the desktop
)

// successor is what a release is upgraded to.
var successor = map[string]string{SLES11SP2: SLES11SP3, SLES11SP3: SLES12, SLES12: SLES12SP1}

// release is a release of one product.
type release struct{ product, version string }

// major and patch are those of 11.3: "11" and "3". The first release of a line
// has patch "0".
func (r release) major() string {
	major, _, _ := strings.Cut(r.version, ".")
	return major
}

func (r release) patch() string {
	if _, patch, ok := strings.Cut(r.version, "."); ok {
		return patch
	}
	return "0"
}

// zypp is the product's name in package management. Up to SLES 11 it began with
// the vendor's name.
func (r release) zypp() string {
	if r.major() == "11" {
		return "SUSE_" + r.product
	}
	return r.product
}

func (r release) title() string {
	kind := map[string]string{SLES: "Server", SLED: "Desktop"}[r.product]
	title := "SUSE Linux Enterprise " + kind + " " + r.major()
	if r.patch() != "0" {
		title += " SP" + r.patch()
	}
	return title
}

// channel is a package repository of a release: of its first packages or of updates.
type channel struct {
	name    string
	updates bool
}

// channels are the package repositories that the release requires (SLE 12
// deployment guide, table 4.2). The last two are its own.
func (r release) channels() []channel {
	switch r.version {
	case SLES11SP2:
		return []channel{
			{r.product + "11-SP1-Pool", false},
			{r.product + "11-SP1-Updates", true},
			{r.product + "11-SP2-Core", false},
			{r.product + "11-SP2-Updates", true},
		}
	case SLES11SP3:
		return []channel{{r.product + "11-SP3-Pool", false}, {r.product + "11-SP3-Updates", true}}
	case SLES12:
		return []channel{{r.product + "12-GA-Pool", false}, {r.product + "12-GA-Updates", true}}
	default:
		return []channel{{r.product + "12-SP1-Pool", false}, {r.product + "12-SP1-Updates", true}}
	}
}

func newRelease(product, version string) (release, error) {
	if !slices.Contains([]string{SLES, SLED}, product) {
		return release{}, fmt.Errorf("the lab has no product %q: choose SLES or SLED", product)
	}
	if !slices.Contains([]string{SLES11SP2, SLES11SP3, SLES12, SLES12SP1}, version) {
		return release{}, fmt.Errorf("the lab has no release %q: choose 11.2, 11.3, 12 or 12.1", version)
	}
	return release{product, version}, nil
}

// releasePackage is sles-release or sled-release: what tells which product it is.
func (r release) releasePackage() pack {
	edition := map[string]string{SLES11SP2: "1.234", SLES11SP3: "1.138", SLES12: "6.3", SLES12SP1: "1.331"}[r.version]
	name := strings.ToLower(r.product) + "-release"
	// A hyphen in the value of a dependency ends its version, so it is written %2D.
	target := "sle%%2D" + r.major() + "%%2Dx86_64"
	p := pack{
		name: name, version: r.version, release: edition,
		provides: []string{
			"product() = " + r.zypp(), "product(" + r.zypp() + ") = " + r.version + "-" + edition,
			"product-register-target() = " + target,
		},
		requires: []string{"filesystem"},
		files: []file{
			dir("/etc/products.d"),
			text("/etc/products.d/"+r.zypp()+".prod", r.prod(edition)),
			text("/etc/SuSE-release", fmt.Sprintf("SUSE Linux Enterprise %s %s (x86_64)\nVERSION = %s\nPATCHLEVEL = %s\n",
				map[string]string{SLES: "Server", SLED: "Desktop"}[r.product], r.major(), r.major(), r.patch())),
		},
		post: script("ln -sfn "+r.zypp()+".prod /etc/products.d/baseproduct", "exit 0"),
	}
	if r.version != SLES11SP2 { // which had none yet
		version := r.version
		if r.version == SLES12SP1 {
			version = "12-SP1"
		}
		id := strings.ToLower(r.product)
		p.files = append(p.files, text("/etc/os-release", fmt.Sprintf(
			"NAME=%q\nVERSION=%q\nVERSION_ID=%q\nPRETTY_NAME=%q\nID=%q\nANSI_COLOR=\"0;32\"\nCPE_NAME=\"cpe:/o:suse:%s:%s:%s\"\n",
			r.product, version, r.version, r.title(), id, id, r.major(), r.patch())))
	}
	return p
}

// prod is the product file that zypp reads in an installed system.
func (r release) prod(edition string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<product schemeversion="0">
  <vendor>SUSE LINUX Products GmbH, Nuernberg, Germany</vendor>
  <name>%s</name>
  <version>%s</version>
  <baseversion>%s</baseversion>
  <patchlevel>%s</patchlevel>
  <release>%s</release>
  <arch>x86_64</arch>
  <productline>%s</productline>
  <register>
    <target>sle-%s-x86_64</target>
    <release/>
  </register>
  <summary>%s</summary>
  <shortsummary>%s</shortsummary>
  <description>%s, of the lab.</description>
  <runtimeconfig/>
</product>
`, r.zypp(), r.version, r.major(), r.patch(), edition, strings.ToLower(r.product), r.major(), r.title(), r.zypp(), r.title())
}

// productsXML is the metadata of a package repository that says which product
// its release package is. Without it libsolv as Debian builds it sees no product,
// and an upgrade then seems to remove the installed one.
func (r release) productsXML() string {
	p := r.releasePackage()
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<products>
  <product>
    <vendor>SUSE LINUX Products GmbH, Nuernberg, Germany</vendor>
    <name>%s</name>
    <version ver="%s" rel="%s" epoch="0"/>
    <arch>x86_64</arch>
    <summary>%s</summary>
    <shortsummary>%s</shortsummary>
    <description>%s, of the lab.</description>
  </product>
</products>
`, r.zypp(), r.version, p.release, r.title(), r.zypp(), r.title())
}
