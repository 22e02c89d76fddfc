package opsi

import (
	"context"
	"path"
	"slices"
	"strings"

	"lifeboat/internal/host"
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
// that opsi was ever packaged for.
var (
	usualAs     = []string{backend.Dir, "/etc/dhcpd.conf"}
	usualBelow  = []string{backend.Dir, "/etc/dhcp", "/etc/dhcp3", "/var/lib/opsi", "/opt/pcbin", "/tftpboot", "/srv/tftpboot", "/var/lib/tftpboot"}
	usualPrefix = []string{"/home/opsi"}
)

// admit judges places that an archive names, which nobody has to believe. Those in
// never must not be written at all; strange ones are neither usual places of opsi
// nor where this machine's opsi has its data, and somebody has to say that they
// are right. It errs when the machine's configuration cannot be looked at.
func admit(ctx context.Context, h *host.Host, places []string) (never, strange []string, err error) {
	var here []string
	for _, place := range places {
		switch {
		case forbidden(place):
			never = append(never, place)
			continue
		case usual(place):
			continue
		case here == nil:
			if here, err = present(ctx, h); err != nil {
				return nil, nil, err
			}
		}
		if !slices.Contains(here, place) {
			strange = append(strange, place)
		}
	}
	return never, strange, nil
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

func usual(place string) bool {
	return slices.Contains(usualAs, place) ||
		slices.ContainsFunc(usualBelow, func(dir string) bool { return place != dir && within(place, dir) }) ||
		slices.ContainsFunc(usualPrefix, func(begin string) bool { return strings.HasPrefix(place, begin) })
}

// present lists where this machine's own configuration has opsi's data, used or
// not. The list is never nil.
func present(ctx context.Context, h *host.Host) ([]string, error) {
	v, err := lookAt(ctx, h)
	if err != nil {
		return nil, err
	}
	here := []string{v.dhcpdConf()}
	for _, c := range v.server.Confs {
		if c.Err != nil || c.Kind() != backend.File {
			continue
		}
		if b, err := c.FileBackend(); err == nil {
			here = append(here, b.BaseDir, b.HostKeyFile)
		}
	}
	return here, nil
}
