package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// bootLog is where what foreign services print goes.
const bootLog = "/var/log/lab/boot.log"

// startForeign starts at boot what somebody else has installed and enabled: unit
// files, or on the old lines links in the runlevel's directory. As a service of
// Type=simple it does not keep the boot waiting.
func (m *Machine) startForeign() error {
	pattern := wantsDir + "/*.service"
	if m.initScripts() {
		pattern = rcDir + "/S*"
	}
	links, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	var failed []error
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || m.own(target) {
			continue
		}
		args := []string{link, "start"}
		if !m.initScripts() {
			if args, err = execStart(link); err != nil || args == nil {
				failed = append(failed, err)
				continue
			}
		}
		failed = append(failed, startDetached(args))
	}
	return errors.Join(failed...)
}

// own tells whether a link to a unit leads to one that the lab plays.
func (m *Machine) own(target string) bool {
	for _, u := range m.units {
		if base := filepath.Base(target); base == u.Full() || base == u.Name {
			return true
		}
	}
	return false
}

// execStart reads the command of a unit file; nil when its condition does not
// hold. Of systemd.unit(5) it knows what is needed here: no quotes, no prefixes.
func execStart(file string) ([]string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(file), err)
	}
	var args []string
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ConditionPathExistsGlob":
			if found, _ := filepath.Glob(value); len(found) == 0 {
				return nil, nil
			}
		case "ExecStart":
			args = strings.Fields(value)
		}
	}
	if args == nil {
		return nil, fmt.Errorf("start %s: it has no ExecStart=", filepath.Base(file))
	}
	return args, nil
}

func startDetached(args []string) error {
	if err := os.MkdirAll(filepath.Dir(bootLog), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(bootLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	return cmd.Process.Release()
}
