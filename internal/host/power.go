package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// BootID changes with every start of this machine; "" when the kernel does not
// tell it.
func (h *Host) BootID() string { return h.line("/proc/sys/kernel/random/boot_id") }

// Reboot asks the machine to restart. It returns before it does.
func (h *Host) Reboot(ctx context.Context) error {
	if !h.IsLocal() {
		return fmt.Errorf("the machine below %s is not running: nothing to restart", h.root)
	}
	return h.Run(ctx, Command{Args: []string{"shutdown", "-r", "now"}})
}

// Detach starts this program again with the given arguments, in a session of
// its own and without inherited descriptors, so that it outlives the caller and
// its terminal. It returns the process id.
func (h *Host) Detach(args []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + commandPath(), "HOME=" + home(), "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, cmd.Process.Release()
}

// RestartInit asks the running systemd itself to restart the machine, by the signal of
// systemd(1): no program of the machine is needed. It returns before it does.
func (h *Host) RestartInit() error {
	if !h.IsLocal() {
		return fmt.Errorf("the machine below %s is not running: nothing to restart", h.root)
	}
	const sigrtmin = 34
	if err := syscall.Kill(1, syscall.Signal(sigrtmin+5)); err != nil {
		return fmt.Errorf("restart the machine: %w", err)
	}
	return nil
}
