package opsi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/host/hosttest"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
)

const (
	mysqlConf    = "module = 'MySQL'\nconfig = {'address': '/run/mysqld/mysqld.sock', 'database': 'opsi42', 'username': 'o', 'password': u'it\\'s \"q#'}\n"
	fileConf     = "module = 'File'\nconfig = {'baseDir': '/var/lib/opsi/config', 'hostKeyFile': '/etc/opsi/pckeys'}\n"
	dhcpdConf    = "module = 'DHCPD'\nlocalip = socket.gethostbyname('x')\nconfig = {'dhcpdConfigFile': '/etc/dhcp3/dhcpd.conf', 'p': localip}\n"
	dispatchConf = "backend_.*: file, mysql, opsipxeconfd, dhcpd\nlicense.*: mysql\n.*: file\n"
)

func hybrid() map[string]string {
	return map[string]string{
		"/etc/opsi/backends/mysql.conf":                    mysqlConf,
		"/etc/opsi/backends/file.conf":                     fileConf,
		"/etc/opsi/backends/dhcpd.conf":                    dhcpdConf,
		"/etc/opsi/backends/opsipxeconfd.conf":             "module = 'OpsiPXEConfd'\n",
		"/etc/opsi/backendManager/dispatch.conf":           dispatchConf,
		"/etc/opsi/opsi.conf":                              "[host]\nid = \"opsi.example.com\"\n",
		"/etc/opsi/opsiconfd.conf":                         "ssl-server-cert = /etc/letsencrypt/cert.pem\nssl-server-key = /etc/opsi/ssl/key.pem\nssl-ca-key=/not/there.pem\n",
		"/etc/opsi/opsi-package-updater.conf":              "[general]\nrepositoryConfigDir = /srv/repos.d \n",
		"/etc/opsi/pckeys":                                 "x",
		"/etc/letsencrypt/cert.pem":                        "x",
		"/srv/repos.d/":                                    "",
		"/etc/dhcp3/dhcpd.conf":                            "# include \"/etc/dhcp3/no.conf\";\ninclude \"/etc/dhcp3/hosts.conf\"; group { include \"/etc/opsi/d.conf\";}\n",
		"/etc/dhcp3/hosts.conf":                            "include \"/etc/dhcp3/dhcpd.conf\"; include \"/etc/dhcp3/more # 1.conf\";",
		"/etc/dhcp3/more # 1.conf":                         "",
		"/etc/dhcp3/no.conf":                               "",
		"/etc/opsi/d.conf":                                 "",
		"/var/lib/opsi/config/depots/opsi.example.com.ini": "[depotshare]\nlocalurl = file:///data/depot\n[Workbench]\nLocalURL=file:///data/work bench\n",
		"/opt/pcbin/install/":                              "",
		"/var/lib/opsi/products/":                          "",
	}
}

func ask(t *testing.T, h *host.Host, what, version string) string {
	t.Helper()
	text, ok, err := read(context.Background(), profile.Scope{Host: h}, &Options{What: what, Version: version, Dir: "/data/depot"})
	if err != nil || ok != (text != "") {
		t.Errorf("%s: %q, %v, %v", what, text, ok, err)
	}
	return text
}

func TestSettings(t *testing.T) {
	h := hosttest.With(t, hybrid())
	for what, want := range map[string]string{
		"backends": "file mysql dhcp", "broken": "", "ignored": "", "server_id": "opsi.example.com",
		"file_base": "/var/lib/opsi/config", "host_keys": "/etc/opsi/pckeys", "host_keys_inside": "/etc/opsi/pckeys",
		"db_host": "localhost", "db_socket": "/run/mysqld/mysqld.sock", "db_name": "opsi42", "db_user": "o", "db_password": `it's "q#`,
		"dhcpd_conf": "/etc/dhcp3/dhcpd.conf", "dhcpd_files": "/etc/dhcp3/dhcpd.conf\n/etc/dhcp3/hosts.conf\n/etc/dhcp3/more # 1.conf",
		"tls_files": "/etc/letsencrypt/cert.pem", "updater_files": "/srv/repos.d", "dhcp_service": "", "version": "", "schema": "", "depot_changes": "",
		"depot_dir": "/data/depot", "workbench_dir": "/data/work bench", "repository_dir": "/var/lib/opsi/products",
	} {
		if got := ask(t, h, what, "4.2.0.309"); got != want {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func TestSettingsOfOtherServers(t *testing.T) {
	files := hybrid()
	delete(files, "/etc/opsi/backendManager/dispatch.conf")
	delete(files, "/etc/opsi/opsi.conf")
	files["/etc/hostname"] = "Opsi.Example.COM\n"
	files["/etc/opsi/backends/file.conf"] = "module = 'File'\nconfig = {'baseDir': '/srv/config', 'hostKeyFile': '/srv/keys'}\n"
	h := hosttest.With(t, files)
	for what, want := range map[string]string{"backends": "mysql", "server_id": "opsi.example.com", "file_base": "", "broken": "", "ignored": "", "depot_dir": "/opt/pcbin/install"} {
		if got := ask(t, h, what, "4.3.1.2"); got != want {
			t.Errorf("4.3: %s: %q", what, got)
		}
	}
	// An update has left dispatch.conf behind, and no file backend: it is not missed.
	files["/etc/opsi/backendManager/dispatch.conf"] = dispatchConf
	if got := ask(t, hosttest.With(t, files), "backends", "4.3.1.2"); got != "mysql dhcp" {
		t.Errorf("4.3 with a dispatch.conf: %q", got)
	}
	h = hosttest.With(t, files)
	if got := ask(t, h, "host_keys", "4.2.0.1") + ask(t, h, "host_keys_inside", "4.2.0.1"); got != "/srv/keys" {
		t.Errorf("host keys elsewhere: %q", got)
	}
	depot := hosttest.With(t, map[string]string{
		"/etc/opsi/backends/mysql.conf": mysqlConf, "/etc/opsi/backends/jsonrpc.conf": "module = 'JSONRPC'\n",
		"/etc/opsi/opsi.conf": "[host]\nid = \"depot1.example.com\"\nserver-role = \"depotserver\"\n",
	})
	for what, want := range map[string]string{"backends": "", "broken": "", "ignored": "", "server_id": "depot1.example.com", "db_name": ""} {
		if got := ask(t, depot, what, "4.3.1.2"); got != want {
			t.Errorf("depot server: %s: %q", what, got)
		}
	}
	empty := hosttest.With(t, nil)
	for what, want := range map[string]string{"backends": "", "broken": "", "server_id": "", "db_password": "", "dhcpd_files": "", "depot_dir": "/var/lib/opsi/depot"} {
		if got := ask(t, empty, what, ""); got != want {
			t.Errorf("no opsi: %s: %q", what, got)
		}
	}
}

func TestBroken(t *testing.T) {
	for _, test := range []struct {
		name, file, text string
		version          string
		broken, ignored  string
	}{
		{"a used file cannot be read", "/etc/opsi/backends/mysql.conf", "module = 'MySQL'\nif x: config = {}\n", "4.2", "uses the backend mysql, and its file cannot be read: /etc/opsi/backends/mysql.conf: line 2", ""},
		{"an unused one", "/etc/opsi/backends/old.conf", "config", "4.2", "", "does not use cannot be read: /etc/opsi/backends/old.conf"},
		{"a value that only Python knows", "/etc/opsi/backends/mysql.conf", "import os\nmodule = 'MySQL'\nconfig = {'password': os.environ['X']}\n", "4.2", "the value of password is not written out", ""},
		{"LDAP", "/etc/opsi/backends/file.conf", "module = 'LDAP'\nconfig = {}\n", "4.2", "opsi-convert file file", ""},
		{"a second file", "/etc/opsi/backends/mysql.old.conf", mysqlConf, "4.2", "", "is a second file for the backend mysql"},
		{"a second database in use", "/etc/opsi/backends/opsipxeconfd.conf", mysqlConf, "4.2", "two backends of the sort MySQL, mysql and opsipxeconfd", ""},
		{"a second database not in use", "/etc/opsi/backends/mysql2.conf", mysqlConf, "4.2", "", "mysql2 is another one of the sort MySQL and not in use"},
		{"no file", "/etc/opsi/backendManager/dispatch.conf", ".*: mysql3, file\n", "4.2", "uses the backend mysql3, for which there is no file", ""},
		{"no file, and none is needed", "/etc/opsi/backendManager/dispatch.conf", ".*: jsonrpc\n", "4.2", "", ""},
		{"LDAP without a file", "/etc/opsi/backendManager/dispatch.conf", ".*: file, ldap\n", "4.2", "no file in /etc/opsi/backends and which cannot be saved; convert its data first, with opsi-convert ldap file", ""},
		{"empty", "/etc/opsi/backendManager/dispatch.conf", "# nothing\n", "4.2", "names no backend that holds data", ""},
		{"only what holds nothing", "/etc/opsi/backendManager/dispatch.conf", ".*: opsipxeconfd, dhcpd, hostcontrol\n", "4.2", "names no backend that holds data", ""},
		{"empty, and it is MySQL", "/etc/opsi/backendManager/dispatch.conf", "", "4.3.1.2", "", ""},
		{"lines", "/etc/opsi/backendManager/dispatch.conf", "what\n.*: file\n", "4.2", "", "does not understand: [1]"},
		{"too large", "/etc/opsi/backendManager/dispatch.conf", strings.Repeat("#", 1<<17), "4.2", "dispatch.conf is larger", ""},
	} {
		files := hybrid()
		files[test.file] = test.text
		h := hosttest.With(t, files)
		for what, want := range map[string]string{"broken": test.broken, "ignored": test.ignored} {
			got := ask(t, h, what, test.version)
			if (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q", test.name, what, got)
			}
		}
		for _, what := range []string{"backends", "db_name", "file_base", "depot_dir"} {
			ask(t, h, what, test.version)
		}
	}
	files := hybrid()
	delete(files, "/etc/opsi/backendManager/dispatch.conf")
	if got := ask(t, hosttest.With(t, files), "broken", "4.2.0.1"); !strings.Contains(got, "dispatch.conf is not there") {
		t.Errorf("no dispatch.conf: %q", got)
	}
}

func TestAbsent(t *testing.T) {
	for name, test := range map[string]struct {
		gone, version, want string
	}{
		"nothing":            {"", "4.2", ""},
		"the host keys":      {"/etc/opsi/pckeys", "4.2", "host keys of the file backend, /etc/opsi/pckeys, are not there"},
		"the directory":      {"/var/lib/opsi/config/depots/opsi.example.com.ini", "4.2", "directory of the file backend, /var/lib/opsi/config, is not there"},
		"left over since":    {"/etc/opsi/pckeys", "4.3.1.2", ""},
		"not used":           {"/etc/opsi/backends/file.conf", "4.2", ""},
		"opsi not installed": {"/etc/opsi/backendManager/dispatch.conf", "", ""},
	} {
		files := hybrid()
		files["/etc/opsi/pckeys"] = "x"
		delete(files, test.gone)
		if got := ask(t, hosttest.With(t, files), "absent", test.version); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestCompare(t *testing.T) {
	h := hosttest.With(t, nil)
	for _, test := range []struct {
		rule, point, installed string
		want                   product.Level
	}{
		{"opsi-version", "4.2.0.309", "4.2.0.309", product.Agrees},
		{"opsi-version", "4.2.0.300", "4.2.0.309", product.Agrees},
		{"opsi-version", "4.2.0.309", "4.2.0.300", product.Warns},
		{"opsi-version", "4.2.0.309", "4.3.0.1", product.Warns},
		{"opsi-version", "4.3.0.1", "4.2.0.309", product.Refuses},
		{"opsi-version", "4.10.0.1", "4.9", product.Refuses},
		{"opsi-version", "x", "4.2.0.300", product.Refuses},
		{"opsi-schema", "8", "8", product.Agrees},
		{"opsi-schema", "7", "6-7", product.Agrees},
		{"opsi-schema", "8", "6-7", product.Refuses},
		{"opsi-schema", "8", "9", product.Warns},
		{"opsi-schema", "0", "13+", product.Warns},
		{"opsi-schema", "14", "13+", product.Agrees},
		{"opsi-schema", "14", "13", product.Refuses},
		{"opsi-schema", "6-7", "7-8", product.Agrees},
		{"opsi-schema", "", "7-8", product.Refuses},
		{"opsi-backends", "file mysql", "mysql", product.Agrees}, // no opsi is installed
	} {
		v, err := Product().Comparisons[test.rule].Compare(context.Background(), h, test.point, test.installed)
		if err != nil || v.Level != test.want || v.Level != product.Agrees && (v.Why == "" || v.Hint == "") {
			t.Errorf("%s: %s → %s: %+v, %v", test.rule, test.point, test.installed, v, err)
		}
	}
	for text, want := range map[string]string{"4.1.1.90": "2-6", "4.2.0.200": "6-7", "4.2.0.309": "8", "4.3.0.1": "8", "4.3.0.44": "10", "4.3.17.5": "11", "4.3.24.1": "13", "4.4.0.0": "13+"} {
		v, err := parseVersion(text)
		if err != nil || expected(v).String() != want {
			t.Errorf("%s expects %s, %v", text, expected(v), err)
		}
	}
}

func TestSchemaVersion(t *testing.T) {
	for _, test := range []struct {
		there string
		rows  [][]string
		want  string
		err   error
	}{
		{"0", nil, "", nil},
		{"1", [][]string{{"0", "2020-01-01 00:00:00"}, {"8", "2022-01-01 00:00:00"}, {"7", "2021-01-01 00:00:00"}}, "8", nil},
		{"1", [][]string{{"8", "2022-01-01 00:00:00"}, {"9", "NULL"}}, "", product.ErrUpgrading},
		{"1", [][]string{{"9", "0000-00-00 00:00:00"}}, "", product.ErrUpgrading},
	} {
		got, err := schemaVersion(context.Background(), func(_ context.Context, statement string) ([][]string, error) {
			if strings.Contains(statement, "information_schema") {
				return [][]string{{test.there}}, nil
			}
			return test.rows, nil
		})
		if got != test.want || !errors.Is(err, test.err) || test.err == nil && err != nil {
			t.Errorf("%v: %q, %v", test.rows, got, err)
		}
	}
	if n := len(tables("13")) - len(tables("8")); n != 1 {
		t.Errorf("%d tables of users", n)
	}
	if slices.Contains(tables(""), "OPSI_SCHEMA") || !slices.Contains(tables(""), "HOST") || tables("x") != nil {
		t.Errorf("tables without a version: %v", tables(""))
	}
}

func TestDepotChanges(t *testing.T) {
	h := hosttest.With(t, map[string]string{
		"/data/depot/firefox/firefox.files": "d 'files' 0\nf 'setup.opsiscript' 5 5d41402abc4b2a76b9719d911017c592\nf 'files/it\\'s.txt' 3 900150983cd24fb0d6963f7d28e17f72\n" +
			"f 'gone.txt' 1 x\nl 'link' 0 'setup.opsiscript'\nf 'touched.ini' 3 900150983cd24fb0d6963f7d28e17f72\nf 'same-size.ini' 3 900150983cd24fb0d6963f7d28e17f72\nnonsense\nf 'open\n",
		"/data/depot/firefox/setup.opsiscript": "hello, changed",
		"/data/depot/firefox/files/it's.txt":   "abc",
		"/data/depot/firefox/touched.ini":      "abc",
		"/data/depot/firefox/same-size.ini":    "abd",
		"/data/depot/firefox/custom/a/b":       "x",
		"/data/depot/own/setup.opsiscript":     "no list",
		"/data/depot/readme":                   "x",
	})
	list, err := h.Path("/data/depot/firefox/firefox.files")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Hour)
	if err := os.Chtimes(list, before, before); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("setup.opsiscript", filepath.Join(filepath.Dir(list), "link")); err != nil {
		t.Fatal(err)
	}
	want := "/data/depot/firefox/custom\n/data/depot/firefox/gone.txt (gone)\n/data/depot/firefox/same-size.ini\n/data/depot/firefox/setup.opsiscript"
	if got := ask(t, h, "depot_changes", ""); got != want {
		t.Errorf("%s", got)
	}
	for changes, holds := range map[string]bool{want: true, "": true, "/data/depot/firefox/custom": true, want + "\n/data/depot/firefox/new": false} {
		got, why, err := depotHolds(context.Background(), profile.Scope{Host: h}, &DepotOptions{Changes: changes, Dir: "/data/depot"})
		if err != nil || got != holds || why == "" || strings.Contains(why, "/new") == holds {
			t.Errorf("%q: %v, %s, %v", changes, got, why, err)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("d 'files' 0\nf 'it\\'s.txt' 3 900150983cd24fb0d6963f7d28e17f72\nl 'a b' 0 'c'\n")
	f.Add("f 'open\nf '' 0\nf 'x' -1\nd'y' 0")
	f.Fuzz(func(t *testing.T, text string) {
		for name, e := range parseFiles(text) {
			if name == "" || e.size < 0 || !strings.ContainsRune("dfl", rune(e.kind)) {
				t.Errorf("%q: %q %+v", text, name, e)
			}
		}
	})
}
