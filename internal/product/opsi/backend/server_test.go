package backend

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"lifeboat/internal/host"
)

const (
	mysqlConf = "module = 'MySQL'\nconfig = {'address': '127.0.0.1', 'password': 'opsi'}\n"
	fileConf  = "module = 'File'\nconfig = {'baseDir': '/var/lib/opsi/config', 'hostKeyFile': '/etc/opsi/pckeys'}\n"
	shipped   = "# how methods are dispatched\nbackend_.*          : file, mysql, opsipxeconfd\nhost_.*: file, opsipxeconfd\n; old\nlicense.*|audit.*: mysql\n.*: file,\n"
)

func etc(files map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, text := range files {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

func names(confs []Conf) string {
	var list []string
	for _, c := range confs {
		list = append(list, c.Name)
	}
	return strings.Join(list, " ")
}

func TestUsed(t *testing.T) {
	hybrid := map[string]string{
		"backends/mysql.conf": mysqlConf, "backends/file.conf": fileConf, "backends/opsipxeconfd.conf": "module = 'OpsiPXEConfd'",
		"backendManager/dispatch.conf": shipped,
	}
	without := func(name string, from map[string]string) map[string]string {
		to := maps.Clone(from)
		delete(to, name)
		return to
	}
	depot := map[string]string{"backends/mysql.conf": mysqlConf, "opsi.conf": "[host]\nid = \"depot1.example.com\"\nserver-role = \"depotserver\"\n"}
	for _, test := range []struct {
		name          string
		files         map[string]string
		version       string
		used, lacking string
	}{
		{"hybrid", hybrid, "4.2.0.309", "file mysql opsipxeconfd", ""},
		{"hybrid, version unknown", hybrid, "", "file mysql opsipxeconfd", ""},
		{"a file is missing", without("backends/opsipxeconfd.conf", hybrid), "4.2", "file mysql", "opsipxeconfd"},
		{"4.3", without("backendManager/dispatch.conf", hybrid), "4.3.0.45", "mysql", ""},
		{"no dispatch, version unknown", without("backendManager/dispatch.conf", hybrid), "", "mysql", ""},
		{"no dispatch, 4.2", without("backendManager/dispatch.conf", hybrid), "4.2.0.1", "", ""},
		{"4.3 with what 4.2 left", map[string]string{"backends/mysql.conf": mysqlConf, "backends/file.conf": fileConf, "backendManager/dispatch.conf": ".*: file"}, "4.10", "mysql file", ""},
		{"depot of 4.3", depot, "4.3.0.1", "", ""},
		{"no opsi", nil, "", "", ""},
	} {
		s, err := ReadFS(etc(test.files))
		if err != nil {
			t.Fatal(err)
		}
		used, lacking := s.Used(test.version)
		if names(used) != test.used || strings.Join(lacking, " ") != test.lacking {
			t.Errorf("%s: %s; without %s", test.name, names(used), lacking)
		}
	}
}

func TestDispatchKeepsCountOfBadLines(t *testing.T) {
	d, err := parseDispatch([]byte("\ufeffa : b\n\nc\n: d\ne:\nf : , \n(?:x).* : g"))
	if err != nil || !slices.Equal(d.Bad, []int{3, 4, 5, 6}) || len(d.Rules) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestConfs(t *testing.T) {
	s, err := ReadFS(etc(map[string]string{
		"backends/MySQL.old.conf": mysqlConf, "backends/mysql.conf": mysqlConf, "backends/bad.conf": "module =",
		"backends/readme.txt": "x", "backends/mysql.conf.bak": "x",
		"opsi.conf": "[host]\nid=Opsi.Example.com # me\nserver-role = configserver\n", "global.conf": "hostname = other.example.com\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if names(s.Confs) != "mysql bad mysql" || s.Confs[2].Err == nil || s.Confs[1].Err == nil || s.Confs[0].Err != nil {
		t.Errorf("%+v", s.Confs)
	}
	if s.ID != "opsi.example.com" || s.Role != "configserver" {
		t.Errorf("%q %q", s.ID, s.Role)
	}
	if s, err = ReadFS(etc(map[string]string{"global.conf": "[global]\nhostname = opsi.example.com\n"})); err != nil || s.ID != "opsi.example.com" {
		t.Errorf("%q, %v", s.ID, err)
	}
}

func TestAccess(t *testing.T) {
	conf := func(module string, config map[string]any) Conf {
		return Conf{File: "x.conf", Module: module, Config: config}
	}
	d, err := conf("MySQL", map[string]any{"address": "/run//mysqld/mysqld.sock", "password": ` it's "q#`}).Database()
	if err != nil || d != (Database{Host: "localhost", Socket: "/run/mysqld/mysqld.sock", Name: "opsi", User: "opsi", Password: ` it's "q#`}) {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err = conf("MySQL", nil).Database(); err != nil || d.Host != "127.0.0.1" || d.Socket != "" {
		t.Errorf("%+v, %v", d, err)
	}
	b, err := conf("File", nil).FileBackend()
	if err != nil || b != (FileBackend{"/var/lib/opsi/config", "/etc/opsi/pckeys"}) {
		t.Errorf("%+v, %v", b, err)
	}
	for _, bad := range []any{"config", "/", "/a\nb", Opaque{1}, int64(3)} {
		if b, err := conf("File", map[string]any{"baseDir": bad}).FileBackend(); err == nil {
			t.Errorf("%v: %+v", bad, b)
		}
	}
	if f, err := conf("DHCPD", nil).DHCPConfigFile(); f != "" || err != nil {
		t.Errorf("%q, %v", f, err)
	}
	for module, kind := range map[string]Kind{"MySQL": MySQL, "FILE": File, "DHCPD": DHCP, "LDAP": Unsupported, "HostControl": None} {
		if got := conf(module, nil).Kind(); got != kind {
			t.Errorf("%s: %s", module, got)
		}
	}
}

// Links of a machine below a root lead nowhere else, and a pipe holds nobody up.
func TestReadBelowARoot(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, "etc/opsi", name) }
	for name, text := range map[string]string{"real/mysql.conf": mysqlConf, "backendManager/dispatch.conf": shipped} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/opsi/real", at("backends")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", at("opsi.conf")); err != nil {
		t.Fatal(err)
	}
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(h)
	if err != nil || names(s.Confs) != "mysql" || s.Dispatch == nil {
		t.Errorf("%+v, %v", s, err)
	}
	empty, err := host.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Read(empty); err != nil || len(s.Confs) != 0 || s.Dispatch != nil || s.DispatchErr != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

func FuzzDispatch(f *testing.F) {
	f.Add([]byte(shipped))
	f.Add([]byte("\xef\xbb\xbfa:b,,c,\r\n:\n#\n;x:y\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDispatch(text)
		if err != nil {
			return
		}
		for _, rule := range d.Rules {
			if rule.Methods == "" || len(rule.Backends) == 0 || slices.Contains(rule.Backends, "") {
				t.Errorf("%q: %+v", text, rule)
			}
		}
	})
}
