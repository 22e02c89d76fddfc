package host

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFactFile bounds what is read of a small file that describes the machine,
// in bytes.
const maxFactFile = 1 << 20

// Facts is what identifies a machine. It is kept in recovery points and
// compared before a recovery; a fact that could not be found is empty.
type Facts struct {
	Hostname  string `json:"hostname"`       // as the kernel says
	FQDN      string `json:"fqdn,omitempty"` // from the machine's own files, no name service is asked
	OS        OS     `json:"os"`
	Kernel    string `json:"kernel,omitempty"`     // release, as of uname(2)
	Arch      string `json:"arch"`                 // machine, as of uname(2): x86_64
	MachineID string `json:"machine_id,omitempty"` // machine-id(5)
	BootID    string `json:"boot_id,omitempty"`    // changes with every boot
	Init      string `json:"init,omitempty"`       // systemd, sysvinit, openrc or the name of process 1
	Network
}

// OS names an operating system in the terms of os-release(5).
type OS struct {
	ID        string   `json:"id,omitempty"`         // sles, debian
	VersionID string   `json:"version_id,omitempty"` // 11.3, 12
	Name      string   `json:"name,omitempty"`       // for people
	Like      []string `json:"like,omitempty"`       // related systems' ids
}

// String is the name for people.
func (o OS) String() string {
	if o.Name != "" {
		return o.Name
	}
	return strings.TrimSpace(o.ID + " " + o.VersionID)
}

// Facts reads the machine's facts. What a machine does not tell is left empty;
// an error means that ctx ended or the kernel refused. Of a machine mounted
// below a root only what its files say is known: kernel, boot and addresses
// would be those of the rescue system.
func (h *Host) Facts(ctx context.Context) (Facts, error) {
	if err := ctx.Err(); err != nil {
		return Facts{}, err
	}
	f := Facts{OS: h.os(), MachineID: h.line("/etc/machine-id"), Init: h.init(), Arch: goMachine()}
	if f.MachineID == "" {
		f.MachineID = h.line("/var/lib/dbus/machine-id")
	}
	network, err := h.Network(ctx)
	if err != nil {
		return Facts{}, err
	}
	f.Network = network
	if !h.IsLocal() {
		f.FQDN = h.configuredName()
		f.Hostname, _, _ = strings.Cut(f.FQDN, ".")
		return f, nil
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Facts{}, fmt.Errorf("ask the kernel for its name: %w", err)
	}
	f.Hostname = unix.ByteSliceToString(name.Nodename[:])
	f.Kernel = unix.ByteSliceToString(name.Release[:])
	f.Arch = unix.ByteSliceToString(name.Machine[:])
	f.BootID = h.line("/proc/sys/kernel/random/boot_id")
	f.FQDN = h.qualified(f.Hostname)
	return f, nil
}

// goMachine is uname's word for the architecture this program was built for.
func goMachine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	default:
		return runtime.GOARCH
	}
}

// configuredName is the name the machine gives itself at boot: /etc/HOSTNAME on
// older SUSE systems (qualified), /etc/hostname elsewhere.
func (h *Host) configuredName() string {
	for _, file := range []string{"/etc/hostname", "/etc/HOSTNAME"} {
		if name := h.line(file); name != "" {
			return h.qualified(name)
		}
	}
	return ""
}

// qualified adds the domain to a host name: from /etc/HOSTNAME, the canonical
// name in /etc/hosts (hosts(5)), or the domain of resolv.conf(5). The bare
// name is returned when none is known.
func (h *Host) qualified(name string) string {
	if name == "" || strings.Contains(name, ".") {
		return name
	}
	for _, file := range []string{"/etc/HOSTNAME", "/etc/hostname"} {
		if full := h.line(file); strings.HasPrefix(full, name+".") {
			return full
		}
	}
	for _, fields := range h.fields("/etc/hosts") {
		for _, alias := range fields[1:] {
			if alias != name {
				continue
			}
			for _, full := range fields[1:] {
				if strings.HasPrefix(full, name+".") {
					return full
				}
			}
		}
	}
	if domain := h.dns().Domain; domain != "" {
		return name + "." + domain
	}
	return name
}

// init names what runs as process 1.
func (h *Host) init() string {
	if h.IsLocal() {
		if _, err := os.Stat("/run/systemd/system"); err == nil {
			return "systemd"
		}
		if name := h.line("/proc/1/comm"); name != "" && name != "init" {
			return name
		}
	} else if h.exists("/usr/lib/systemd/systemd") || h.exists("/lib/systemd/systemd") {
		return "systemd"
	}
	switch {
	case h.exists("/sbin/openrc") || h.exists("/usr/sbin/openrc"):
		return "openrc"
	case h.exists("/etc/inittab") || h.exists("/sbin/init"):
		return "sysvinit"
	}
	return ""
}

func (h *Host) exists(path string) bool {
	p, err := h.Path(path)
	if err != nil {
		return false
	}
	_, err = os.Stat(p)
	return err == nil
}

// text returns a small file of the machine, "" when there is none.
func (h *Host) text(path string) string {
	p, err := h.Path(path)
	if err != nil {
		return ""
	}
	f, err := os.Open(p)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFactFile))
	if err != nil {
		return ""
	}
	return string(b)
}

// line returns the first line of a file that is neither empty nor a comment.
func (h *Host) line(path string) string {
	for line := range strings.Lines(h.text(path)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}

// fields splits a file of white-space separated columns; comments are cut off
// and lines of less than two columns left out.
func (h *Host) fields(path string) [][]string {
	var all [][]string
	lines := bufio.NewScanner(strings.NewReader(h.text(path)))
	for lines.Scan() {
		text := lines.Text()
		if i := strings.IndexAny(text, "#;"); i >= 0 {
			text = text[:i]
		}
		if fields := strings.Fields(text); len(fields) > 1 {
			all = append(all, fields)
		}
	}
	return all
}
