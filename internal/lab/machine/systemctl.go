package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// systemctl is a double for systemd's: no systemd runs in the lab, so it acts
// on the units itself. Links, words and exit codes are systemd's.
func systemctl(m *Machine, c *Call) int {
	var words []string
	flags, props := map[string]bool{}, ""
	for i := 0; i < len(c.Args); i++ {
		a := c.Args[i]
		switch {
		case a == "-p" && i+1 < len(c.Args):
			i++
			props = c.Args[i]
		case strings.HasPrefix(a, "--property="):
			props = strings.TrimPrefix(a, "--property=")
		case strings.HasPrefix(a, "-"):
			flags[strings.TrimLeft(a, "-")] = true
		default:
			words = append(words, a)
		}
	}
	quiet := flags["quiet"] || flags["q"]
	if len(words) == 0 {
		return c.Fail(1, "systemctl: no command given")
	}
	verb, names := words[0], words[1:]
	switch verb {
	case "daemon-reload", "daemon-reexec", "reset-failed":
		return 0
	case "is-system-running":
		c.Printf("running\n")
		return 0
	case "reboot", "poweroff", "halt":
		c.Name = verb
		return down(m, c)
	case "list-unit-files":
		for _, u := range m.units {
			if m.installed(u) && (len(names) == 0 || slices.Contains(names, u.Full())) {
				c.Printf("%s %s\n", u.Full(), m.fileState(u))
			}
		}
		return 0
	}
	if len(names) == 0 {
		return c.Fail(1, "Too few arguments.")
	}
	code := 0
	for _, name := range names {
		if rc := m.unitVerb(c, verb, name, flags["now"], quiet, props, flags["value"]); rc != 0 {
			code = rc
		}
	}
	return code
}

func (m *Machine) unitVerb(c *Call, verb, name string, now, quiet bool, props string, bare bool) int {
	u, err := m.Unit(name)
	if err != nil {
		return m.noUnit(c, verb, name, quiet, props, bare)
	}
	say := func(word string) {
		if !quiet {
			c.Printf("%s\n", word)
		}
	}
	switch verb {
	case "start", "stop", "restart", "reload", "try-restart", "reload-or-restart", "condrestart", "force-reload":
		err = m.action(u, verb)
	case "enable", "disable":
		if err = m.Enable(u, verb == "enable"); err == nil && now {
			err = m.action(u, map[string]string{"enable": "start", "disable": "stop"}[verb])
		}
	case "mask", "unmask":
		if err = m.Mask(u.Full(), verb == "mask"); err == nil && now && verb == "mask" {
			err = m.action(u, "stop")
		}
	case "is-active":
		if u.IsActive() {
			say("active")
			return 0
		}
		say("inactive")
		return 3
	case "is-failed":
		say("inactive")
		return 1
	case "is-enabled":
		state := m.fileState(u)
		say(state)
		if state != "enabled" {
			return 1
		}
		return 0
	case "status":
		state, code := "inactive (dead)", 3
		if u.IsActive() {
			state, code = "active", 0
		}
		c.Printf("%s - lab double\n   Loaded: loaded (%s; %s)\n   Active: %s\n", u.Full(), filepath.Join(libDir, u.Full()), m.fileState(u), state)
		return code
	case "show":
		load, active := "loaded", "inactive"
		if u.Masked() {
			load = "masked"
		}
		if u.IsActive() {
			active = "active"
		}
		m.show(c, props, bare, [][2]string{{"Id", u.Full()}, {"LoadState", load}, {"ActiveState", active}, {"UnitFileState", m.fileState(u)}})
	case "cat":
		raw, err := os.ReadFile(filepath.Join(libDir, u.Full()))
		if err != nil {
			return c.Fail(1, "No files found for %s.", u.Full())
		}
		c.Printf("%s", raw)
	default:
		return c.Fail(1, "Unknown command verb %s.", verb)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrMasked):
		return c.Fail(1, "Failed to %s %s: Unit %s is masked.", verb, u.Full(), u.Full())
	default:
		fmt.Fprintf(c.Stderr, "Job for %s failed because the control process exited with error code.\n%v\n", u.Full(), err)
		return 1
	}
}

func (m *Machine) show(c *Call, props string, bare bool, values [][2]string) {
	for _, v := range values {
		if props != "" && !slices.Contains(strings.Split(props, ","), v[0]) {
			continue
		}
		if bare {
			c.Printf("%s\n", v[1])
		} else {
			c.Printf("%s=%s\n", v[0], v[1])
		}
	}
}

func (m *Machine) noUnit(c *Call, verb, name string, quiet bool, props string, bare bool) int {
	full := name
	if !strings.Contains(name, ".") {
		full += ".service"
	}
	switch verb {
	case "is-active":
		if !quiet {
			c.Printf("inactive\n")
		}
		return 3
	case "is-enabled":
		return c.Fail(1, "Failed to get unit file state for %s: No such file or directory", full)
	case "show":
		m.show(c, props, bare, [][2]string{{"Id", full}, {"LoadState", "not-found"}, {"ActiveState", "inactive"}, {"UnitFileState", ""}})
		return 0
	case "mask", "unmask":
		// systemd masks names it does not know, too.
		if err := m.Mask(full, verb == "mask"); err != nil {
			return c.Fail(1, "Failed to %s %s: %v", verb, full, err)
		}
		return 0
	default:
		return c.Fail(5, "Failed to %s %s: Unit %s not found.", verb, full, full)
	}
}

func (m *Machine) fileState(u *Unit) string {
	switch {
	case u.Masked():
		return "masked"
	case m.Enabled(u):
		return "enabled"
	default:
		return "disabled"
	}
}

func (m *Machine) action(u *Unit, verb string) error {
	switch verb {
	case "start":
		return m.StartUnit(u)
	case "stop":
		return m.StopUnit(u)
	case "try-restart", "condrestart":
		if !u.IsActive() {
			return nil
		}
	case "reload", "force-reload":
		if u.Reload != nil {
			return u.Reload(m)
		}
		return nil
	}
	return errors.Join(m.StopUnit(u), m.StartUnit(u))
}

// service is a double for service(8).
func service(m *Machine, c *Call) int {
	if len(c.Args) < 2 {
		return c.Fail(1, "Usage: service NAME ACTION")
	}
	return m.script(c, c.Args[0], c.Args[1])
}

// rcScript is a double for an init script or its rc link.
func rcScript(m *Machine, c *Call) int {
	if len(c.Args) < 1 {
		return c.Fail(1, "Usage: %s {start|stop|status|restart|reload}", c.Name)
	}
	return m.script(c, strings.TrimPrefix(c.Name, "rc"), c.Args[0])
}

// script answers with the exit codes of LSB init scripts.
func (m *Machine) script(c *Call, name, verb string) int {
	u, err := m.Unit(name)
	if err != nil {
		return c.Fail(5, "%s: %v", name, err)
	}
	if verb == "status" {
		if u.IsActive() {
			c.Printf("Checking for service %s: running\n", u.Name)
			return 0
		}
		c.Printf("Checking for service %s: unused\n", u.Name)
		return 3
	}
	if err := m.action(u, verb); err != nil {
		var coded interface{ ExitCode() int }
		if errors.As(err, &coded) {
			return c.Fail(coded.ExitCode(), "%v", err)
		}
		return c.Fail(1, "%v", err)
	}
	c.Printf("%s %s: done\n", verb, u.Name)
	return 0
}

// chkconfig is a double for chkconfig and insserv: NAME [on|off], insserv [-r] NAME.
func chkconfig(m *Machine, c *Call) int {
	on, name := true, ""
	for _, a := range c.Args {
		switch a {
		case "-r", "off", "-d":
			on = false
		case "on", "-a", "-f", "-s":
		default:
			if name == "" {
				name = a
			}
		}
	}
	u, err := m.Unit(name)
	if err == nil {
		err = m.Enable(u, on)
	}
	if err != nil {
		return c.Fail(1, "%s: %v", c.Name, err)
	}
	return 0
}
