package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/sandbox"
)

// BringUp is the boot of a machine.
func (m *Machine) BringUp() error {
	c := &Call{Name: "boot", Stdout: os.Stdout, Stderr: os.Stderr}
	if code := boot(m, c); code != 0 {
		return fmt.Errorf("boot: exit code %d", code)
	}
	return nil
}

// boot brings the machine up: its network as configured, then what is enabled
// and not masked. As on a real machine a service that fails does not end it.
func boot(m *Machine, c *Call) int {
	if err := m.network(); err != nil {
		fmt.Fprintln(c.Stderr, "network:", err)
	}
	dirs := []string{"/run/lab/units", "/run/lock"}
	if !m.initScripts() {
		dirs = append(dirs, "/run/systemd/system") // by which programs know who manages the machine, sd_booted(3)
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return c.Fail(1, "%v", err)
		}
	}
	if err := early(c); err != nil { // as with OnFailure=emergency.target
		fmt.Fprintln(c.Stderr, "boot:", err)
		return 0
	}
	for _, u := range m.units {
		if !m.installed(u) || !m.Enabled(u) {
			continue
		}
		if err := m.StartUnit(u); err != nil {
			fmt.Fprintln(c.Stderr, "boot:", err)
		} else {
			c.Printf("boot: started %s\n", u.Full())
		}
	}
	if err := m.startForeign(); err != nil {
		fmt.Fprintln(c.Stderr, "boot:", err)
	}
	return 0
}

// early runs what sysinit.target wants of the programs that others have put into units,
// before any service starts. One that restarts the machine never ends.
func early(c *Call) error {
	files, err := filepath.Glob("/etc/systemd/system/sysinit.target.wants/*.service")
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(raw)) {
			args, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=")
			if !ok {
				continue
			}
			words := strings.Fields(args)
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// haltSystem stops services in reverse order before a shutdown.
func haltSystem(m *Machine, c *Call) int {
	for _, u := range slices.Backward(m.units) {
		if m.installed(u) && u.IsActive() && u.Active != nil {
			if err := m.StopUnit(u); err != nil {
				fmt.Fprintln(c.Stderr, "shutdown:", err)
			}
		}
	}
	return 0
}

// down is a double for reboot, shutdown, poweroff and halt.
func down(_ *Machine, c *Call) int {
	how := sandbox.Poweroff
	if c.Name == "reboot" {
		how = sandbox.Reboot
	}
	for _, a := range c.Args {
		if c.Name == "shutdown" && (a == "-r" || a == "--reboot") {
			how = sandbox.Reboot
		}
	}
	if err := sandbox.End(how); err != nil {
		return c.Fail(1, "%s: %v", c.Name, err)
	}
	return 0
}

// network applies /etc/sysconfig/network as SUSE's ifup does, as far as the lab
// needs it: addresses and routes of each ifcfg file.
func (m *Machine) network() error {
	if m.debian() {
		return interfaces("/etc/network/interfaces")
	}
	files, err := filepath.Glob("/etc/sysconfig/network/ifcfg-*")
	if err != nil {
		return err
	}
	for _, file := range files {
		name := strings.TrimPrefix(filepath.Base(file), "ifcfg-")
		if name == "lo" || !Exists("/sys/class/net/"+name) {
			continue
		}
		values, err := shellValues(file)
		if err != nil {
			return err
		}
		for key, v := range values {
			if strings.HasPrefix(key, "IPADDR") && v != "" {
				if err := ip("address", "replace", v, "dev", name); err != nil {
					return err
				}
			}
		}
		if err := ip("link", "set", name, "up"); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile("/etc/sysconfig/network/routes")
	if err != nil {
		return absent(err)
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if f := strings.Fields(line); len(f) >= 2 && !strings.HasPrefix(f[0], "#") {
			if err := ip("route", "replace", f[0], "via", f[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// shellValues reads KEY='value' lines.
func shellValues(file string) (map[string]string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, line := range strings.Split(string(raw), "\n") {
		if key, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			values[key] = strings.Trim(v, `'"`)
		}
	}
	return values, nil
}
