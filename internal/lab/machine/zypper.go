package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Exit codes of zypper(8).
const (
	zypperNoRepos      = 6
	zypperUpdateNeeded = 100
	zypperRebootNeeded = 102
	zypperNotFound     = 104
)

// rebootFlag is on a file system that does not outlive a boot, as zypper's is.
const rebootFlag = "/run/reboot-needed"

// zypper is a double for lr, install, update, patch and a few queries. It
// installs from what the lab's update source offers, and only on a registered
// system, for the repositories come with the registration.
func zypper(m *Machine, c *Call) int {
	var words []string
	for _, a := range c.Args {
		if !strings.HasPrefix(a, "-") {
			words = append(words, a)
		} else if a == "--version" || a == "-V" {
			c.Printf("zypper 1.13.64\n")
			return 0
		}
	}
	if len(words) == 0 {
		return c.Fail(2, "zypper: no command given")
	}
	repos, err := filepath.Glob("/etc/zypp/repos.d/*.repo")
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	verb, names := words[0], words[1:]
	if len(repos) == 0 && verb != "needs-rebooting" {
		return c.Fail(zypperNoRepos, "Warning: No repositories defined.\nUse the 'zypper addrepo' command to add one or more repositories.")
	}
	switch verb {
	case "lr", "repos":
		c.Printf("#  | Alias | Name | Enabled | GPG Check | Refresh\n---+-------+------+---------+-----------+--------\n")
		for i, r := range repos {
			name := strings.TrimSuffix(filepath.Base(r), ".repo")
			c.Printf("%d  | %s | %s | Yes | (r ) Yes | Yes\n", i+1, name, name)
		}
	case "ref", "refresh":
		c.Printf("All repositories have been refreshed.\n")
	case "needs-rebooting":
		if Exists(rebootFlag) {
			c.Printf("Reboot is required to ensure that your system benefits from these updates.\n")
			return zypperRebootNeeded
		}
		c.Printf("No reboot needed.\n")
	case "lu", "list-updates":
		for _, p := range m.updates(nil) {
			c.Printf("v | Updates | %s | %s-%s\n", p.Name, p.Version, p.Release)
		}
	case "patch-check", "pchk":
		if n := len(m.updates(nil)); n > 0 {
			c.Printf("%d patches needed (0 security patches)\n", n)
			return zypperUpdateNeeded
		}
		c.Printf("0 patches needed (0 security patches)\n")
	case "in", "install":
		return m.zypperInstall(c, names)
	case "up", "update", "patch":
		return m.zypperUpdate(c, names)
	default:
		return c.Fail(2, "Unknown command '%s'", verb)
	}
	return 0
}

func (m *Machine) zypperInstall(c *Call, names []string) int {
	for _, name := range names {
		if _, err := InstalledPackage(name); err == nil {
			c.Printf("'%s' is already installed.\n", name)
			continue
		}
		i := slices.IndexFunc(m.packages, func(p Package) bool { return p.Name == name })
		if i < 0 {
			return c.Fail(zypperNotFound, "No provider of '%s' found.", name)
		}
		if code := m.zypperInstall(c, m.packages[i].Needs); code != 0 {
			return code
		}
		c.Printf("Installing: %s [..done]\n", m.packages[i].Full())
		if err := m.Add(m.packages[i]); err != nil {
			return c.Fail(8, "%v", err)
		}
	}
	return 0
}

// updates lists the newest offered version of each installed package that has
// a newer one. Offers of one name are in order, oldest first.
func (m *Machine) updates(names []string) []Package {
	var newer []Package
	for i, p := range m.packages {
		if len(names) > 0 && !slices.Contains(names, p.Name) {
			continue
		}
		if slices.ContainsFunc(m.packages[i+1:], func(q Package) bool { return q.Name == p.Name }) {
			continue
		}
		if now, err := InstalledPackage(p.Name); err == nil && now.Full() != p.Full() {
			newer = append(newer, p)
		}
	}
	return newer
}

func (m *Machine) zypperUpdate(c *Call, names []string) int {
	newer := m.updates(names)
	if len(newer) == 0 {
		c.Printf("Nothing to do.\n")
		return 0
	}
	code := 0
	for _, p := range newer {
		c.Printf("Installing: %s [..done]\n", p.Full())
		if err := m.Add(p); err != nil {
			return c.Fail(8, "%v", err)
		}
		if p.Name == "kernel-default" {
			if err := os.WriteFile(rebootFlag, nil, 0o644); err != nil {
				return c.Fail(1, "%v", err)
			}
			code = zypperRebootNeeded
		}
	}
	if code != 0 {
		fmt.Fprintln(c.Stderr, "Warning: One of the installed updates requires a system reboot.")
	}
	// Only patch tells by its exit code; update ends with 0.
	if verb := slices.IndexFunc(c.Args, func(a string) bool { return !strings.HasPrefix(a, "-") }); c.Args[verb] != "patch" {
		return 0
	}
	return code
}
