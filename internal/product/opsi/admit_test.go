package opsi

import (
	"slices"
	"testing"

	"lifeboat/internal/host/hosttest"
)

func TestAdmit(t *testing.T) {
	h := hosttest.With(t, map[string]string{
		"/etc/opsi/backends/file.conf":  "module = 'File'\nconfig = {'baseDir': '/data/opsi', 'hostKeyFile': '/root/keys'}\n",
		"/etc/opsi/backends/dhcpd.conf": "module = 'DHCPD'\nconfig = {'dhcpdConfigFile': '/data/dhcpd.conf'}\n",
	})
	for place, want := range map[string]string{
		"/etc/opsi": "", "/etc/opsi/pckeys": "", "/var/lib/opsi/config": "", "/home/opsiproducts": "", "/home/opsi/config": "",
		"/etc/dhcp/dhcpd.conf": "", "/etc/dhcpd.conf": "", "/etc/dhcp3/dhcpd.conf": "", "/opt/pcbin/install": "", "/tftpboot/linux": "",
		"/data/opsi": "", "/data/dhcpd.conf": "", // this machine's own
		"/srv/opsi": "strange", "/data": "strange", "/data/opsi/x": "strange", "/home/user": "strange", "/etc/opsi.d": "strange", "/var/lib/opsi": "strange", "/opt/x": "strange",
		"/": "never", "/etc": "never", "/var": "never", "/home": "never", "/usr": "never", "/usr/share/x": "never", "/bin": "never", "/sbin/x": "never",
		"/lib": "never", "/lib64/x": "never", "/boot/x": "never", "/root": "never", "/root/.ssh/authorized_keys": "never", "/root/keys": "never",
		"/proc/x": "never", "/sys/x": "never", "/dev/sda": "never", "/run/x": "never",
		"/etc/cron.d/evil": "never", "/etc/crontab": "never", "/etc/passwd": "never", "/etc/shadow": "never", "/etc/gshadow": "never", "/etc/group": "never",
		"/etc/sudoers.d/x": "never", "/etc/ssh/sshd_config": "never", "/etc/pam.d/x": "never", "/etc/systemd/system/x": "never", "/etc/ld.so.preload": "never",
		"/etc/dhcp/dhclient-exit-hooks.d/x": "never", "/var/spool/cron/root": "never",
		"/etc/opsi/../cron.d/evil": "never", "etc/opsi": "never", "": "never", "/etc/opsi/": "never", "/var//lib": "never",
	} {
		never, strange, err := admit(t.Context(), h, []string{"/etc/opsi/pckeys", place})
		if err != nil || slices.Contains(never, place) != (want == "never") || slices.Contains(strange, place) != (want == "strange") || len(never)+len(strange) > 1 {
			t.Errorf("%q: never %q, strange %q, want %q, %v", place, never, strange, want, err)
		}
	}
}
