package export

import (
	"strings"

	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/vault"
)

// infoOf is what is known of the point's machine. opsi-backup compares each value
// with its own machine's and asks when one differs, which without a terminal is a
// no: what is not known as opsi would say it is left out, and not compared.
func infoOf(m *vault.Manifest) archive.Info {
	fqdn := strings.ToLower(first(m.Identity["fqdn"], m.Host.FQDN))
	short, domain, _ := strings.Cut(fqdn, ".")
	info := archive.Info{
		Hostname: first(short, m.Identity["hostname"]), FQDN: fqdn, Domain: domain,
		OpsiVersion: first(m.Settings["library_version"], m.Settings["opsi_version"], m.Identity["version"]),
	}
	id, version, name := first(m.Identity["os_id"], m.Host.OS.ID), first(m.Identity["os_version"], m.Host.OS.VersionID), first(m.Identity["os"], m.Host.OS.Name)
	switch id {
	case "debian":
		info.Distribution = "Debian GNU/Linux"
	case "ubuntu":
		info.Distribution = "Ubuntu"
	default:
		return info
	}
	info.SysVersion = archive.SysVersion(version)
	// Debian GNU/Linux 12 (bookworm)
	if _, rest, ok := strings.Cut(name, "("); ok {
		if code, _, ok := strings.Cut(rest, ")"); ok && !strings.Contains(code, " ") {
			info.DistributionID = code
		}
	}
	return info
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
