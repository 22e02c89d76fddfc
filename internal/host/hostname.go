package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SetHostname gives this machine a name, now and after a restart: the kernel, and the
// files /etc/hostname and, where there is one, /etc/HOSTNAME of older SUSE systems.
// What resolves the name is not changed.
func (h *Host) SetHostname(name string) error {
	if !h.IsLocal() {
		return errors.New("only this machine can be given a name")
	}
	for _, file := range []string{"/etc/hostname", "/etc/HOSTNAME"} {
		if file != "/etc/hostname" && !h.exists(file) {
			continue
		}
		if err := h.InstallFile(file, name+"\n", 0o644); err != nil {
			return fmt.Errorf("give this machine the name %s: %w", name, err)
		}
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("give this machine the name %s: %w", name, err)
	}
	return nil
}
