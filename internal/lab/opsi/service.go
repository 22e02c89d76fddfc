package opsi

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"lifeboat/internal/lab/machine"
)

const (
	daemonPid = runDir + "/opsiconfd.pid"
	daemonLog = logDir + "/opsiconfd/opsiconfd.log"
	port      = "4447"
)

func opsiconfdUnit() *machine.Unit {
	return &machine.Unit{
		Name: "opsiconfd", Order: 50, Start: startDaemon,
		Stop:   func(*machine.Machine) error { return machine.EndPid(daemonPid) },
		Active: func() bool { _, alive := machine.PidAlive(daemonPid); return alive },
	}
}

// opsipxeconfdUnit has no process of its own; it needs its files to start.
func opsipxeconfdUnit() *machine.Unit {
	return &machine.Unit{Name: "opsipxeconfd", Order: 60, Start: func(*machine.Machine) error {
		for _, path := range []string{confDir + "/opsipxeconfd.conf", tftpDir + "/pxelinux.cfg"} {
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("opsipxeconfd: %w", err)
			}
		}
		return nil
	}}
}

// startDaemon starts opsiconfd and waits until it answers or has ended. From 4.3 on
// it first makes the database and its access where they are missing, as its setup
// does: what starts too early in a recovery makes an empty server.
func startDaemon(m *machine.Machine) error {
	if s := machine.MustPart[Spec](m); s.Variant == MySQL {
		if err := setUpDatabase(s, emptyServer(m), rand.Text()); err != nil {
			return err
		}
	}
	if err := makeDirs(adminOwner, 0o770, runDir, logDir, logDir+"/opsiconfd"); err != nil {
		return err
	}
	cmd := exec.Command(machine.Program)
	cmd.Args[0] = "opsiconfd-daemon"
	return machine.Daemon{
		Command: cmd, Log: daemonLog, Mode: 0o660, Owner: fileOwner,
		Answers: func() bool { return machine.Listens(port) },
	}.Start()
}

// becomeOpsiconfd gives root up for the user and the groups that opsiconfd has, so
// that owners and modes count.
func becomeOpsiconfd() error {
	uid, gid, err := machine.IDs(adminOwner)
	if err != nil {
		return err
	}
	_, files, err := machine.IDs(fileOwner)
	if err != nil {
		return err
	}
	if err := syscall.Setgroups([]int{files}); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

// opsiconfd is a double for opsiconfd's command line: setup, start and stop. Like the
// real one its setup enables the service, which fails when that is masked, unless
// --skip-setup names systemd.
func opsiconfd(m *machine.Machine, c *machine.Call) int {
	if slices.Contains(c.Args, "--version") {
		version, _, _ := strings.Cut(machine.MustPart[Spec](m).Version, "-")
		c.Printf("%s [python-opsi=%s]\n", version, version)
		return 0
	}
	if len(c.Args) == 0 {
		return c.Fail(2, "opsiconfd: this double knows setup, start and stop only")
	}
	var err error
	switch verb := c.Args[0]; {
	case verb == "setup" && slices.Contains(c.Args, "--configure-mysql"):
		err = setUpDatabase(machine.MustPart[Spec](m), emptyServer(m), rand.Text())
	case verb == "setup":
		err = setUpParts(m)
		if err == nil && !slices.Contains(c.Args, "systemd") {
			err = enable(m, "opsiconfd")
		}
	case verb == "start":
		err = start(m, "opsiconfd")
	case verb == "stop":
		var u *machine.Unit
		if u, err = m.Unit("opsiconfd"); err == nil {
			err = m.StopUnit(u)
		}
	default:
		return c.Fail(2, "opsiconfd: this double knows setup, start and stop only")
	}
	if err != nil {
		return c.Fail(1, "opsiconfd %s: %v", c.Args[0], err)
	}
	return 0
}
