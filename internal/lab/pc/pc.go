// Package pc plays a PC: disk images with a real boot loader in front of a root,
// started in QEMU, so that a boot entry is tried on what reads it in the field. It
// knows nothing of what is on the disks. It needs what scripts/deps puts
// into Parts, mounts nothing and works without a network.
//
// QEMU runs without KVM. Boot loaders run in real mode, which some hosts of virtual
// machines emulate an instruction at a time: loading a kernel has been seen to take
// two minutes with KVM and three seconds without. So it is the same everywhere.
package pc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Parts is where scripts/deps puts what cannot be installed beside the machine's
// own: the kernel of Debian's linux-image-cloud-amd64 with some modules, and GRUB
// legacy of its grub-legacy.
const Parts = "/var/lib/lifeboat-lab"

// Kernel is a kernel for a PC.
const Kernel = Parts + "/vmlinuz"

// modules are needed for the disks, in this order.
var modules = []string{"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"}

// complete is there when all parts are.
const complete = Parts + "/complete"

func checkParts() error {
	if _, err := os.Stat(complete); err != nil {
		return fmt.Errorf("what a PC boots is not there, scripts/deps test unpacks it as root: %w", err)
	}
	return nil
}

// Options describe a PC.
type Options struct {
	// Disks are images. The first is /dev/vda and the one that is booted.
	Disks []string
	// Console is the file that the first serial port writes.
	Console string
}

// patience bounds a start, which ends by itself unless something is wrong: a boot
// loader that asks, a kernel that hangs.
const patience = 20 * time.Minute

// Boot starts a PC and returns when it has been powered off or would reboot. When it
// has not been after twenty minutes, the error has what its screen shows.
func Boot(ctx context.Context, opts Options) error {
	work, err := os.MkdirTemp("", "lab-pc-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	monitor := filepath.Join(work, "monitor")
	args := []string{
		// A richer processor takes longer to play.
		"-accel", "tcg", "-cpu", "qemu64", "-m", "512", "-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none", "-vga", "std", "-serial", "file:" + opts.Console, "-monitor", "unix:" + monitor + ",server,nowait",
	}
	for i, disk := range opts.Disks {
		id := fmt.Sprintf("disk%d", i)
		args = append(args,
			// No flush goes to the disks of this machine: they are thrown away soon.
			"-drive", "if=none,format=raw,cache=unsafe,id="+id+",file="+strings.ReplaceAll(disk, ",", ",,"),
			// The BIOS does not read from a modern one when nothing is accelerated.
			"-device", fmt.Sprintf("virtio-blk-pci,disable-modern=on,drive=%s,bootindex=%d", id, i))
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	// A PC must not outlive the test that is killed. The signal comes when the thread
	// ends that has started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a PC: %w", err)
	}
	shown := make(chan string, 1)
	stuck := time.AfterFunc(patience, func() {
		shown <- screen(monitor, filepath.Join(work, "screen"))
		_ = cmd.Process.Kill()
	})
	err = cmd.Wait()
	seen := ""
	if !stuck.Stop() {
		seen = <-shown
	} else if err == nil {
		return nil
	}
	said, _ := os.ReadFile(opts.Console)
	return fmt.Errorf("the PC did not power off: %w\n%s\nThe console said:\n%s\nThe screen shows:\n%s", err, errs.String(), said, seen)
}

// screen returns the text on the screen of a PC that runs.
func screen(monitor, file string) string {
	c, err := net.Dial("unix", monitor)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	// 80 characters and their colours in each of 25 lines, where VGA has them.
	fmt.Fprintf(c, "pmemsave 0xb8000 4000 %q\n", file)
	var raw []byte
	for range 100 {
		if raw, _ = os.ReadFile(file); len(raw) == 4000 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	var b strings.Builder
	for line := range slices.Chunk(raw, 160) {
		text := make([]byte, 0, 80)
		for i := 0; i < len(line); i += 2 {
			text = append(text, max(line[i], ' '))
		}
		b.WriteString(strings.TrimRight(string(text), " ") + "\n")
	}
	return b.String()
}

// Initrd writes an initial RAM disk whose /init is that script for busybox' shell.
// The disks' modules are in /modules, to be loaded by /load.
func Initrd(ctx context.Context, name, script string) (err error) {
	if err := checkParts(); err != nil {
		return err
	}
	tree, err := os.MkdirTemp("", "lab-initrd-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	var load strings.Builder
	load.WriteString("#!/bin/busybox sh\n")
	for _, dir := range []string{"bin", "dev", "mnt", "modules", "proc", "sys"} {
		if err := os.Mkdir(filepath.Join(tree, dir), 0o755); err != nil {
			return err
		}
	}
	for _, m := range modules {
		if err := run(ctx, "cp", filepath.Join(Parts, m+".ko"), filepath.Join(tree, "modules")); err != nil {
			return err
		}
		load.WriteString("/bin/busybox insmod /modules/" + m + ".ko\n")
	}
	if err := run(ctx, "cp", "/bin/busybox", filepath.Join(tree, "bin")); err != nil {
		return err
	}
	for file, content := range map[string]string{"init": "#!/bin/busybox sh\n" + script, "load": load.String()} {
		if err := os.WriteFile(filepath.Join(tree, file), []byte(content), 0o755); err != nil { //nolint:gosec // a program
			return err
		}
	}
	return run(ctx, "/bin/sh", "-c", `cd "$1" && find . | cpio --quiet -o -H newc | gzip -1 >"$2"`, "sh", tree, name)
}

// Copy copies programs with the shared libraries they need below root, at the
// same places.
func Copy(ctx context.Context, root string, programs ...string) error {
	need := map[string]bool{}
	for _, p := range programs {
		need[p] = true
		out, err := output(ctx, "ldd", p)
		if err != nil { // of a static program it fails
			continue
		}
		for field := range strings.FieldsSeq(out) {
			if strings.HasPrefix(field, "/") {
				need[field] = true
			}
		}
	}
	for name := range need {
		to := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := run(ctx, "cp", "--dereference", "--preserve=mode", name, to); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, name string, args ...string) error {
	_, err := output(ctx, name, args...)
	return err
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}
