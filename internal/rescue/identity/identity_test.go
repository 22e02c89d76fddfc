package identity

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lifeboat/internal/fleet/record"
)

func TestValues(t *testing.T) {
	for _, try := range []struct {
		name  string
		judge func(string) (string, error)
		good  map[string]string
		bad   []string
	}{
		{
			"serial", Serial,
			map[string]string{" CZC1234ABC ": "czc1234abc", "VMware-42 1a 2b": "vmware-42 1a 2b", "PF-0XY12": "pf-0xy12", "7C3K9": "7c3k9"},
			[]string{"", "To be filled by O.E.M.", "Default string", "System Serial Number", "None", "Not Specified", "N/A", "0", "00000000", "XXXXXXXXXX", "....", "123456789", "0123456789", "ab", "a\x1b[2Jbcdef", "ümlaut1", strings.Repeat("a1", 200)},
		},
		{
			"uuid", UUID,
			map[string]string{"4C4C4544-0042-3010-8056-B4C04F4E4A31": "4c4c4544-0042-3010-8056-b4c04f4e4a31", "4c4c4544004230108056b4c04f4e4a31": "4c4c4544-0042-3010-8056-b4c04f4e4a31"},
			[]string{"", "x", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "03000200-0400-0500-0006-000700080009", "Not Settable", "4c4c4544-0042-3010-8056-b4c04f4e4a3", "4c4c4544--0042-3010-8056-b4c04f4e4a31"},
		},
		{
			"mac", MAC,
			map[string]string{"52-54-00-AB-CD-EF": "52:54:00:ab:cd:ef", "0:0:0:0:0:1": "", "00:1b:21:00:00:01": "00:1b:21:00:00:01"},
			[]string{"", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:00:5e:10:00:00:00:01"},
		},
		{
			"hostname", Hostname,
			map[string]string{"SMT1.Example.com.": "smt1.example.com", "server17": "server17", "rescuer": "rescuer", "live.example.com": "", "db_1": "db_1"},
			[]string{"", "localhost", "localhost.localdomain", "LOCALHOST", "rescue", "rescue2", "rescue-03", "debian", "archiso", "sysresccd", "(none)", "10.0.0.7", "::1", "a b", "a/b", "../x", "-x", "a..b", ".a", strings.Repeat("a", 300)},
		},
	} {
		for text, want := range try.good {
			got, err := try.judge(text)
			if want == "" && err != nil {
				continue
			}
			if err != nil || got != want {
				t.Errorf("%s %q: %q, %v", try.name, text, got, err)
			}
		}
		for _, text := range try.bad {
			if got, err := try.judge(text); err == nil || got != "" {
				t.Errorf("%s %q is taken as %q", try.name, text, got)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if m := files(root); !reflect.DeepEqual(m, Machine{}) {
		t.Errorf("of nothing: %+v", m)
	}
	write(dmi+"/product_serial", "To be filled by O.E.M.\n")
	write(dmi+"/chassis_serial", "CZC1234ABC\n")
	write(dmi+"/product_uuid", "03000200-0400-0500-0006-000700080009\n")
	write("etc/hostname", "# of the image\nrescue\n")
	write("proc/sys/kernel/hostname", "smt1.example.com\n")
	want := Machine{
		Identity: record.Identity{Serial: "czc1234abc", Hostname: "smt1.example.com"},
		Refused: []Refused{
			{"serial", "To be filled by O.E.M.", "it is what makers leave in when they set none"},
			{"uuid", "03000200-0400-0500-0006-000700080009", "it is what makers leave in when they set none"},
			{"hostname", "rescue", "every rescue system may be called so"},
		},
	}
	if m := files(root); !reflect.DeepEqual(m, want) {
		t.Errorf("%+v", m)
	}
	write("etc/hostname", "a\x1b]0;gone\a\n")
	if m := files(root); strings.ContainsAny(m.Refused[2].Value, "\x1b\a") {
		t.Errorf("%q", m.Refused[2])
	}
}

func TestShared(t *testing.T) {
	a := record.Identity{Serial: "x123", MACs: []string{"00:00:00:00:00:01", "00:00:00:00:00:02"}, Hostname: "a"}
	b := record.Identity{MACs: []string{"00:00:00:00:00:02"}, Hostname: "b"}
	if got := Shared(a, b); !reflect.DeepEqual(got, []string{"mac"}) {
		t.Error(got)
	}
	if got := Shared(record.Identity{}, record.Identity{}); got != nil {
		t.Error("unknown values are not shared:", got)
	}
}
