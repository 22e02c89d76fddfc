package lab

import (
	"strings"
	"testing"

	"lifeboat/internal/lab/opsi"
)

const opsiSQL = "mysql --default-character-set=utf8mb4 -N opsi -e "

func TestOpsiServers(t *testing.T) {
	for _, c := range []struct {
		opts     Options
		services string
		database [][2]string
	}{
		{Options{Variant: opsi.File}, "active active inactive inactive", nil},
		{Options{Variant: opsi.Hybrid, Password: "nasty"}, "active active active active", [][2]string{
			{opsiSQL + `"select count(*) from information_schema.tables where table_schema='opsi'"`, "26"},
			{opsiSQL + `"select count(*) from information_schema.referential_constraints where constraint_schema='opsi' and update_rule<>'RESTRICT'"`, "0"},
			{opsiSQL + `"select count(*) from CONFIG_STATE"`, "40"},
			{"mysql --default-character-set=utf8mb4 -N opsi -e 'select notes from `GROUP` where notes is not null'", "with a view 🐧"},
			{opsiSQL + `"update HOST set hostId='new.example.com' where type='OpsiConfigserver'" 2>&1 | grep -c 'ERROR 1451'`, "1"},
		}},
		{Options{Variant: opsi.MySQL}, "active active active inactive", [][2]string{
			{opsiSQL + `"select count(*) from information_schema.tables where table_schema='opsi'"`, "27"},
			{opsiSQL + `"select max(version) from OPSI_SCHEMA where updateEnded is not null"`, "13"},
			// A new id cascades, and takes the licence away from its host.
			{opsiSQL + `"begin; update HOST set hostId='new.example.com' where type='OpsiConfigserver'; select count(boundToHost) from SOFTWARE_LICENSE; select count(*) from PRODUCT_ON_DEPOT where depotId='new.example.com'; rollback"`, "4\n10"},
		}},
	} {
		t.Run(c.opts.Variant, func(t *testing.T) {
			s := built(t, BuildOpsi, c.opts)
			wants(t, s, [][2]string{
				{"systemctl is-active opsiconfd opsipxeconfd mariadb isc-dhcp-server | xargs", c.services},
				{"hostname; ip -o -4 addr show eth0 | awk '{print $4}'", "opsi.example.com\n192.0.2.10/24"},
				{". /etc/os-release; echo $ID $VERSION_ID $(cat /etc/debian_version)", "debian 12 12.5"},
				{"dpkg-query -W -f '${db:Status-Status}' opsiconfd", "installed"},
				{"dpkg --verify opsi-linux-bootimage | grep -c default.menu", "1"}, // a locally changed menu
				{"opsiconfd --version | cut -c1-4", map[bool]string{true: "4.3.", false: "4.2."}[c.opts.Variant == opsi.MySQL]},
				{"stat -c '%U:%G %a' /etc/opsi/ssl/opsi-ca-key.pem /var/lib/opsi/depot", "opsiconfd:opsiadmin 600\nopsiconfd:opsifileadmins 2770"},
				{"openssl verify -CAfile /etc/opsi/ssl/opsi-ca-cert.pem /etc/opsi/ssl/opsiconfd-cert.pem | cut -d' ' -f2", "OK"},
				{"find /etc/opsi -xtype l; find /etc/opsi -links 2 -type f | wc -l; ls /etc/opsi | grep -c 'Büro Köln'", "/etc/opsi/opsi-wininst.conf\n2\n1"},
				{"getfacl -cp /etc/opsi/passwd | grep -c user:pcpatch:r--", "1"},
				{"cd /var/lib/opsi/depot/firefox && diff <(md5sum setup.opsiscript | cut -c1-32) <(awk '/setup/ {print $4}' firefox.files) >/dev/null || echo changed", "changed"},
			})
			if c.opts.Variant != opsi.MySQL {
				wants(t, s, [][2]string{
					{"ls /var/lib/opsi/config/clients | wc -l; wc -l </etc/opsi/pckeys", "25\n27"},
					{"cat /var/lib/opsi/config/clients/*.ini | grep -c '^clientconfig.depot.id = \\['", "15"},
					{"stat -c '%U:%G %a' /var/lib/opsi/config/config.ini", "opsiconfd:opsifileadmins 660"},
				})
			} else {
				wants(t, s, [][2]string{{"ls /etc/opsi/pckeys /etc/opsi/backendManager/dispatch.conf /var/lib/opsi/config 2>/dev/null | wc -l", "0"}})
			}
			if c.database != nil {
				wants(t, s, append([][2]string{
					{opsiSQL + `"select count(*), count(masterDepotId), sum(lastSeen is null) from HOST"`, "27\t1\t4"},
					{opsiSQL + `"select count(*) from PRODUCT_ON_CLIENT; select count(*) from SOFTWARE_CONFIG; select count(boundToHost) from SOFTWARE_LICENSE"`, "60\n200\n5"},
					{opsiSQL + `"select depotRemoteUrl like 'smb://opsi%/opsi_depot' from HOST where type='OpsiConfigserver'"`, "1"},
					{opsiSQL + `"select hex(left(name,8)) from HARDWARE_DEVICE_VIDEO_CONTROLLER limit 1"`, "47726166696B20F09F96A5"},
				}, c.database...))
			}
			seen(t, s)
		})
	}
}

// seen plays a client's login, after which it has been seen last.
func seen(t *testing.T, s *System) {
	t.Helper()
	id, err := s.Client()
	if err == nil {
		err = s.Refresh(t.Context(), id)
	}
	if err != nil {
		t.Fatal("a client's login:", err)
	}
	const last = `if [ -d /var/lib/opsi/config ]; then sed -n 's/^lastseen = //p' /var/lib/opsi/config/clients/client000*; else ` +
		opsiSQL + `"select lastSeen from HOST where hostId like 'client000%'"; fi`
	if at := sh(t, s, last); !strings.HasPrefix(at, sh(t, s, "date -u +%F")) {
		t.Errorf("the client was seen last at %q", at)
	}
}

func TestLargeOpsi(t *testing.T) {
	s := built(t, BuildOpsi, Options{Variant: opsi.MySQL, Large: true})
	wants(t, s, [][2]string{
		{opsiSQL + `"select count(*) from HOST where type='OpsiClient'; select count(*) from CONFIG_STATE"`, "400\n14400"},
	})
}

func TestOpsiServices(t *testing.T) {
	s := built(t, BuildOpsi, Options{Variant: opsi.Hybrid})
	const both = `sed -n '/lab.counter/,/defaultvalues/ s/.*\["\([0-9]*\)".*/\1/p' /var/lib/opsi/config/config.ini; ` +
		opsiSQL + `"select value from CONFIG_VALUE where configId='lab.counter'"`
	wants(t, s, [][2]string{{both, "0\n0"}})
	// While it is asked to, it writes; stopped, both backends are of one moment.
	sh(t, s, "touch "+opsi.WritesFile+"; until [ $("+opsiSQL+`"select value from CONFIG_VALUE where configId='lab.counter'") -gt 5 ]; do sleep 0.05; done; systemctl stop opsiconfd`)
	numbers := strings.Fields(sh(t, s, both))
	if len(numbers) != 2 || numbers[0] != numbers[1] {
		t.Errorf("file backend and database after a stop: %v", numbers)
	}
	sh(t, s, "rm "+opsi.WritesFile+"; systemctl start opsiconfd")
	if again := strings.Fields(sh(t, s, both)); strings.Join(again, " ") != strings.Join(numbers, " ") {
		t.Errorf("not asked to, it wrote: %v", again)
	}

	// What it cannot work with keeps it from starting.
	for _, c := range [][3]string{
		{"chown root:root /var/lib/opsi/config/config.ini", "permission denied", "chown opsiconfd:opsifileadmins /var/lib/opsi/config/config.ini"},
		{"sed -i 's/0ps1/other/' /etc/opsi/backends/mysql.conf", "Access denied", "sed -i 's/other/0ps1/' /etc/opsi/backends/mysql.conf"},
		{"mv /etc/opsi/ssl/opsiconfd-key.pem /root/", "server certificate", "mv /root/opsiconfd-key.pem /etc/opsi/ssl/"},
	} {
		sh(t, s, "systemctl stop opsiconfd; "+c[0])
		if out := fails(t, s, 1, "systemctl start opsiconfd"); !strings.Contains(out, c[1]) {
			t.Errorf("%s: %s", c[0], out)
		}
		sh(t, s, c[2]+"; systemctl start opsiconfd")
	}
	sh(t, s, "mv '/etc/dhcp/site options.conf' /root/; systemctl stop isc-dhcp-server")
	if out := fails(t, s, 1, "systemctl start isc-dhcp-server"); !strings.Contains(out, "site options.conf") {
		t.Error(out)
	}
	sh(t, s, "mv '/root/site options.conf' /etc/dhcp/")

	// A reboot brings all of it up; a mask holds across one.
	sh(t, s, "systemctl mask opsipxeconfd")
	if err := s.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(t, s, [][2]string{{"systemctl is-active opsiconfd opsipxeconfd mariadb isc-dhcp-server | xargs", "active inactive active active"}})
	seen(t, s)
}

// TestFreshOpsi has opsi installed on a machine of its own, empty, with other ids.
func TestFreshOpsi(t *testing.T) {
	for variant, version := range map[string]string{opsi.Hybrid: "4.2.0.400-1", opsi.MySQL: "4.3.25.0-2"} {
		t.Run(variant, func(t *testing.T) {
			s := built(t, BuildBare, Options{Product: Opsi, Variant: variant, Fresh: true, Version: version})
			wants(t, s, [][2]string{
				{"ls -d /etc/opsi /var/lib/opsi /usr/bin/opsiconfd 2>/dev/null | wc -l; id opsiconfd 2>/dev/null || echo none", "0\nnone"},
				{"apt-get update >/dev/null; echo 'deb https://download.opsi.org bookworm main' >/etc/apt/sources.list.d/opsi.list; apt-get -y install opsi-server >/dev/null; echo $?", "0"},
				{"id -u opsiconfd; dpkg-query -W -f '${Version}' opsiconfd", "551\n" + version},
				{"systemctl is-active opsiconfd opsipxeconfd | xargs", "active active"},
				{opsiSQL + `"select hostId, type from HOST"`, "opsi.example.com\tOpsiConfigserver"},
			})
			// Its database lost, setup makes another with another password; from 4.3 on
			// a start does. What it enables must not be masked.
			before := sh(t, s, "cat /etc/opsi/backends/mysql.conf")
			sh(t, s, "systemctl stop opsiconfd; mysql -e 'drop database opsi'; systemctl mask opsiconfd")
			if variant == opsi.Hybrid {
				fails(t, s, 1, "opsiconfd setup")
				sh(t, s, "opsiconfd setup --skip-setup systemd")
			}
			sh(t, s, "systemctl unmask opsiconfd; systemctl start opsiconfd")
			if sh(t, s, "cat /etc/opsi/backends/mysql.conf") == before {
				t.Error("setup kept the password")
			}
			wants(t, s, [][2]string{{opsiSQL + `"select count(*) from HOST"; systemctl is-active opsiconfd`, "1\nactive"}})
		})
	}
}

// TestLostDepot walks the way of a depot that was not saved by hand.
func TestLostDepot(t *testing.T) {
	s := built(t, BuildOpsi, Options{Variant: opsi.Hybrid, Update: "2.4"})
	const depot = "cd /var/lib/opsi/depot && find . -type f | sort | xargs -d '\n' md5sum | md5sum"
	wants(t, s, [][2]string{
		{"cd /var/lib/opsi/repository && ls *.opsi | wc -l && for f in *.opsi; do [ $(cat $f.md5) = $(md5sum <$f | cut -c1-32) ] && test -s $f.zsync || echo bad $f; done", "10"},
		{"opsi-package-manager -l | grep -cE '^   [a-z0-9-]+ +[0-9.]+-1$'", "10"},
		{"opsi-package-updater list --updatable-packages", "firefox (Version 2.4-1): 2.3-1"},
		{"opsi-package-updater list --active-repos | cut -d: -f1 | xargs", "site-local uib-windows"},
		// What is up to date is not brought again, unless forced.
		{"opsi-package-updater download 7zip", ""},
		{"rm -r /var/lib/opsi/repository/*; opsi-package-updater download --force 7zip firefox; ls /var/lib/opsi/repository | wc -l", "Downloaded firefox_2.4-1.opsi\nDownloaded 7zip_4.9-1.opsi\n6"},
	})
	before := sh(t, s, depot)
	sh(t, s, "rm -r /var/lib/opsi/depot/* /var/lib/opsi/repository/*; opsi-package-updater download --force; opsi-package-manager --quiet --properties keep --install /var/lib/opsi/repository/*.opsi")
	wants(t, s, [][2]string{
		{"ls /var/lib/opsi/depot | grep -c .; ls -d /var/lib/opsi/depot/site-tools 2>/dev/null | wc -l", "9\n0"}, // made here, nowhere else to be had
		{"find /var/lib/opsi/depot -not -user opsiconfd -o -not -group opsifileadmins | wc -l", "0"},
		{"opsi-package-manager --list firefox | tail -1 | xargs", "firefox 2.4-1"},
		{opsiSQL + `"select productVersion from PRODUCT_ON_DEPOT where productId='firefox' order by depotId"`, "2.3\n2.4"},
		{"ls /var/lib/opsi/config/products | grep firefox; grep -A3 firefox-state /var/lib/opsi/config/depots/opsi.example.com.ini | sed -n 's/productversion = //p'", "firefox_2.4-1.localboot\n2.4"},
	})
	if sh(t, s, depot) == before {
		t.Error("the local changes came back by themselves")
	}
	// Its rights are given back, also to a part.
	sh(t, s, "chown -R root:root /var/lib/opsi/depot /etc/opsi; chmod -R 600 /var/lib/opsi/depot/*/files; opsi-setup --set-rights /var/lib/opsi/depot")
	wants(t, s, [][2]string{
		{"stat -c '%U:%G %a' /var/lib/opsi/depot/7zip/files /var/lib/opsi/depot/7zip/7zip.files /etc/opsi/opsi.conf", "opsiconfd:opsifileadmins 2770\nopsiconfd:opsifileadmins 660\nroot:root 660"},
		{"opsi-set-rights; stat -c '%U:%G %a' /etc/opsi/opsi.conf /etc/opsi/ssl/opsi-ca-key.pem", "opsiconfd:opsiadmin 660\nopsiconfd:opsiadmin 600"},
	})
	wants(t, s, [][2]string{
		{"opsi-package-updater update; opsi-package-updater install --force swaudit | tail -1", "Package swaudit_8.21-1.opsi installed on depot opsi.example.com"},
	})
	// A package from elsewhere is kept in the repository, too.
	wants(t, s, [][2]string{
		{"cd /var/lib/opsi/repository && mv 7zip_4.9-1.opsi /root/ && rm 7zip*; opsi-package-manager -q -i /root/7zip_4.9-1.opsi; cmp 7zip_4.9-1.opsi /root/7zip_4.9-1.opsi && ls 7zip* | wc -l", "Package 7zip_4.9-1.opsi installed on depot opsi.example.com\n3"},
	})
	// The manager asks opsiconfd.
	sh(t, s, "systemctl stop opsiconfd")
	if out := fails(t, s, 1, "opsi-package-manager -l"); !strings.Contains(out, "Connection refused") {
		t.Error(out)
	}
	sh(t, s, "echo broken >/root/broken.opsi; systemctl start opsiconfd")
	fails(t, s, 1, "opsi-package-manager -i /root/broken.opsi")
}
