package host

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// machine makes a host below a root from a table of files.
func machine(t *testing.T, files map[string]string) *Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h, err := At(root)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOS(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  OS
	}{
		{"os-release", map[string]string{"etc/os-release": "NAME=\"SLES\"\nID=\"sles\"\nVERSION_ID=\"12.5\"\n# x\nPRETTY_NAME='SUSE Linux Enterprise Server 12 SP5'\nID_LIKE=\"suse opensuse\"\n"}, OS{"sles", "12.5", "SUSE Linux Enterprise Server 12 SP5", []string{"suse", "opensuse"}}},
		{"only in /usr/lib", map[string]string{"usr/lib/os-release": "ID=debian\nVERSION_ID=\"12\"\n"}, OS{ID: "debian", VersionID: "12"}},
		{"SuSE-release with service pack", map[string]string{"etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 3\n"}, OS{"sles", "11.3", "SUSE Linux Enterprise Server 11 SP3", []string{"suse"}}},
		{"SuSE-release of a first release", map[string]string{"etc/SuSE-release": "SUSE Linux Enterprise Server 11 (i586)\nVERSION = 11\nPATCHLEVEL = 0"}, OS{"sles", "11", "SUSE Linux Enterprise Server 11", []string{"suse"}}},
		{"redhat-release", map[string]string{"etc/redhat-release": "CentOS release 6.10 (Final)\n"}, OS{ID: "rhel", VersionID: "6.10", Name: "CentOS release 6.10 (Final)"}},
		{"debian_version", map[string]string{"etc/debian_version": "6.0.1\n"}, OS{ID: "debian", VersionID: "6.0.1", Name: "Debian 6.0.1"}},
		{"nothing", nil, OS{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := machine(t, c.files).os(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("os() = %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestFactsOfMountedRoot(t *testing.T) {
	for _, c := range []struct {
		name       string
		files      map[string]string
		fqdn, host string
	}{
		{"SUSE's HOSTNAME", map[string]string{"etc/HOSTNAME": "smt1.example.com\n"}, "smt1.example.com", "smt1"},
		{"hosts", map[string]string{"etc/hostname": "smt1\n", "etc/hosts": "127.0.0.1 localhost\n10.0.0.5\tsmt1.lab.example smt1 # me\n"}, "smt1.lab.example", "smt1"},
		{"search domain", map[string]string{"etc/hostname": "smt1\n", "etc/resolv.conf": "search a.example b.example\nnameserver 10.0.0.1\n"}, "smt1.a.example", "smt1"},
		{"bare", map[string]string{"etc/hostname": "smt1"}, "smt1", "smt1"},
		{"none", nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := machine(t, c.files).Facts(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if f.FQDN != c.fqdn || f.Hostname != c.host {
				t.Errorf("name %q of %q, want %q of %q", f.Hostname, f.FQDN, c.host, c.fqdn)
			}
			if f.Kernel != "" || f.BootID != "" || len(f.Interfaces) != 0 {
				t.Errorf("facts of the rescue system shine through: %+v", f)
			}
		})
	}
}

func TestFactsOfThisMachine(t *testing.T) {
	f, err := Local().Facts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	name, _ := os.Hostname()
	if f.Hostname != name || f.Kernel == "" || f.Arch == "" || f.BootID == "" || f.Init == "" || f.OS.ID == "" {
		t.Errorf("facts missing: %+v", f)
	}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var back Facts
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(f, back) {
		t.Errorf("facts do not survive JSON: %v\n%s", err, text)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Local().Facts(ctx); err == nil {
		t.Error("a cancelled context is ignored")
	}
}

func TestInit(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"systemd":  {"usr/lib/systemd/systemd": "", "sbin/init": ""},
		"sysvinit": {"etc/inittab": ""},
		"openrc":   {"sbin/openrc": "", "sbin/init": ""},
		"":         nil,
	} {
		if got := machine(t, files).init(); got != want {
			t.Errorf("init() = %q, want %q", got, want)
		}
	}
}

func TestResolver(t *testing.T) {
	got := machine(t, map[string]string{"etc/resolv.conf": "; old\ndomain example.com\nnameserver 10.0.0.1 # first\nnameserver fe80::1%eth0\nsearch a b\noptions\n"}).dns()
	want := DNS{Servers: []string{"10.0.0.1", "fe80::1%eth0"}, Search: []string{"a", "b"}, Domain: "example.com"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("dns() = %+v, want %+v", got, want)
	}
}

func TestNetworkHelpers(t *testing.T) {
	n := Network{
		Interfaces: []Interface{{Name: "eth0", Addresses: []string{"10.0.0.5/24", "2001:db8::5/64"}}, {Name: "eth1"}},
		Routes:     []Route{{Destination: "default", Gateway: "10.0.0.1"}, {Destination: "10.0.0.0/24"}, {Destination: "default6"}},
	}
	if got := n.Addresses(); !reflect.DeepEqual(got, []string{"10.0.0.5", "2001:db8::5"}) {
		t.Errorf("Addresses() = %v", got)
	}
	if got := n.DefaultRoutes(); len(got) != 2 {
		t.Errorf("DefaultRoutes() = %v", got)
	}
}
