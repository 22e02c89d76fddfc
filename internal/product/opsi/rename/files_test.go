package rename

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
)

// before and after are the files that a renaming touches; the others stay.
var before = map[string]string{
	"etc/opsi/opsi.conf":                               "[host]\nid = \"opsi.old.example\"\nkey = \"0123\"\n[service]\nurl = \"https://opsi.old.example:4447\"\n",
	"etc/opsi/backends/jsonrpc.conf":                   "config = {'address': u'https://opsi:4447/opsi'}\n",
	"etc/opsi/package-updater.repos.d/x.repo":          "baseUrl = https://opsi.uib.example/opsi\n",
	"etc/opsi/modules":                                 "customer = opsi.old.example\n",
	"etc/opsi/ä b.conf":                                "# Grüße an opsi.old.example\n",
	"etc/opsi/pckeys":                                  "srv2.new.example:99\nopsi.old.example:01\npc1.old.example:02\n",
	"var/lib/opsi/config/depots/opsi.old.example.ini":  "[depotshare]\nremoteurl = smb://opsi/opsi_depot\nlocalurl = file:///var/lib/opsi/depot\n",
	"var/lib/opsi/config/depots/depot.old.example.ini": "[depotserver]\nmasterdepotid = opsi.old.example\n",
	"var/lib/opsi/config/clients/pc1.old.example.ini":  "[info]\nnotes = depends on opsi.old.example\n[generalconfig]\nclientconfig.depot.id = [\"opsi.old.example\"]\n",
	"var/lib/opsi/config/clients/srv2.new.example.ini": "[info]\ndescription = to be replaced\n",
	"var/lib/opsi/config/clientgroups.ini":             "[servers]\nopsi.old.example = 1\nsrv2.new.example = 1\npc1.old.example = 1\n",
	"var/lib/opsi/config/config.ini":                   "[clientconfig.depot.id]\ndefaultvalues = [\"opsi.old.example\"]\n",
	"var/lib/opsi/config/audit/opsi.old.example.hw":    "[bios]\nhost = opsi.old.example\n",
	"var/lib/opsi/config/products/opsi_1-1.localboot":  "[Product]\ndescription = opsi at /opsi.old.example/x\n",
	"etc/dhcp/dhcpd.conf":                              "next-server opsi.old.example;\nhost pc1 { filename \"opsi/pxelinux.0\"; }\n",
	"etc/opsi/ssl/opsiconfd-cert.pem":                  "",
	"etc/opsi/.lifeboat-aside-1.x/opsi/opsi.conf":      "id = opsi.old.example\n",
	"etc/opsi/binary":                                  "opsi.old.example\x00",
}

var after = map[string]string{
	"etc/opsi/opsi.conf":                               "[host]\nid = \"srv2.new.example\"\nkey = \"0123\"\n[service]\nurl = \"https://srv2.new.example:4447\"\n",
	"etc/opsi/backends/jsonrpc.conf":                   "config = {'address': u'https://srv2:4447/opsi'}\n",
	"etc/opsi/ä b.conf":                                "# Grüße an srv2.new.example\n",
	"etc/opsi/pckeys":                                  "srv2.new.example:01\npc1.old.example:02\n",
	"var/lib/opsi/config/depots/opsi.old.example.ini":  "",
	"var/lib/opsi/config/depots/srv2.new.example.ini":  "[depotshare]\nremoteurl = smb://srv2/opsi_depot\nlocalurl = file:///var/lib/opsi/depot\n",
	"var/lib/opsi/config/depots/depot.old.example.ini": "[depotserver]\nmasterdepotid = srv2.new.example\n",
	"var/lib/opsi/config/clients/pc1.old.example.ini":  "[info]\nnotes = depends on opsi.old.example\n[generalconfig]\nclientconfig.depot.id = [\"srv2.new.example\"]\n",
	"var/lib/opsi/config/clients/srv2.new.example.ini": "",
	"var/lib/opsi/config/clientgroups.ini":             "[servers]\nsrv2.new.example = 1\npc1.old.example = 1\n",
	"var/lib/opsi/config/config.ini":                   "[clientconfig.depot.id]\ndefaultvalues = [\"srv2.new.example\"]\n",
	"var/lib/opsi/config/audit/opsi.old.example.hw":    "",
	"var/lib/opsi/config/audit/srv2.new.example.hw":    "[bios]\nhost = srv2.new.example\n",
	"etc/dhcp/dhcpd.conf":                              "next-server srv2.new.example;\nhost pc1 { filename \"opsi/pxelinux.0\"; }\n",
}

var places = Places{
	Trees: []string{"/etc/opsi", "/var/lib/opsi/config"}, Files: []string{"/etc/dhcp/dhcpd.conf", "/etc/opsi/pckeys", "/etc/none"},
	Base: "/var/lib/opsi/config", Keys: "/etc/opsi/pckeys",
}

func certificate(t *testing.T, id string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{id}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// machine lays the files out and returns their root.
func machine(t *testing.T) (string, *host.Host) {
	t.Helper()
	root := t.TempDir()
	for name, text := range before {
		if name == "etc/opsi/ssl/opsiconfd-cert.pem" {
			text = certificate(t, "opsi.old.example")
		}
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/opsi/opsi.conf", filepath.Join(root, "etc/opsi/link.conf")); err != nil {
		t.Fatal(err)
	}
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	return root, h
}

func texts(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		data, err := os.ReadFile(name)
		all[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func want(t *testing.T, was, now map[string]string) {
	t.Helper()
	want := maps.Clone(was)
	for name, text := range after {
		if want[name] = text; text == "" {
			delete(want, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if now[name] != want[name] {
			t.Errorf("%s is\n%s\nwant\n%s", name, now[name], want[name])
		}
	}
	for name := range now {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there", name)
		}
	}
}

func TestFiles(t *testing.T) {
	root, h := machine(t)
	was := texts(t, root)
	p, err := PlanFiles(t.Context(), h, places, names)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(texts(t, root), was) {
		t.Fatal("a plan changes something")
	}
	aside := filepath.Join(t.TempDir(), "aside")
	if err := p.Apply(t.Context(), h, aside); err != nil {
		t.Fatal(err)
	}
	want(t, was, texts(t, root))

	if link, err := os.Readlink(filepath.Join(root, "etc/opsi/link.conf")); err != nil || link != "/etc/opsi/opsi.conf" {
		t.Errorf("the link became %q %v", link, err)
	}
	info, err := os.Stat(filepath.Join(root, "etc/opsi/pckeys"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode of the host keys: %v %v", info.Mode(), err)
	}
	if kept := texts(t, aside)["var/lib/opsi/config/clients/srv2.new.example.ini"]; !strings.Contains(kept, "to be replaced") {
		t.Errorf("set aside: %q", kept)
	}
	if len(p.Left) != 4 || p.Left[3] != "opsi.old.example in a path, or written with escapes: /var/lib/opsi/config/products/opsi_1-1.localboot:2" {
		t.Errorf("left: %q", p.Left)
	}
	if len(p.Removed) != 3 {
		t.Errorf("removed: %q", p.Removed)
	}
	for _, c := range p.Changes {
		if strings.Contains(c.String(), "01") {
			t.Errorf("a key is told: %s", c)
		}
	}
	again, err := PlanFiles(t.Context(), h, places, names)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Empty() || len(again.Changes)+len(again.Removed) > 0 {
		t.Errorf("a second plan has %v %v", again.Changes, again.Removed)
	}
}

// What is kept brings everything back: the names of files, owners and rights too.
func TestFilesBack(t *testing.T) {
	root, h := machine(t)
	was := texts(t, root)
	replaced := filepath.Join(root, "var/lib/opsi/config/clients/srv2.new.example.ini")
	if err := os.Chmod(replaced, 0o664); err != nil {
		t.Fatal(err)
	}
	p, err := PlanFiles(t.Context(), h, places, names)
	if err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(t.TempDir(), "aside")
	if err := p.Apply(t.Context(), h, aside); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.UnwriteAll(aside, func(path string) (bool, error) { return path == "/etc/opsi/pckeys", nil }); err != nil {
			t.Fatal(err)
		}
	}
	now := texts(t, root)
	if now["etc/opsi/pckeys"] != after["etc/opsi/pckeys"] {
		t.Errorf("what was left out came back: %q", now["etc/opsi/pckeys"])
	}
	now["etc/opsi/pckeys"] = was["etc/opsi/pckeys"]
	if !maps.Equal(was, now) {
		t.Errorf("was\n%v\nis\n%v", was, now)
	}
	if info, err := os.Stat(replaced); err != nil || info.Mode().Perm() != 0o664 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// The files that dhcpd.conf includes are those that the one that is there now names,
// wherever in a line.
func TestDHCP(t *testing.T) {
	root, h := machine(t)
	for name, text := range map[string]string{
		"etc/dhcp/dhcpd.conf":   "# include \"/etc/dhcp/other.conf\";\ngroup { include \"/etc/dhcp/a b.conf\"; }\n",
		"etc/dhcp/a b.conf":     "next-server opsi.old.example; include \"/srv/hosts.conf\";\n",
		"srv/hosts.conf":        "# opsi.old.example\ninclude \"/srv/missing.conf\";\ninclude \"/etc/dhcp/dhcpd.conf\";\n",
		"etc/dhcp/other.conf":   "next-server opsi.old.example;\n",
		"etc/dhcp/former.conf":  "next-server opsi.old.example;\n",
		"etc/opsi/include.conf": "include \"/etc/dhcp/former.conf\";\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Plan(t.Context(), product.RenameEnv{Host: h, From: names.Old, To: names.New, Part: PartDHCP, Settings: map[string]string{"dhcpd_conf": "/etc/dhcp/dhcpd.conf"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/dhcp/a b.conf:1: opsi.old.example → srv2.new.example", "/srv/hosts.conf:1: opsi.old.example → srv2.new.example"}
	if !slices.Equal(p.Changes, want) {
		t.Errorf("changes %q", p.Changes)
	}
}

// However far a killed run got, the next one ends with the same files.
func TestFilesKilled(t *testing.T) {
	for done := range 20 {
		root, h := machine(t)
		was := texts(t, root)
		aside := filepath.Join(t.TempDir(), "aside")
		p, err := PlanFiles(t.Context(), h, places, names)
		if err != nil {
			t.Fatal(err)
		}
		part := &FilesPlan{edits: p.edits[:min(done, len(p.edits))]}
		if rest := done - len(p.edits); rest > 0 {
			part.gone = p.gone[:min(rest, len(p.gone))]
			if rest -= len(p.gone); rest > 0 {
				part.moves = p.moves[:min(rest, len(p.moves))]
			}
		}
		for range 2 {
			if err := part.Apply(t.Context(), h, aside); err != nil {
				t.Fatal(err)
			}
			if part, err = PlanFiles(t.Context(), h, places, names); err != nil {
				t.Fatal(err)
			}
		}
		want(t, was, texts(t, root))
		if !part.Empty() {
			t.Errorf("after %d: not at its end", done)
		}
		if kept := texts(t, aside)["var/lib/opsi/config/clients/srv2.new.example.ini"]; !strings.Contains(kept, "to be replaced") {
			t.Errorf("after %d: set aside: %q", done, kept)
		}
	}
}
