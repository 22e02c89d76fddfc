package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Unit is one service or target.
type Unit struct {
	Name   string // without suffix
	Suffix string // ".service" when empty
	Alias  []string
	// Order is the place at boot; lower first.
	Order  int
	Needs  []string // started before it
	Start  func(m *Machine) error
	Stop   func(m *Machine) error
	Reload func(m *Machine) error
	// Active is how it is seen to run; nil: a mark set by Start.
	Active func() bool
}

// AddUnits plugs units in.
func (m *Machine) AddUnits(units ...*Unit) {
	m.units = append(m.units, units...)
	slices.SortStableFunc(m.units, func(a, b *Unit) int { return a.Order - b.Order })
}

// ErrMasked says that a unit is masked.
var ErrMasked = errors.New("is masked")

// ErrNoUnit says that there is no such unit on the machine.
var ErrNoUnit = errors.New("not found")

const (
	unitDir  = "/etc/systemd/system"
	wantsDir = unitDir + "/multi-user.target.wants"
	libDir   = "/usr/lib/systemd/system"
	initDir  = "/etc/init.d"
	rcDir    = initDir + "/rc3.d"
	marksDir = "/run/lab/units"
)

// Full is the unit's name with its suffix.
func (u *Unit) Full() string {
	if u.Suffix == "" {
		return u.Name + ".service"
	}
	return u.Name + u.Suffix
}

// Unit finds a unit that is installed.
func (m *Machine) Unit(name string) (*Unit, error) {
	for _, u := range m.units {
		if name == u.Full() || name == u.Name || slices.Contains(u.Alias, strings.TrimSuffix(name, ".service")) {
			if m.installed(u) {
				return u, nil
			}
		}
	}
	return nil, fmt.Errorf("unit %s %w", name, ErrNoUnit)
}

// installed units have a unit file or an init script.
func (m *Machine) installed(u *Unit) bool {
	return Exists(filepath.Join(libDir, u.Full())) || (u.Suffix == "" && Exists(filepath.Join(initDir, u.Name)))
}

// InstallUnit writes what the unit's package brings: a unit file, or on the old
// lines an init script, which is a double too.
func (m *Machine) InstallUnit(u *Unit) error {
	if m.initScripts() {
		m.Doubles[u.Name] = rcScript
		return Install(filepath.Join(initDir, u.Name), "/usr/sbin/rc"+u.Name)
	}
	text := fmt.Sprintf("[Unit]\nDescription=%s (lab double)\n\n[Install]\nWantedBy=multi-user.target\n", u.Name)
	if !m.debian() {
		if err := Install("/usr/sbin/rc" + u.Name); err != nil {
			return err
		}
	}
	return Write(filepath.Join(libDir, u.Full()), text, 0o644)
}

// Masked tells whether the unit is masked, as systemd does it.
func (u *Unit) Masked() bool {
	target, err := os.Readlink(filepath.Join(unitDir, u.Full()))
	return err == nil && target == "/dev/null"
}

// Enabled tells whether the unit comes up at boot.
func (m *Machine) Enabled(u *Unit) bool {
	return !u.Masked() && Exists(m.enableLink(u))
}

func (m *Machine) enableLink(u *Unit) string {
	if m.initScripts() {
		return filepath.Join(rcDir, fmt.Sprintf("S%02d%s", u.Order, u.Name))
	}
	return filepath.Join(wantsDir, u.Full())
}

// Enable makes the unit come up at boot, or not.
func (m *Machine) Enable(u *Unit, on bool) error {
	link := m.enableLink(u)
	if !on {
		return absent(os.Remove(link))
	}
	if u.Masked() {
		return fmt.Errorf("unit file %s/%s %w", unitDir, u.Full(), ErrMasked)
	}
	target := filepath.Join(libDir, u.Full())
	if m.initScripts() {
		target = "../" + u.Name
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(target, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Mask hides the unit from start and boot, or undoes that.
func (m *Machine) Mask(full string, on bool) error {
	link := filepath.Join(unitDir, full)
	if target, err := os.Readlink(link); err == nil && target == "/dev/null" {
		if on {
			return nil
		}
		return os.Remove(link)
	}
	if !on {
		return nil
	}
	if Exists(link) {
		return fmt.Errorf("file %s already exists", link)
	}
	if err := os.MkdirAll(unitDir, 0o755); err != nil {
		return err
	}
	return os.Symlink("/dev/null", link)
}

// IsActive tells whether the unit runs.
func (u *Unit) IsActive() bool {
	if u.Active != nil {
		return u.Active()
	}
	return Exists(filepath.Join(marksDir, u.Full()))
}

// StartUnit starts a unit and, first, what it needs.
func (m *Machine) StartUnit(u *Unit) error {
	if u.Masked() {
		return fmt.Errorf("unit %s %w", u.Full(), ErrMasked)
	}
	// Like systemd's, a start of what is active still starts what it needs.
	for _, need := range u.Needs {
		n, err := m.Unit(need)
		if err == nil {
			err = m.StartUnit(n)
		}
		if err != nil {
			return fmt.Errorf("start %s: needs %w", u.Full(), err)
		}
	}
	if u.IsActive() {
		return nil
	}
	if u.Start != nil {
		if err := keepDescriptors(); err != nil {
			return err
		}
		if err := u.Start(m); err != nil {
			return fmt.Errorf("start %s: %w", u.Full(), err)
		}
	}
	return u.mark(true)
}

// keepDescriptors lets a daemon inherit nothing of the double that starts it: it
// would be systemd's child, not that of who has called for it.
func keepDescriptors() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// StopUnit stops a unit.
func (m *Machine) StopUnit(u *Unit) error {
	if u.Stop != nil {
		if err := u.Stop(m); err != nil {
			return fmt.Errorf("stop %s: %w", u.Full(), err)
		}
	}
	return u.mark(false)
}

func (u *Unit) mark(on bool) error {
	path := filepath.Join(marksDir, u.Full())
	if !on {
		return absent(os.Remove(path))
	}
	return Write(path, "", 0o644)
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// PidAlive tells whether the process of a pid file lives and returns its id.
func PidAlive(file string) (int, bool) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 0 {
		return 0, false
	}
	return pid, syscall.Kill(pid, 0) == nil
}

// EndPid ends the process of a pid file and waits for it.
func EndPid(file string) error {
	pid, alive := PidAlive(file)
	if !alive {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	for range 3000 {
		if _, alive := PidAlive(file); !alive {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("process %d does not end", pid)
}
