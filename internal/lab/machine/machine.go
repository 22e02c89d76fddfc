// Package machine is the operating system of a lab system, SUSE-like or
// Debian-like, seen from inside its sandbox: accounts, packages, services, registration and boot.
// Its commands are doubles: they stand where the real ones stand, do the real
// work on files, processes and the database as far as a recovery can see it,
// and log each call. Products plug in; none may be named here.
package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Paths of the lab inside a system.
const (
	Home     = "/usr/lib/lab"           // the program itself, and Spec
	Program  = Home + "/lab"            // what every double is a link to
	CallsLog = "/var/log/lab/calls.log" // one line a call of a double
	specPath = Home + "/machine.json"
)

// Spec describes a lab system. It is written once, when the system is built.
type Spec struct {
	Family   string // SUSE or Debian
	Line     string // SLES line: 10, 11 or 12; Debian release
	Hostname string // fully qualified
	Address  string // IPv4 with prefix length
	MAC      string
	Gateway  string
	DNS      string

	Username, Password string // the account known upstream
	RegCode            string

	// Plays names the plugged product, and Product is its own part.
	Plays   string
	Product json.RawMessage
}

// Machine is the system a double runs on.
type Machine struct {
	Spec     Spec
	Doubles  map[string]Double
	Unlogged map[string]bool // doubles that nobody calls as a command
	units    []*Unit
	packages []Package // what the update source offers
}

// Double is one command. It returns an exit code.
type Double func(m *Machine, c *Call) int

// Call is one call of a double.
type Call struct {
	Name           string
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Printf writes to standard output.
func (c *Call) Printf(format string, args ...any) { fmt.Fprintf(c.Stdout, format, args...) }

// Fail writes a message to standard error and returns the exit code given.
func (c *Call) Fail(code int, format string, args ...any) int {
	fmt.Fprintf(c.Stderr, format+"\n", args...)
	return code
}

// New returns the machine of a spec with its operating system's doubles and units.
func New(spec Spec) *Machine {
	m := &Machine{Spec: spec, Doubles: map[string]Double{}, Unlogged: map[string]bool{}}
	for name, d := range map[string]Double{
		"systemctl": systemctl, "service": service, "chkconfig": chkconfig, "insserv": chkconfig,
		"rpm": rpm, "zypper": zypper, "SUSEConnect": register, "suse_register": register, "apt-get": apt, "apt": apt,
		"reboot": down, "shutdown": down, "poweroff": down, "halt": down,
		"boot": boot, "halt-system": haltSystem,
	} {
		m.Doubles[name] = d
	}
	m.units = []*Unit{m.mysqlUnit(), cronUnit()}
	for _, u := range m.units {
		m.Doubles["rc"+u.Name] = rcScript
		m.Doubles[u.Name] = rcScript
	}
	m.offerBase()
	return m
}

// Load returns the machine this process runs on.
func Load() (*Machine, error) {
	raw, err := os.ReadFile(specPath)
	if err != nil {
		return nil, fmt.Errorf("not on a lab system: %w", err)
	}
	var spec Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, fmt.Errorf("read %s: %w", specPath, err)
	}
	return New(spec), nil
}

// Save writes the spec.
func (m *Machine) Save() error {
	raw, err := json.MarshalIndent(m.Spec, "", "  ")
	if err != nil {
		return err
	}
	return Write(specPath, string(raw), 0o600)
}

// Families of operating systems.
const (
	SUSE   = "suse"
	Debian = "debian"
)

func (m *Machine) debian() bool { return m.Spec.Family == Debian }

// initScripts tells that no systemd is there yet.
func (m *Machine) initScripts() bool { return !m.debian() && m.Line() < 12 }

// Line is the number of the SLES line.
func (m *Machine) Line() int {
	n, _ := strconv.Atoi(m.Spec.Line)
	return n
}

// Run runs the double of that name and logs the call. found is false for a
// name that is none.
func (m *Machine) Run(name string, args []string) (code int, found bool) {
	double, found := m.Doubles[name]
	if !found {
		return 0, false
	}
	if !m.Unlogged[name] {
		LogCall(name, args)
	}
	return double(m, &Call{Name: name, Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}), true
}

// LogCall appends to the log of calls: time, name and quoted arguments,
// separated by tabs. Calls that doubles make among themselves are not logged.
func LogCall(name string, args []string) {
	if err := os.MkdirAll(filepath.Dir(CallsLog), 0o755); err != nil {
		return
	}
	f, err := os.OpenFile(CallsLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	var quoted []string
	for _, a := range args {
		quoted = append(quoted, strconv.Quote(a))
	}
	fmt.Fprintf(f, "%s\t%s\t%s\n", time.Now().UTC().Format(time.RFC3339Nano), name, strings.Join(quoted, " "))
}

// Install makes links to the doubles. paths are absolute; the base name is the
// double's name.
func Install(paths ...string) error {
	for _, p := range paths {
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(Program, p); err != nil {
			return fmt.Errorf("install %s: %w", p, err)
		}
	}
	return nil
}

// Write makes a file with its directories and exactly that mode.
func Write(path, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// Exists tells whether there is something at path.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
