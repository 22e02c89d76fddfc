package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseMount(t *testing.T) {
	for line, want := range map[string][2]string{
		"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue": {"/mnt2", "ext3"},
		`43 0 254:0 / /with\040space\134x rw - xfs /dev/vda rw`:                          {`/with space\x`, "xfs"},
		"1 2 3:4 / / rw shared:1 master:2 unbindable - btrfs /dev/sda rw,subvol=/@":      {"/", "btrfs"},
	} {
		at, kind, ok := parseMount(line)
		if !ok || at != want[0] || kind != want[1] {
			t.Errorf("%s: %q %q %v", line, at, kind, ok)
		}
	}
	for _, line := range []string{"", "-", "1 2 3 - ext4", "36 35 98:0 /mnt1 /mnt2 rw,noatime", "36 35 98:0 / / rw -"} {
		if at, kind, ok := parseMount(line); ok {
			t.Errorf("%q was taken: %q %q", line, at, kind)
		}
	}
}

func TestOverlayOptionsAreQuoted(t *testing.T) {
	if got := escape(`/a:b,c\d`); got != `/a\:b\,c\\d` {
		t.Error(got)
	}
}

func TestWithinAndCovers(t *testing.T) {
	layers := []layer{{Mount: "/"}, {Mount: "/var"}, {Mount: "/var/lib"}}
	for path, want := range map[string]int{"/": 0, "/etc": 0, "/variable": 0, "/var": 1, "/var/log": 1, "/var/lib/mysql": 2} {
		if got := covers(layers, path); got != want {
			t.Errorf("%s: layer %d, want %d", path, got, want)
		}
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, opts := range map[string]Options{
		"no directory":   {},
		"root empty":     {Dir: "/var/tmp/none", Empty: []string{"/x/.."}},
		"relative empty": {Dir: "/var/tmp/none", Empty: []string{"etc"}},
		"relative bind":  {Dir: "/var/tmp/none", Binds: []Bind{{Source: "a", Target: "/b"}}},
		"no such root":   {Dir: "/var/tmp/none", Root: "/does/not/exist"},
	} {
		if _, err := plan(opts); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestRemoveRefusesWhatIsNoSandbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make and remove sandboxes")
	}
	dir := t.TempDir()
	write(t, dir+"/precious", "x")
	if err := Remove(context.Background(), dir); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Error(err)
	}
	if _, err := Open(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Create(t.Context(), Options{Dir: dir}); err == nil {
		t.Error("a directory that is not empty was taken")
	}
	// What a creation that was killed leaves: an image without a record.
	half := filepath.Join(t.TempDir(), "half")
	write(t, half+"/layers.img", "x")
	write(t, half+"/layers/x", "x")
	if err := Remove(context.Background(), half); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Error("it is still there")
	}
}
