package opsi

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/host/hosttest"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/backend"
)

func bothBackends() map[string]string {
	return map[string]string{
		"etc/dhcp/dhcpd.conf":                   "",
		"var/lib/opsi/config/c":                 "",
		"etc/opsi/backends/file.conf":           "module = 'File'\nconfig = {'baseDir': '/var/lib/opsi/config', 'hostKeyFile': '/etc/opsi/pckeys'}\n",
		"etc/opsi/backends/mysql.conf":          "module = 'MySQL'\nconfig = {'address': 'localhost', 'database': 'opsi', 'username': 'opsi', 'password': 'x'}\n",
		"etc/opsi/backends/dhcpd.conf":          "module = 'DHCPD'\nconfig = {'dhcpdConfigFile': '/etc/dhcp/dhcpd.conf'}\n",
		"etc/opsi/backendManager/dispatch.conf": "license.* : mysql\n.* : file\n",
	}
}

func TestChoose(t *testing.T) {
	for asked, want := range map[string]string{
		"":           "configuration file-backend database",
		"auto":       "configuration file-backend database",
		"all":        "configuration file-backend database dhcp",
		"dhcp":       "configuration dhcp",
		"file,mysql": "configuration file-backend database",
	} {
		c, err := Choose(t.Context(), hosttest.With(t, bothBackends()), words(asked), true)
		if err != nil || strings.Join(c.Components, " ") != want {
			t.Errorf("%q: %v, %v", asked, c.Components, err)
		}
		if unused := slices.Contains(c.Components, "dhcp"); unused != (len(c.Warnings) == 1) {
			t.Errorf("%q warns %v", asked, c.Warnings)
		}
	}
	for _, c := range []struct{ gone, dispatch, asked, want, err string }{
		{"etc/dhcp/dhcpd.conf", "", "dhcp", "", "the backend dhcpd cannot be saved: /etc/dhcp/dhcpd.conf is not there"},
		{"etc/dhcp/dhcpd.conf", "", "all", "the backend dhcpd is left out", ""},
		{"etc/dhcp/dhcpd.conf", ".* : file, dhcpd\n", "dhcp", "", "/etc/dhcp/dhcpd.conf is not there"},
		{"etc/dhcp/dhcpd.conf", ".* : file, dhcpd\n", "auto", "the backend dhcpd is left out", ""},
		{"var/lib/opsi/config/c", "", "file", "", "the backend file cannot be saved: /var/lib/opsi/config is not there"},
		{"var/lib/opsi/config/c", ".* : mysql\n", "file", "", "the backend file cannot be saved"},
		{"var/lib/opsi/config/c", ".* : mysql\n", "auto", "", ""},
	} {
		files := bothBackends()
		delete(files, c.gone)
		if c.dispatch != "" {
			files["etc/opsi/backendManager/dispatch.conf"] = c.dispatch
		}
		got, err := Choose(t.Context(), hosttest.With(t, files), words(c.asked), true)
		warned := strings.Join(got.Warnings, "; ")
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || (c.want == "") != (warned == "") || !strings.Contains(warned, c.want) {
			t.Errorf("without %s, %q: %v, %v", c.gone, c.asked, got, err)
		}
		if slices.Contains(got.Components, "dhcp") {
			t.Errorf("without %s, %q: %v", c.gone, c.asked, got.Components)
		}
	}
	files := bothBackends()
	delete(files, "etc/opsi/backends/dhcpd.conf")
	if _, err := Choose(t.Context(), hosttest.With(t, files), []string{"dhcp"}, true); err == nil || !strings.Contains(err.Error(), "no backend of the sort dhcp") {
		t.Errorf("%v", err)
	}
	if _, err := Choose(t.Context(), hosttest.With(t, nil), nil, false); err == nil {
		t.Error("nothing was chosen, and that was no error")
	}
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// holding is an archive with parts.
func holding(configuration bool, parts ...archive.Part) *archive.Archive {
	a := &archive.Archive{Configuration: configuration}
	for _, p := range parts {
		a.Backends = append(a.Backends, archive.Backend{Part: p, Name: "other"})
	}
	return a
}

// Trap 3: what the archive lacks is no reason to drop what is there; trap 6: host
// keys alone are no file backend; trap 11: one that is missing keeps no other from
// being restored.
func TestTraps3And6And11ChooseFrom(t *testing.T) {
	for name, c := range map[string]struct {
		archive       *archive.Archive
		asked         string
		configuration bool
		want, err     string
	}{
		"all":                   {holding(true, archive.Files, archive.Database), "", true, "configuration file-backend database", ""},
		"the configuration not": {holding(true, archive.Files), "auto", false, "file-backend", ""},
		"trap 3":                {holding(true, archive.Files), "mysql", false, "", "no backend of the sort mysql"},
		"trap 6":                {holding(false, archive.HostKeys), "file", false, "", "no backend of the sort file"},
		"trap 11":               {holding(true, archive.Database, archive.DHCP), "auto", false, "database dhcp", ""},
		"nothing":               {holding(true), "", false, "", "nothing would be restored"},
		"no configuration":      {holding(false, archive.Files), "", true, "", "no configuration"},
	} {
		got, err := ChooseFrom(c.archive, words(c.asked), c.configuration)
		if strings.Join(got, " ") != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestTarget(t *testing.T) {
	saved := map[string]string{"file_base": "/var/lib/opsi/config", "host_keys": "/etc/opsi/pckeys", "db_name": "opsi", "dhcpd_conf": "/etc/dhcp/dhcpd.conf"}
	every := []string{"file-backend", "database", "dhcp"}
	for name, c := range map[string]struct {
		file, from, to string
		want           string
	}{
		"the same":         {"etc/opsi/backends/file.conf", "", "", ""},
		"another place":    {"etc/opsi/backends/file.conf", "/var/lib/opsi/config", "/srv/opsi", "is in /srv/opsi on this machine"},
		"other keys":       {"etc/opsi/backends/file.conf", "/etc/opsi/pckeys", "/srv/keys", "host keys"},
		"another database": {"etc/opsi/backends/mysql.conf", "'database': 'opsi'", "'database': 'opsi2'", "is called opsi2"},
		"not used":         {"etc/opsi/backendManager/dispatch.conf", "mysql", "file", "no backend of the sort mysql"},
		"LDAP":             {"etc/opsi/backends/file.conf", "'File'", "'LDAP'", "opsi-convert"},
		"another DHCP":     {"etc/opsi/backends/dhcpd.conf", "/etc/dhcp/", "/etc/dhcp3/", "/etc/dhcp3/dhcpd.conf on this machine"},
	} {
		files := bothBackends()
		if c.from != "" {
			files[c.file] = strings.Replace(files[c.file], c.from, c.to, 1)
		}
		got, access, err := Target(t.Context(), hosttest.With(t, files), saved, every)
		if err != nil || (c.want == "") != (len(got) == 0) || !strings.Contains(strings.Join(got, "; "), c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if c.want == "" && access["db_user"] != "opsi" || access["db_password"] != "" {
			t.Errorf("%s: access %v", name, access)
		}
	}
}

// What an archive without a configuration holds goes where this machine's opsi looks.
func TestHere(t *testing.T) {
	found := func(configuration bool) *product.Import {
		i := &product.Import{
			Files:    []product.ImportFile{{Path: "/var/lib/opsi/config", Component: "file-backend"}, {Path: "/etc/opsi/pckeys", Component: "file-backend"}},
			Dumps:    []product.ImportDump{{Database: "opsi"}},
			Settings: map[string]string{"file_base": "/var/lib/opsi/config", "host_keys": "/etc/opsi/pckeys", "host_keys_inside": "/etc/opsi/pckeys", "db_name": "opsi"},
		}
		if configuration {
			i.Files = append(i.Files, product.ImportFile{Path: "/etc/opsi", Component: Configuration})
		}
		return i
	}
	files := bothBackends()
	files["etc/opsi/backends/file.conf"] = "module = 'File'\nconfig = {'baseDir': '/srv/opsi', 'hostKeyFile': '/srv/keys'}\n"
	files["etc/opsi/backends/mysql.conf"] = strings.Replace(files["etc/opsi/backends/mysql.conf"], "'database': 'opsi'", "'database': 'opsi2'", 1)
	h := hosttest.With(t, files)
	bare, whole := found(false), found(true)
	if err := errors.Join(Here(t.Context(), h, bare), Here(t.Context(), h, whole)); err != nil {
		t.Fatal(err)
	}
	if bare.Files[0].Path != "/srv/opsi" || bare.Files[1].Path != "/srv/keys" || bare.Dumps[0].Database != "opsi2" || bare.Settings["host_keys_inside"] != "" {
		t.Errorf("%+v", bare)
	}
	if differences, _, err := Target(t.Context(), h, bare.Settings, []string{"file-backend", "database"}); err != nil || len(differences) != 0 {
		t.Errorf("%q, %v", differences, err)
	}
	if !reflect.DeepEqual(whole, found(true)) {
		t.Errorf("with a configuration, which says it: %+v", whole)
	}
}

// The host keys of this machine do not go because an archive has none.
func TestKeysLost(t *testing.T) {
	both, bare := bothBackends(), bothBackends()
	both["etc/opsi/pckeys"] = "x"
	for name, c := range map[string]struct {
		files      map[string]string
		components string
		backends   string
		keys       string // "file", "configuration" or none
		lost       bool
	}{
		"no keys":                {both, "configuration,file-backend", "file", "", true},
		"none here":              {bare, "configuration,file-backend", "file", "", false},
		"they stay":              {both, "file-backend", "file", "", false},
		"beside":                 {both, "configuration,file-backend", "file", "file", false},
		"beside, and not chosen": {both, "configuration,database", "file mysql", "file", true},
		"inside":                 {both, "configuration,database", "file mysql", "configuration", false},
		"no file backend":        {both, "configuration,database", "mysql", "", false},
	} {
		found := &product.Import{Dir: t.TempDir(), Settings: map[string]string{"backends": c.backends, "host_keys": "/etc/opsi/pckeys"}}
		switch c.keys {
		case "file":
			found.Files = []product.ImportFile{{Path: "/etc/opsi/pckeys", Component: "file-backend"}}
		case "configuration":
			at := filepath.Join(found.Dir, configurationDir)
			if err := errors.Join(os.MkdirAll(at, 0o700), os.WriteFile(filepath.Join(at, "pckeys"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := KeysLost(t.Context(), hosttest.With(t, c.files), found, words(c.components))
		if err != nil || (got != "") != c.lost {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestUnusable(t *testing.T) {
	for name, c := range map[string]struct {
		server  backend.Server
		version string
		want    string
	}{
		"nothing":      {backend.Server{}, "4.2.0.1", "no file of a backend"},
		"no dispatch":  {backend.Server{Confs: []backend.Conf{{Name: "file", Module: "File"}}}, "4.2.0.1", "no dispatch.conf"},
		"4.3 has none": {backend.Server{Confs: []backend.Conf{{Name: "mysql", Module: "MySQL"}}}, "4.3.0.28", ""},
		"lacking":      {backend.Server{Confs: []backend.Conf{{Name: "file", Module: "File"}}}, "4.3.0.28", "no file for the backend mysql"},
		"unreadable":   {backend.Server{Confs: []backend.Conf{{Name: "mysql", Err: errors.New("line 2")}}}, "4.3.0.28", "mysql, which opsi used, cannot be read: line 2"},
		"bad dispatch": {backend.Server{DispatchErr: errors.New("dispatch.conf is odd")}, "4.2.0.1", "dispatch.conf is odd"},
	} {
		s := &saved{server: &c.server, archive: &archive.Archive{Info: archive.Info{OpsiVersion: c.version}}}
		used, lacking := c.server.Used(c.version)
		s.used = used
		if got := strings.Join(s.unusable(lacking), "; "); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestCheckBackends(t *testing.T) {
	for word, want := range map[string]string{"auto": "", "all": "", "file": "", "mysql": "", "dhcp": "", "ldap": "opsi-convert ldap file", "fiel": "there is no backend"} {
		err := CheckBackends([]string{word})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", word, err)
		}
	}
}
