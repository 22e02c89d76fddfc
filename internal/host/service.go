package host

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
)

// ErrNoService says that the machine has no such service.
var ErrNoService = errors.New("no such service")

// unitDirs is where systemd looks for unit files, systemd.unit(5).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// RunsSystemd tells whether systemd manages the running machine, as
// sd_booted(3) does. A machine mounted below a root does not run.
func (h *Host) RunsSystemd() bool { return h.IsLocal() && h.exists("/run/systemd/system") }

// HasUnit tells whether systemd runs the machine and has a file for the unit. A
// name without a suffix is a service.
func (h *Host) HasUnit(name string) bool {
	if !h.RunsSystemd() || !plainService(name) {
		return false
	}
	for _, dir := range unitDirs {
		if h.exists(path.Join(dir, unitName(name))) {
			return true
		}
	}
	return false
}

// ServiceActive tells whether a service runs, by systemd where it runs the
// machine, else by the service's init script. A service that is not there does
// not run.
func (h *Host) ServiceActive(ctx context.Context, name string) (bool, error) {
	if !plainService(name) {
		return false, fmt.Errorf("%q is no service name", name)
	}
	args := []string{"/etc/init.d/" + name, "status"}
	switch {
	case !h.IsLocal():
		return false, nil
	case h.RunsSystemd():
		args = []string{"systemctl", "is-active", "--quiet", "--", unitName(name)}
	case !h.exists(args[0]):
		return false, nil
	}
	err := h.Run(ctx, Command{Args: args})
	var exit *ExitError
	if errors.As(err, &exit) && exit.Code > 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask for service %s: %w", name, err)
	}
	return true, nil
}

// StartService starts a service and waits until its manager calls it started.
// Starting what runs changes nothing.
func (h *Host) StartService(ctx context.Context, name string) error {
	return h.service(ctx, "start", name)
}

// StopService stops a service and waits for it. Stopping what is stopped changes
// nothing.
func (h *Host) StopService(ctx context.Context, name string) error {
	return h.service(ctx, "stop", name)
}

func (h *Host) service(ctx context.Context, verb, name string) error {
	if !plainService(name) {
		return fmt.Errorf("%q is no service name", name)
	}
	script := "/etc/init.d/" + name
	args := []string{script, verb}
	switch {
	case !h.IsLocal():
		return fmt.Errorf("%s service %s: the machine below %s does not run", verb, name, h.root)
	case h.RunsSystemd():
		args = []string{"systemctl", verb, "--", unitName(name)}
	case !h.executable(script):
		return fmt.Errorf("%s service %s: neither systemd nor %s: %w", verb, name, script, ErrNoService)
	}
	if err := h.Run(ctx, Command{Args: args}); err != nil {
		return fmt.Errorf("%s service %s: %w", verb, name, err)
	}
	return nil
}

// unitName gives a name without a unit suffix the one of a service.
func unitName(name string) string {
	switch path.Ext(name) {
	case ".service", ".target", ".timer", ".socket", ".path", ".mount":
		return name
	}
	return name + ".service"
}

func plainService(name string) bool {
	return name != "" && !strings.HasPrefix(name, "-") && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/ \t\n\x00")
}
