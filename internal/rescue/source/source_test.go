package source

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/fleet/record"
)

func TestFromCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "quiet splash": "", "lifeboat.recovery_config_url=https://f": "https://f", "a RECOVERY_CONFIG_URL=http://x/$HOSTNAME b\n": "http://x/$HOSTNAME",
		"RECOVERY_CONFIG_URL=http://x lifeboat.recovery_config_url=https://f": "https://f",
		`lifeboat.recovery_config_url="file:///a b" x`:                        "file:///a b", `"RECOVERY_CONFIG_URL=http://q r"`: "http://q r",
		"RECOVERY_CONFIG_URL=a RECOVERY_CONFIG_URL=b": "b", "xRECOVERY_CONFIG_URL=a": "", "RECOVERY_CONFIG_URL": "", "RECOVERY_CONFIG_URL=": "",
	} {
		if got := FromCommandLine(line); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestLoadMedium(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rescue.yaml")
	load := func(text string, mode os.FileMode) (Medium, error) {
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return LoadMedium(file)
	}
	if _, err := LoadMedium(file); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	m, err := load("url: https://fleet.example.com:8444\nkeys: [\"ed25519:abc\"]\nca: /etc/ca.pem\nallow_static: true\n", 0o644)
	if err != nil || m.URL != "https://fleet.example.com:8444" || len(m.Keys) != 1 || m.CA != "/etc/ca.pem" || !m.AllowStatic {
		t.Errorf("%+v, %v", m, err)
	}
	for _, text := range []string{"key: x\n", "url: ftp://x\n", "url: https://$NOBODY/\n", "ca: ca.pem\n", "- x\n", strings.Repeat("#", maxMedium+1)} {
		if _, err := load(text, 0o600); err == nil {
			t.Errorf("%.30q is taken", text)
		}
	}
	if _, err := load("url: https://f\n", 0o666); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("others may write it: %v", err)
	}
}

var full = record.Identity{Hostname: "smt1.example.com", Serial: "vmware-42 1a/2b", UUID: "4c4c4544-0042-3010-8056-b4c04f4e4a31", MACs: []string{"52:54:00:00:00:01", "52:54:00:00:00:02"}}

func TestExpand(t *testing.T) {
	for _, try := range []struct {
		text, server string
		want         []string
	}{
		{"https://f.example.com:8444", "", []string{"https://f.example.com:8444/recovery/v1/configuration?hostname=smt1.example.com&mac=52%3A54%3A00%3A00%3A00%3A01&mac=52%3A54%3A00%3A00%3A00%3A02&serial=vmware-42+1a%2F2b&uuid=4c4c4544-0042-3010-8056-b4c04f4e4a31"}},
		{"https://f/", "smt1", []string{"https://f/recovery/v1/configuration?hostname=smt1.example.com&id=smt1&mac=52%3A54%3A00%3A00%3A00%3A01&mac=52%3A54%3A00%3A00%3A00%3A02&serial=vmware-42+1a%2F2b&uuid=4c4c4544-0042-3010-8056-b4c04f4e4a31"}},
		{"http://f/c/$MAC_ADDRESS.json", "", []string{"http://f/c/52:54:00:00:00:01.json", "http://f/c/52:54:00:00:00:02.json"}},
		{"http://f/c/${SERIAL}/x?h=$HOSTNAME&s=$SERIAL", "", []string{"http://f/c/vmware-42%201a%2F2b/x?h=smt1.example.com&s=vmware-42+1a%2F2b"}},
		{"http://$HOSTNAME/x", "", []string{"http://smt1.example.com/x"}},
		{"file:///media/$UUID.json", "", []string{"file:/media/4c4c4544-0042-3010-8056-b4c04f4e4a31.json"}},
		{"file:/media/a", "", []string{"file:/media/a"}},
		{"nfs://server/export/$HOSTNAME", "", []string{"nfs://server/export/smt1.example.com"}},
		{"http://f/$SERVER_ID", "a/b?c#d", []string{"http://f/a%2Fb%3Fc%23d"}},
		{"https://f/own/path", "", []string{"https://f/own/path"}},
		// What must not be.
		{"", "", nil},
		{"fleet.example.com", "", nil},
		{"ftp://x/y", "", nil},
		{"https:/x", "", nil},
		{"https://", "", nil},
		{"https://u:p@f/", "", nil},
		{"https://f/#x", "", nil},
		{"https://f/a b", "", nil},
		{"https://f/\x1b", "", nil},
		{"file://relative", "", nil},
		{"file:///x?y", "", nil},
		{"https://f/$NAME", "", nil},
		{"https://f/$", "", nil},
		{"https://f/${SERIAL", "", nil},
		{"https://f/$SERVER_ID", "", nil},
		{"file:///media/$SERIAL", "", nil},            // holds a slash
		{"https://$SERIAL/", "", nil},                 // is no server's name
		{"https://$SERVER_ID/", "evil.com/x", nil},    // nor is this
		{"https://$SERVER_ID/", "evil.com:80@f", nil}, // nor this
		{"http://f/$SERVER_ID", "a/../b", nil},        // climbs where a server unescapes
		{"http://f/$SERVER_ID/x", "..", nil},          // climbs
		{"file:///media/$SERVER_ID/x", "..", nil},     // climbs
		{"nfs://s/$SERVER_ID", "../etc/passwd", nil},  // climbs
		{"file:///m/.$SERVER_ID/x", ".", nil},         // put together
		{"https://f/" + strings.Repeat("x", 1<<14), "", nil},
	} {
		got, err := Expand(try.text, full, try.server)
		var urls []string
		for _, target := range got {
			urls = append(urls, target.URL)
		}
		if strings.Join(urls, " ") != strings.Join(try.want, " ") || (err == nil) != (try.want != nil) || err != nil && (!errors.Is(err, ErrAddress) || errors.Is(err, ErrMissing) != (try.text == "https://f/$SERVER_ID")) {
			t.Errorf("%.60q: %q, %v", try.text, urls, err)
		}
	}
	for _, text := range []string{"https://f", "http://f/$SERIAL", "http://f/$MAC_ADDRESS", "http://f/$UUID/$HOSTNAME"} {
		if got, err := Expand(text, record.Identity{}, ""); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "rescue fetch ID") {
			t.Errorf("%s of a machine without identity: %v, %v", text, got, err)
		}
	}
}

// FuzzExpand: whatever a machine is called, the address leads where the one who wrote
// it meant, with as many directories and parameters as they wrote.
func FuzzExpand(f *testing.F) {
	f.Add("https://fleet.example.com/a/$SERIAL/b?x=$HOSTNAME&y=${UUID}", "a/../b", "h&y=z", "u#v", "m")
	f.Add("file:///media/$SERIAL/$MAC_ADDRESS", "..", "h", "u", "52:54:00:00:00:01")
	f.Add("http://$HOSTNAME.example.com:80/$SERVER_ID", "s", "a.b@c/d:1", "u", "m")
	f.Add("nfs://s/$SERIAL$UUID", ".", "h", ".", "m")
	f.Fuzz(func(t *testing.T, text, serial, hostname, uuid, server string) {
		id := record.Identity{Serial: serial, Hostname: hostname, UUID: uuid, MACs: []string{"52:54:00:00:00:01"}}
		got, err := Expand(text, id, server)
		if err != nil {
			return
		}
		// The same with values that can do no harm.
		tame, err := Expand(text, record.Identity{Serial: "s", Hostname: "s", UUID: "s", MACs: []string{"s"}}, "s")
		if err != nil {
			t.Skip()
		}
		for i, target := range got {
			scheme, rest, _ := strings.Cut(target.URL, ":")
			if scheme == "file" || scheme == "nfs" { // used as they are
				_, want, _ := strings.Cut(tame[i].URL, ":")
				if strings.Count(rest, "/") != strings.Count(want, "/") || strings.ContainsAny(rest, "\x00\n") || strings.Contains("/"+rest+"/", "/../") {
					t.Fatalf("%q became %q", text, target.URL)
				}
				continue
			}
			a, errA := url.Parse(target.URL)
			b, errB := url.Parse(tame[i].URL)
			if (errA == nil) != (errB == nil) {
				t.Fatalf("%q became %q: %v", text, target.URL, errA)
			}
			if errA != nil {
				continue
			}
			if !strings.Contains(strings.Split(text, "/")[2], "$") && a.Host != b.Host || a.User != nil || a.Fragment != "" ||
				strings.Count(a.EscapedPath(), "/") != strings.Count(b.EscapedPath(), "/") {
				t.Fatalf("%q became %q", text, target.URL)
			}
			if _, whole, _ := strings.Cut(text, "?"); whole != "" && len(a.Query()) > len(b.Query())+strings.Count(whole, "$") {
				t.Fatalf("%q became %q", text, target.URL)
			}
		}
	})
}

func TestFilesAreFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{fifo: ErrNoFile, dir: ErrNoFile, "/dev/zero": ErrNoFile, filepath.Join(dir, "none"): os.ErrNotExist} {
		if _, err := c.Get(t.Context(), "file:"+name, Request{}); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readFile("/proc/self/maps", 10); !errors.Is(err, ErrLarge) {
		t.Error(err)
	}
	for _, target := range []string{"nfs://server", "nfs://server/", "nfs://-o/x", "nfs://a,b/x", "nfs://a b/x"} {
		if _, err := c.Get(t.Context(), target, Request{}); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", target, err)
		}
	}
}
