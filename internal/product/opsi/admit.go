package opsi

import (
	"context"
	"path"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/backend"
)

// Places that nothing of opsi's is ever at: what is written there belongs to the
// machine, and may give it to whoever has written it. forbiddenAs are directories
// that must not be replaced as such, forbiddenBelow also all that is in them.
var (
	forbiddenAs = []string{
		"/etc", "/home", "/media", "/mnt", "/opt", "/srv", "/tmp", "/var", "/var/cache", "/var/lib", "/var/log", "/var/opt", "/var/spool", "/var/tmp",
	}
	forbiddenBelow = []string{
		"/boot", "/dev", "/proc", "/root", "/run", "/sys", "/usr", "/var/run",
		"/var/lib/dpkg", "/var/lib/lifeboat", "/var/lib/mysql", "/var/lib/rpm", "/var/lib/systemd", "/var/spool/at", "/var/spool/cron",
	}
	// Beginnings of names, in the root directory and in /etc.
	forbiddenRoots = []string{"bin", "lib", "sbin"}
	forbiddenEtc   = []string{
		"anacron", "apparmor", "apt", "at.", "bash", "cron", "dbus", "default", "dhcp/dhclient", "dhcp3/dhclient", "dhcpcd", "environment", "fstab", "group",
		"gshadow", "init", "kernel", "ld.so", "lifeboat", "login", "logrotate", "modprobe", "modules", "network", "nsswitch", "pam", "passwd", "polkit", "ppp",
		"profile", "rc", "rsyslog", "samba", "security", "selinux", "shadow", "skel", "ssh", "ssl", "subgid", "subuid", "sudo", "sysctl", "systemd", "tmpfiles",
		"udev", "update-", "xinetd", "yum", "zypp",
	}
)

// Places where opsi and the DHCP server have their files, on every distribution
// that opsi was ever packaged for, by component: directories or files, such of which
// only the inside is usual, and beginnings of names.
var usualPlaces = map[string]struct{ as, below, begin []string }{
	Configuration: {as: []string{backend.Dir}, below: []string{backend.Dir}},
	fileBackend:   {as: []string{usualKeys}, below: []string{"/var/lib/opsi", "/opt/pcbin"}, begin: []string{"/home/opsi"}},
	dhcp:          {as: []string{"/etc/dhcpd.conf"}, below: []string{"/etc/dhcp", "/etc/dhcp3"}},
	extensions:    {as: []string{customCommands}},
}

// admit judges places that an archive names, which nobody has to believe. Never and
// taken ones must not be written at all; strange ones are neither usual places of opsi
// nor where this machine's opsi has its data, and somebody has to say that they
// are right. It errs when the machine's configuration cannot be looked at.
func admit(ctx context.Context, h *host.Host, places []product.Place) (a product.Admission, err error) {
	a.Taken = clashes(places)
	var m *machine
	for _, place := range places {
		if forbidden(place.Path) {
			a.Never = append(a.Never, place.Path)
			continue
		}
		if where, known := usualAt[place.Component]; known && slices.Contains(where, place.Path) {
			continue
		}
		if m == nil {
			if m, err = present(ctx, h); err != nil {
				return product.Admission{}, err
			}
		}
		if slices.Contains(m.here[place.Component], place.Path) {
			continue
		}
		if why := m.taken(place); why != "" {
			a.Taken = append(a.Taken, why)
		} else if !usual(place) {
			a.Strange = append(a.Strange, place.Path)
		}
	}
	return a, nil
}

func forbidden(place string) bool {
	if !path.IsAbs(place) || path.Clean(place) != place || place == "/" || slices.Contains(forbiddenAs, place) {
		return true
	}
	if slices.ContainsFunc(forbiddenBelow, func(dir string) bool { return within(place, dir) }) {
		return true
	}
	begins := func(in string) func(string) bool {
		return func(name string) bool { return strings.HasPrefix(place, in+name) }
	}
	return slices.ContainsFunc(forbiddenRoots, begins("/")) || slices.ContainsFunc(forbiddenEtc, begins("/etc/"))
}

func usual(place product.Place) bool {
	where := usualPlaces[place.Component]
	return slices.Contains(where.as, place.Path) ||
		slices.ContainsFunc(where.below, func(dir string) bool { return place.Path != dir && within(place.Path, dir) }) ||
		slices.ContainsFunc(where.begin, func(begin string) bool { return strings.HasPrefix(place.Path, begin) })
}

// machine is where a machine has opsi's data, as its own configuration says, used or
// not.
type machine struct {
	*view
	here map[string][]string // by component
}

func present(ctx context.Context, h *host.Host) (*machine, error) {
	v, err := lookAt(ctx, h)
	if err != nil {
		return nil, err
	}
	here := map[string][]string{}
	for _, f := range backend.DHCPFiles(v.dhcpdConf(), v.text) {
		here[dhcp] = append(here[dhcp], path.Clean(f))
	}
	for name, what := range map[string]string{"depot": "depot_dir", "workbench": "workbench_dir", "repository": "repository_dir"} {
		here[name] = []string{v.share(ctx, what)}
	}
	for _, c := range v.server.Confs {
		if c.Err != nil || c.Kind() != backend.File {
			continue
		}
		if b, err := c.FileBackend(); err == nil {
			here[fileBackend] = append(here[fileBackend], b.BaseDir, b.HostKeyFile)
		}
	}
	return &machine{v, here}, nil
}
