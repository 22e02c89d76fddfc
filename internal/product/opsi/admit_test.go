package opsi

import (
	"strings"
	"testing"

	"lifeboat/internal/host/hosttest"
	"lifeboat/internal/product"
)

func TestAdmit(t *testing.T) {
	h := hosttest.With(t, map[string]string{
		"/etc/opsi/backends/file.conf":           "module = 'File'\nconfig = {'baseDir': '/data/opsi', 'hostKeyFile': '/root/keys'}\n",
		"/etc/opsi/backends/dhcpd.conf":          "module = 'DHCPD'\nconfig = {'dhcpdConfigFile': '/data/dhcpd.conf'}\n",
		"/etc/opsi/backendManager/dispatch.conf": ".* : file\n",
		"/etc/opsi/opsi.conf":                    "[host]\nid = 'opsi.example.com'\n",
		"/etc/opsi/site.conf":                    "of the site",
		"/data/opsi/depots/opsi.example.com.ini": "[depotshare]\nlocalurl = file:///data/packages\n",
	})
	for place, want := range map[string]string{
		"configuration /etc/opsi": "", "configuration /etc/opsi/pckeys": "", "configuration /etc/opsi/opsi.conf": "",
		"file-backend /etc/opsi/pckeys": "", "file-backend /var/lib/opsi/config": "", "file-backend /home/opsi/config": "", "file-backend /var/lib/opsi/other": "",
		"dhcp /etc/dhcp/dhcpd.conf": "", "dhcp /etc/dhcpd.conf": "", "dhcp /etc/dhcp3/dhcpd.conf": "", "extensions /var/lib/opsi/server_commands_custom.conf": "",
		"file-backend /data/opsi": "", "dhcp /data/dhcpd.conf": "", // this machine's own
		"file-backend /srv/opsi": "strange", "file-backend /home/user": "strange", "file-backend /etc/opsi.d": "strange", "file-backend /opt/x": "strange",
		"file-backend /etc/opsi/keys": "strange", "dhcp /opt/pcbin/dhcpd.conf": "strange",
		// Where other components are, here or anywhere.
		"file-backend /etc/opsi": "taken", "file-backend /etc/opsi/ssl": "taken", "file-backend /etc/opsi/opsi.conf": "taken", "file-backend /etc/opsi/site.conf": "taken",
		"dhcp /etc/opsi/pckeys": "taken", "dhcp /etc/opsi/backends/mysql.conf": "taken", "dhcp /var/lib/opsi/config/config.ini": "taken",
		"file-backend /var/lib/opsi": "taken", "file-backend /var/lib/opsi/depot": "taken", "file-backend /var/lib/opsi/depot/x": "taken", "file-backend /var/lib/opsi/workbench": "taken",
		"file-backend /var/lib/opsi/repository": "taken", "file-backend /var/lib/opsi/public": "taken", "file-backend /home/opsiproducts": "taken", "file-backend /opt/pcbin/install": "taken",
		"file-backend /opt/pcbin": "taken", "file-backend /tftpboot/linux": "taken", "file-backend /etc/dhcp": "taken", "file-backend /etc/mysql/conf.d": "taken", "file-backend /var/log/opsi": "taken",
		"file-backend /data": "taken", "file-backend /data/dhcpd.conf": "taken", "dhcp /data/opsi/x": "taken", "file-backend /data/packages": "taken", "configuration /data/opsi": "taken",
		"file-backend /": "never", "file-backend /etc": "never", "dhcp /var": "never", "dhcp /home": "never", "dhcp /usr": "never", "dhcp /usr/share/x": "never", "dhcp /bin": "never", "dhcp /sbin/x": "never",
		"dhcp /lib": "never", "dhcp /lib64/x": "never", "dhcp /boot/x": "never", "dhcp /root": "never", "dhcp /root/.ssh/authorized_keys": "never", "file-backend /root/keys": "never",
		"dhcp /proc/x": "never", "dhcp /sys/x": "never", "dhcp /dev/sda": "never", "dhcp /run/x": "never",
		"dhcp /etc/cron.d/evil": "never", "dhcp /etc/crontab": "never", "dhcp /etc/passwd": "never", "dhcp /etc/shadow": "never", "dhcp /etc/gshadow": "never", "dhcp /etc/group": "never",
		"dhcp /etc/sudoers.d/x": "never", "dhcp /etc/ssh/sshd_config": "never", "dhcp /etc/pam.d/x": "never", "dhcp /etc/systemd/system/x": "never", "dhcp /etc/ld.so.preload": "never",
		"dhcp /etc/dhcp/dhclient-exit-hooks.d/x": "never", "dhcp /var/spool/cron/root": "never",
		"dhcp /etc/opsi/../cron.d/evil": "never", "dhcp etc/opsi": "never", "dhcp ": "never", "configuration /etc/opsi/": "never", "dhcp /var//lib": "never",
	} {
		component, path, _ := strings.Cut(place, " ")
		a, err := admit(t.Context(), h, []product.Place{{Component: component, Path: path}})
		got := map[bool]string{len(a.Never) == 1: "never", len(a.Strange) == 1: "strange", len(a.Taken) == 1: "taken"}[true]
		if err != nil || got != want || len(a.Never)+len(a.Strange)+len(a.Taken) > 1 {
			t.Errorf("%q: %+v, want %q, %v", place, a, want, err)
		}
		if (a.Refusal("opsi") != "") != (want == "never" || want == "taken") {
			t.Errorf("%q: %s", place, a.Refusal("opsi"))
		}
	}
}

// Two components of one archive do not overwrite each other, wherever they are.
func TestAdmitTogether(t *testing.T) {
	h := hosttest.With(t, nil)
	for _, c := range []struct {
		base, conf string
		want       string
	}{
		{"/var/lib/opsi/config", "/etc/dhcp/dhcpd.conf", ""},
		{"/srv/opsi", "/srv/opsi/dhcpd.conf", "/srv/opsi/dhcpd.conf of dhcp and /srv/opsi of file-backend"},
		{"/srv/opsi/dhcpd.conf", "/srv/opsi/dhcpd.conf", "of file-backend"},
	} {
		a, err := admit(t.Context(), h, []product.Place{
			{Component: Configuration, Path: "/etc/opsi"},
			{Component: fileBackend, Path: c.base},
			{Component: fileBackend, Path: "/etc/opsi/pckeys"},
			{Component: dhcp, Path: c.conf},
		})
		if got := a.Refusal("opsi"); err != nil || (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s and %s: %q, want %q, %v", c.base, c.conf, got, c.want, err)
		}
	}
}
