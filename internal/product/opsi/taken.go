package opsi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/backend"
)

// Components of the profile that archives and documents have files of.
const (
	fileBackend = "file-backend"
	dhcp        = "dhcp"
	extensions  = "extensions"
)

const (
	usualKeys      = backend.Dir + "/pckeys"
	customCommands = "/var/lib/opsi/server_commands_custom.conf"
)

// usualAt are places that need no look at the machine.
var usualAt = map[string][]string{
	Configuration: {backend.Dir, usualKeys},
	fileBackend:   {"/var/lib/opsi/config", usualKeys},
	dhcp:          dhcpdPlaces,
}

// held are the places of the profile's components, which is where their data are
// unless a machine says something else. /etc/opsi, which holds the file backend's
// keys too, is looked at by itself.
var held = map[string][]string{
	fileBackend:       {"/var/lib/opsi/config"},
	dhcp:              {"/etc/dhcp", "/etc/dhcp3", "/etc/dhcpd.conf"},
	extensions:        {customCommands, "/var/lib/opsiconfd/addons", "/var/lib/opsiconfd/letsencrypt"},
	"public":          {"/var/lib/opsi/public"},
	"workbench":       {"/var/lib/opsi/workbench", "/home/opsiproducts"},
	"depot":           {"/var/lib/opsi/depot", "/opt/pcbin/install"},
	"repository":      {"/var/lib/opsi/repository", "/var/lib/opsi/products"},
	"images":          {"/var/lib/opsi/ntfs-images"},
	"tftp":            {"/tftpboot", "/var/lib/tftpboot", "/srv/tftpboot"},
	"database-server": {"/etc/mysql", "/etc/my.cnf", "/etc/my.cnf.d"},
	"logs":            {"/var/log/opsi"},
}

// opsisOwn begin the names of what opsi itself has in /etc/opsi.
var opsisOwn = []string{
	"backend", "global.conf", "hwaudit", "license", "modules", "opsi", "package-updater", "passwd", "server_commands", "ssl", "systemdTemplates", "version",
}

// taken tells whose data would be overwritten at a place of the machine; "" is nobody's.
func (m *machine) taken(place product.Place) string {
	if within(place.Path, backend.Dir) {
		name := strings.TrimPrefix(strings.TrimPrefix(place.Path, backend.Dir), "/")
		own := slices.ContainsFunc(opsisOwn, func(begin string) bool { return strings.HasPrefix(name, begin) })
		switch {
		case place.Component == Configuration, place.Component == fileBackend && place.Path == usualKeys:
			return ""
		case place.Component == fileBackend && !own && name != "" && !m.there(place.Path):
			return "" // keys under a name of the site's
		}
		return fmt.Sprintf("%s of %s is in %s, the %s", place.Path, place.Component, backend.Dir, Configuration)
	}
	for _, places := range []map[string][]string{held, m.here} {
		for _, name := range slices.Sorted(maps.Keys(places)) {
			if name == place.Component {
				continue
			}
			for _, at := range places[name] {
				if at != "" && overlap(place.Path, at) {
					return fmt.Sprintf("%s of %s is where the component %s is, %s", place.Path, place.Component, name, at)
				}
			}
		}
	}
	if within(backend.Dir, place.Path) {
		return fmt.Sprintf("%s of %s holds %s, the %s", place.Path, place.Component, backend.Dir, Configuration)
	}
	return ""
}

// clashes tells of places that two components have. The configuration and the keys in
// it are one file for both.
func clashes(places []product.Place) []string {
	var list []string
	for i, a := range places {
		for _, b := range places[:i] {
			if a.Component != b.Component && a.Component != Configuration && b.Component != Configuration && overlap(a.Path, b.Path) {
				list = append(list, fmt.Sprintf("%s of %s and %s of %s", a.Path, a.Component, b.Path, b.Component))
			}
		}
	}
	return list
}

func overlap(a, b string) bool { return within(a, b) || within(b, a) }
