package guard

import (
	"errors"
	"fmt"
	"path/filepath"

	"lifeboat/internal/host"
)

// BootCommand is the verb of the command line that the boot unit calls; it
// calls Recover.
const BootCommand = "resume-services"

// UnitName is the name of the boot unit.
const UnitName = "lifeboat-resume.service"

// BootUnit is the systemd unit that puts right at boot what a power loss left
// stopped; executable is lifeboat's absolute path. It is no oneshot: targets
// would wait for it, and it for services that wait for those targets. With
// KillMode=process, services started by scripts outlive it (systemd.kill(5)).
func BootUnit(executable string) string {
	return `[Unit]
Description=Start services that an interrupted Lifeboat backup left stopped
Documentation=man:lifeboat(8)
After=local-fs.target remote-fs.target network.target

[Service]
Type=simple
ExecStart=` + executable + " " + BootCommand + `
KillMode=process

[Install]
WantedBy=multi-user.target
`
}

// bootScript is the same for hosts without systemd (LSB init scripts).
func bootScript(executable string) string {
	return `#!/bin/sh
### BEGIN INIT INFO
# Provides:          lifeboat-resume
# Required-Start:    $local_fs $remote_fs
# Required-Stop:
# Should-Start:      $network $syslog $named mysql
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: Start services that an interrupted Lifeboat backup left stopped
### END INIT INFO
case "$1" in
start|restart|force-reload)
	exec ` + executable + " " + BootCommand + `
	;;
stop|status)
	exit 0
	;;
*)
	echo "Usage: $0 start" >&2
	exit 2
	;;
esac
`
}

// InstallBootUnit has the host start, at every boot, what a backup left
// stopped. It writes and enables a systemd unit, or an init script where there
// is no systemd. systemd need not be running. It may be repeated; what is right
// already is not touched. executable is lifeboat's absolute path on the host.
func InstallBootUnit(h *host.Host, executable string) error {
	if !filepath.IsAbs(executable) {
		return fmt.Errorf("install %s: %q is not an absolute path", UnitName, executable)
	}
	var err error
	switch {
	case h.HasSystemd():
		unit := "/etc/systemd/system/" + UnitName
		err = errors.Join(
			h.InstallFile(unit, BootUnit(executable), 0o644),
			h.InstallLink(unit, "/etc/systemd/system/multi-user.target.wants/"+UnitName),
		)
	case h.Exists("/etc/init.d"):
		const script = "/etc/init.d/lifeboat-resume"
		err = h.InstallFile(script, bootScript(executable), 0o755)
		// Debian, Red Hat and SUSE keep the links of a runlevel in different places.
		for _, base := range []string{"/etc", "/etc/rc.d", "/etc/init.d"} {
			for _, level := range []string{"2", "3", "4", "5"} {
				if dir := base + "/rc" + level + ".d"; h.Exists(dir) {
					err = errors.Join(err, h.InstallLink(script, dir+"/S99lifeboat-resume"))
				}
			}
		}
	default:
		err = errors.New("the host has neither systemd nor /etc/init.d; have it call 'lifeboat " + BootCommand + "' at boot")
	}
	if err != nil {
		return fmt.Errorf("install the boot unit: %w", err)
	}
	return nil
}
