package disks

import (
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"lifeboat/internal/host"
)

const listed = `{"blockdevices": [
 {"name":"sda","type":"disk","size":"1000204886016","model":"WDC   WD10\u001b[31m","serial":"X1","tran":"sata","rota":"1","rm":"0","fstype":null,"children":[
  {"name":"sda1","type":"part","size":536870912,"fstype":"vfat","mountpoint":"/boot/efi","label":"EFI"},
  {"name":"sda2","type":"part","size":999000000000,"fstype":"crypto_LUKS","children":[{"name":"c","type":"crypt","size":998000000000,"fstype":"LVM2_member","children":[
   {"name":"system-root","type":"lvm","size":50000000000,"fstype":"ext4","mountpoint":"/"}]}]}]},
 {"name":"sdb","type":"disk","size":250000000000,"rota":false,"rm":false},
 {"name":"sdc","type":"disk","size":16000000000,"rm":true},{"name":"sdd","type":"disk","size":16000000000,"tran":"usb"},
 {"name":"loop0","type":"loop","size":1000,"fstype":"squashfs"},{"name":"sr0","type":"rom","size":1000},{"name":"zram0","type":"disk","size":1000},{"name":"../x","type":"disk","size":1}]}`

func TestLayout(t *testing.T) {
	disks, err := parseDevices([]byte(listed))
	if err != nil {
		t.Fatal(err)
	}
	l := Layout{Disks: disks}
	want := []string{
		"sda  931.5 GiB  WDC WD10?[31m  serial X1  sata", `  sda1  512 MiB  vfat  "EFI"  /boot/efi`, "  sda2  930.4 GiB  crypto_LUKS",
		"    c  929.5 GiB  crypt  LVM2_member", "      system-root  46.6 GiB  lvm  ext4  /", "sdb  232.8 GiB",
	}
	lines := l.Lines()
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "WDC   WD10", "WDC WD10")
	}
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i := range want {
		if strings.Join(strings.Fields(lines[i]), " ") != strings.Join(strings.Fields(want[i]), " ") {
			t.Errorf("got %q, want %q", lines[i], want[i])
		}
	}
	if !l.Disks[0].hasLVM() || !l.Disks[0].Spins || l.Disks[1].Spins {
		t.Errorf("%+v", l.Disks)
	}
	if lacks := l.Lacks(l); len(lacks) != 0 {
		t.Errorf("it lacks of itself: %q", lacks)
	}
	if lacks := l.Lacks(Layout{Disks: []Device{{Name: "vda", Type: "disk", Size: 1 << 30}}}); len(lacks) != 2 || !strings.Contains(lacks[0], "vda (1 GiB) is smaller than sda was") || !strings.Contains(lacks[1], "no disk for what was on sdb") {
		t.Errorf("%q", lacks)
	}
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Parse(text); err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("%+v, %v", again, err)
	}
}

// A real loop device with a partition table, as the machine's own tools tell of it.
func TestRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a loop device")
	}
	file := t.TempDir() + "/disk"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 64<<20); err != nil {
		t.Fatal(err)
	}
	sfdisk := exec.Command("sfdisk", "--quiet", file)
	sfdisk.Stdin = strings.NewReader("label: gpt\nsize=8MiB, name=\"EFI\", type=uefi\nname=\"data\"\n")
	if out, err := sfdisk.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--partscan", file).Output()
	if err != nil {
		t.Skip("needs loop devices: " + err.Error())
	}
	device := strings.TrimSpace(string(out))
	defer func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v\n%s", err, out)
		}
	}()
	l, err := Read(t.Context(), host.Local())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range l.Disks {
		if "/dev/"+d.Name != device {
			continue
		}
		if d.Size != 64<<20 || d.Table == nil || d.Table.Label != "gpt" || len(d.Table.Partitions) != 2 || d.Table.Partitions[0].Name != "EFI" ||
			d.Table.Partitions[0].Size*d.Table.Sector != 8<<20 { // the kernel here need not know the table
			t.Errorf("%+v %+v", d, d.Table)
		}
		return
	}
	t.Errorf("%s is not among %q, %q", device, l.Lines(), l.Notes)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(listed))
	f.Add([]byte(`{"disks":[{"name":"a","table":{"partitions":[{"node":"/dev/x"}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		disks, err := parseDevices(text)
		l := Layout{Disks: disks}
		if err != nil {
			if l, err = Parse(text); err != nil {
				return
			}
		}
		_, _ = parseTable(text)
		_, _ = parseVolumes(text)
		for _, line := range l.Lines() {
			if strings.ContainsAny(line, "\x1b\n\r") {
				t.Errorf("a line holds control characters: %q", line)
			}
		}
		l.Lacks(l)
	})
}
