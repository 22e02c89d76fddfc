package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A tree as sysfs has it: a partition of sda and a whole sdb below LVM, two disks
// below a RAID with encryption on it, a btrfs over both.
func sysfs(t *testing.T) devices {
	t.Helper()
	sys := t.TempDir()
	device := func(path, number string, below ...string) {
		dir := filepath.Join(sys, "devices", path)
		if err := os.MkdirAll(filepath.Join(dir, "slaves"), 0o755); err != nil {
			t.Fatal(err)
		}
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write("dev", number+"\n")
		if strings.Contains(path, "/") {
			write("partition", "1\n")
		}
		for _, b := range below {
			if err := os.Symlink(filepath.Join(sys, "devices", b), filepath.Join(dir, "slaves", filepath.Base(b))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(sys, "dev/block"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(dir, filepath.Join(sys, "dev/block", number)); err != nil {
			t.Fatal(err)
		}
	}
	device("sda", "8:0")
	device("sda/sda2", "8:2")
	device("sdb", "8:16")
	device("dm-0", "253:0", "sda/sda2", "sdb")
	device("sdc", "8:32")
	device("sdd", "8:48")
	device("md0", "9:0", "sdc", "sdd")
	device("dm-1", "253:1", "md0")
	fs := filepath.Join(sys, "fs/btrfs/uuid/devices")
	if err := os.MkdirAll(fs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"sda/sda2", "dm-1"} {
		if err := os.Symlink(filepath.Join(sys, "devices", d), filepath.Join(fs, filepath.Base(d))); err != nil {
			t.Fatal(err)
		}
	}
	return devices{sys}
}

func TestDisksAreFoundThroughWhatIsBetween(t *testing.T) {
	d := sysfs(t)
	for _, c := range []struct {
		number string
		want   []string
	}{
		{"8:0", []string{"sda"}},
		{"8:2", []string{"sda"}},
		{"253:0", []string{"sda", "sdb"}},
		{"253:1", []string{"sdc", "sdd"}},
	} {
		if got, err := d.block(c.number, 0); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v", c.number, got, err, c.want)
		}
	}
	if _, err := d.block("1:1", 0); !errors.Is(err, ErrNoDisk) {
		t.Errorf("a device that is not there: %v", err)
	}
	if got, err := d.btrfs("8:2"); err != nil || !slices.Equal(got, []string{"253:1", "8:2"}) {
		t.Errorf("btrfs: %v %v", got, err)
	}
}

func TestWhatLiesOnNoDisk(t *testing.T) {
	if disks, err := Disks("/proc/self"); !errors.Is(err, ErrNoDisk) {
		t.Errorf("/proc: %v %v", disks, err)
	}
	// What cannot be told is told, and one file system is one whatever it lies on.
	if shared, err := SharedDisks("/proc", t.TempDir()); !errors.Is(err, ErrNoDisk) || len(shared) > 0 {
		t.Errorf("/proc and a directory share %v %v", shared, err)
	}
	if shared, err := SharedDisks("/proc/self", "/proc/1"); err != nil || len(shared) != 1 || !strings.HasPrefix(shared[0], "one file system (proc") {
		t.Errorf("/proc shares with itself %v %v", shared, err)
	}
	// An upper layer by a relative path, or at a place that lies in the overlay itself.
	for _, upper := range []string{"memory/upper", t.TempDir()} {
		at, err := MountAt(upper)
		if err != nil {
			t.Fatal(err)
		}
		if disks, err := (devices{sys: "/sys"}).mount(Mount{ID: at.ID, Type: "overlay", Super: "rw,upperdir=" + upper}, 0); !errors.Is(err, ErrNoDisk) {
			t.Errorf("%s: %v %v", upper, disks, err)
		}
	}
}

func TestMounts(t *testing.T) {
	all, err := readMounts(strings.NewReader(`22 1 8:2 /@ / rw,relatime shared:1 - btrfs /dev/sda2 rw,subvolid=256,subvol=/@
30 22 0:20 / /mnt/a\040b rw - nfs4 server:/srv rw,vers=4.2
31 22 8:2 /@home /home rw master:3 - btrfs /dev/sda2 rw,subvolid=257,subvol=/@home
32 31 0:25 / /home rw - tmpfs tmpfs rw
33 22 11:0 / /media ro - iso9660 /dev/sr0 ro
`))
	if err != nil || len(all) != 5 {
		t.Fatal(all, err)
	}
	for path, want := range map[string]string{"/etc": "/@", "/mnt/a b/c": "nfs4", "/homes": "/@", "/home/x": "tmpfs", "/": "/@"} {
		m, err := mountOf(all, path)
		if err != nil || m.Root != want && m.Type != want {
			t.Errorf("%s: %+v %v, want %s", path, m, err, want)
		}
	}
	if v, ok := all[0].Option("subvolid"); !ok || v != "256" {
		t.Error(v, ok)
	}
	for i, want := range []bool{true, false, true, false, false} {
		if all[i].Local() != want {
			t.Errorf("%+v: local %v", all[i], !want)
		}
	}
	for _, bad := range []string{"x\n", "1 2 3:4 / / rw\n", "1 2 3:4 / - ext4 x rw\n"} {
		if _, err := readMounts(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if got := unescape(`a\040b\134\9`); got != `a b\\9` {
		t.Error(got)
	}
}
