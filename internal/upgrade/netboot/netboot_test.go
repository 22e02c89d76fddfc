package netboot

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/upgrade/boot"
)

func TestWriteAndRemove(t *testing.T) {
	dir := t.TempDir()
	target := Target{Dir: dir, MAC: net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}, Parameters: []string{"upgrade=1", "install=http://10.0.0.1/sles12", "autoupgrade=1"}}
	if err := os.Mkdir(filepath.Join(dir, "pxelinux.cfg"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pxelinux.cfg/default"), []byte("LOCALBOOT 0\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be repeated
		if err := target.Write(strings.NewReader("kernel"), strings.NewReader("initrd")); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"lifeboat/01-52-54-00-12-34-56/linux":  "kernel",
		"lifeboat/01-52-54-00-12-34-56/initrd": "initrd",
		"pxelinux.cfg/01-52-54-00-12-34-56":    "  APPEND upgrade=1 install=http://10.0.0.1/sles12 autoupgrade=1\n",
		"grub.cfg-01-52-54-00-12-34-56":        "  linux /lifeboat/01-52-54-00-12-34-56/linux upgrade=1 install=http://10.0.0.1/sles12 autoupgrade=1\n",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		info, statErr := os.Stat(filepath.Join(dir, name))
		if err := errors.Join(err, statErr); err != nil || !strings.Contains(string(text), want) || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %q, %v, %v", name, text, info.Mode(), err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "pxelinux.cfg")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the administrator's directory: %v, %v", info.Mode(), err)
	}
	if removed, err := target.Remove(); err != nil || !removed {
		t.Errorf("%v, %v", removed, err)
	}
	if removed, err := target.Remove(); err != nil || removed {
		t.Errorf("again: %v, %v", removed, err)
	}
	var left []string
	if err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if !d.IsDir() {
			left = append(left, name)
		}
		return err
	}); err != nil || len(left) != 1 || !strings.HasSuffix(left[0], "default") {
		t.Errorf("left: %q, %v", left, err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	mac := net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	for name, parameters := range map[string][]string{
		"no upgrade":  {"install=http://x/"},
		"taken back":  {"upgrade=1", "install=http://x/", "upgrade=0"},
		"second line": {"upgrade=1", "install=http://x/\n  KERNEL evil"},
		"script":      {"upgrade=1", "install=http://x/;reboot"},
	} {
		err := Target{Dir: dir, MAC: mac, Parameters: parameters}.Write(strings.NewReader("k"), strings.NewReader("i"))
		if err == nil || name == "no upgrade" && !errors.Is(err, boot.ErrNotUpgrade) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("written: %v, %v", left, err)
	}
	foreign := filepath.Join(dir, "grub.cfg-01-52-54-00-12-34-56")
	if err := os.WriteFile(foreign, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	target := Target{Dir: dir, MAC: mac, Parameters: []string{"upgrade=1"}}
	if err := target.Write(strings.NewReader("k"), strings.NewReader("i")); !errors.Is(err, ErrForeign) {
		t.Errorf("over another's: %v", err)
	}
	if _, err := target.Remove(); !errors.Is(err, ErrForeign) {
		t.Errorf("remove another's: %v", err)
	}
}
