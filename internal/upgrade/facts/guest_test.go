package facts

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"

	"lifeboat/internal/host"
)

// A real emulator that nobody has told libvirt of is found by its process, by this
// program and by the script.
func TestRunningGuestIsFound(t *testing.T) {
	const name = "guest of the facts test"
	emulator := exec.Command("qemu-system-x86_64", "-S", "-machine", "none", "-display", "none", "-nodefaults", "-serial", "none",
		"-monitor", "stdio", "-name", "guest="+name+",debug-threads=off")
	in, err := emulator.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := emulator.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := emulator.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = emulator.Process.Kill()
		_ = in.Close()
		_ = emulator.Wait()
	}()
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil { // its monitor is there
		t.Fatal(err)
	}
	here, err := Collect(t.Context(), host.Local())
	if err != nil {
		t.Fatal(err)
	}
	for by, f := range map[string]*Facts{"lifeboat": here, "script": runScript(t, []string{"dash"}, "-")} {
		i := slices.IndexFunc(f.Guests, func(g Guest) bool { return g.Name == name })
		if i < 0 || f.Guests[i].Kind != "kvm" {
			t.Errorf("%s: guests %+v", by, f.Guests)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	if _, unknown := here.IsUnknown("rights"); unknown {
		t.Errorf("%+v", here.Unknown)
	}
}
