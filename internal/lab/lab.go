// Package lab builds realistic systems inside sandboxes, with real database
// servers, for the demo and the tests. It is never linked into lifeboat. What
// stands inside a system is in the packages machine, smt and opsi; here is what
// happens outside of it.
//
// Init must be the first call in main and in TestMain of tests that use it: the
// program is copied into each system and is there every double of a command.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/lab/machine"
	"lifeboat/internal/sandbox"
)

// Init plays a double when the process was called as one, or a sandbox's init,
// and then never returns.
func Init() {
	name := filepath.Base(os.Args[0])
	if m, err := machine.Load(); err == nil {
		if err := plug(m); err == nil {
			if code, found := m.Run(name, os.Args[1:]); found {
				os.Exit(code)
			}
		}
	}
	sandbox.Init()
}

// Options describe a lab system.
type Options struct {
	Dir      string // where the system lives; must not exist yet
	Product  string // SMT or Opsi; "" is SMT
	Line     string // SLES line 10, 11 or 12; "" is that of the schema. Debian release for opsi
	Schema   string // 0.09, 0.14 or 3.09; "" is 3.09, or that of the line
	Variant  string // of opsi: file, hybrid or mysql; "" is hybrid
	Large    bool   // opsi with 400 clients and 14,400 config states, instead of 25 and 40
	Hostname string // "" is smt1.example.com or opsi.example.com
	Address  string // "" is 192.0.2.10/24
	MAC      string // of its network card; "" is 52:54:00:5b:04:75
	// Network is the file of a network namespace with a bridge called lan, which
	// the card is plugged into; "" is a card that leads nowhere.
	Network  string
	Password string // of the database user; "nasty" is one with quotes, # and spaces
	MirrorTo string // "" is /srv/www/htdocs
	Fresh    bool   // other uids and gids than the first server had
	// Installed puts opsi on a bare system, set up and empty.
	Installed bool
	// Local adds an administrator's view, trigger, routine and event.
	Local bool
	// OldScript adds the article's own backup script.
	OldScript bool
	// MirrorTime is how long smt-mirror takes.
	MirrorTime time.Duration
	// Version is that of the product's packages; Update and UpdateSchema are what
	// zypper up brings. Of opsi, Update is the version of firefox upstream.
	Version, Update, UpdateSchema string
	Lifeboat                      string // program to put at /usr/bin/lifeboat
	Share                         []sandbox.Bind
	Size                          int64 // disk size in bytes; 0 is the sandbox's default
}

// The fixed secrets of the lab.
const (
	NastyPassword = `it's "q#uo;te' \d = b$`
	CAPassword    = "ca password"
)

// bridge is what the bridge of a lab network is called.
const bridge = "lan"

// System is a lab system.
type System struct {
	*sandbox.Sandbox
	dir string
}

// startsEmpty is what of this machine must not be seen in a lab system: its
// data, its configuration of what the lab plays, and its package manager.
var startsEmpty = []string{
	"/boot", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var/backups", "/var/backup", "/var/cache", "/var/lib/CAM", "/var/lib/dpkg",
	"/var/lib/apt", "/var/lib/lifeboat", "/var/lib/mysql", "/var/lib/rpm", "/var/lib/smt", "/var/log", "/var/mail", "/var/spool", "/var/tmp",
	"/etc/apache2", "/etc/apt", "/etc/cron.d", "/etc/cron.daily", "/etc/init.d", "/etc/lifeboat", "/etc/my.cnf", "/etc/network", "/etc/smt.conf",
	"/etc/smt.d", "/etc/ssl/private", "/etc/ssl/servercerts", "/etc/sysconfig", "/etc/systemd/system", "/etc/zypp", "/etc/resolv.conf",
	"/etc/netplan", "/etc/dhcp", "/etc/opsi", "/etc/samba", "/var/lib/opsi", "/var/lib/opsiconfd", "/var/lib/dhcp", "/var/lib/tftpboot", "/tftpboot", "/etc/debian_version", "/etc/machine-id", "/etc/rc0.d", "/etc/rc1.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d", "/etc/rc6.d",
}

// standardDirs are what a root of this kind of system has (FHS 3.0).
var standardDirs = []string{
	"bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
}

func emptyPaths() ([]string, error) {
	empty := append([]string(nil), startsEmpty...)
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, err
	}
	standard := map[string]bool{}
	for _, d := range standardDirs {
		standard[d] = true
	}
	for _, e := range entries {
		if !standard[e.Name()] {
			empty = append(empty, "/"+e.Name())
		}
	}
	return empty, nil
}

// BuildBare builds a bare operating system for a product, with nothing of the
// product but an update source that has it, unless it is to be installed.
func BuildBare(ctx context.Context, opts Options) (*System, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	sys, err := build(ctx, opts)
	if err != nil || !opts.Installed {
		return sys, err
	}
	if err := sys.play(ctx, products[opts.Product].install, nil); err != nil {
		return nil, errors.Join(err, sys.Destroy(context.WithoutCancel(ctx)))
	}
	return sys, nil
}

// BuildSMT builds a full SMT server that has been in use.
func BuildSMT(ctx context.Context, opts Options) (*System, error) {
	opts.Product = SMT
	return buildServer(ctx, opts)
}

// BuildOpsi builds a full opsi server that has been in use.
func BuildOpsi(ctx context.Context, opts Options) (*System, error) {
	opts.Product = Opsi
	return buildServer(ctx, opts)
}

func buildServer(ctx context.Context, opts Options) (*System, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	sys, err := build(ctx, opts)
	if err != nil {
		return nil, err
	}
	var client bytes.Buffer
	err = sys.play(ctx, products[opts.Product].setup, &client)
	if err == nil {
		err = os.WriteFile(filepath.Join(sys.dir, "client.json"), client.Bytes(), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build %s server: %w", opts.Product, err), sys.Destroy(context.WithoutCancel(ctx)))
	}
	return sys, nil
}

func build(ctx context.Context, opts Options) (*System, error) {
	spec, err := opts.spec()
	if err != nil {
		return nil, err
	}
	empty, err := emptyPaths()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	box, err := sandbox.Create(ctx, sandbox.Options{
		Dir: filepath.Join(dir, "box"), Hostname: opts.Hostname, Empty: empty, Size: opts.Size, Volatile: true, Devices: true, Binds: opts.Share, // a drill within it has loop devices
		Interfaces: []sandbox.Interface{{Name: "eth0", MAC: spec.MAC, Network: opts.Network, Bridge: bridge}},
		Boot:       whenThere(machine.Home + "/boot"), Shutdown: whenThere(machine.Home + "/halt-system"),
	})
	if err != nil {
		return nil, fmt.Errorf("build lab system: %w", err)
	}
	sys := &System{Sandbox: box, dir: dir}
	if err := sys.install(ctx, spec, opts.Lifeboat); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab system: %w", err), sys.Destroy(context.WithoutCancel(ctx)))
	}
	return sys, nil
}

// whenThere runs a program that the very first boot does not have yet.
func whenThere(program string) []string {
	return []string{"/bin/sh", "-c", "test ! -x " + program + " || exec " + program}
}

func (s *System) install(ctx context.Context, spec machine.Spec, lifeboat string) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if err := s.CopyIn(ctx, exe, machine.Program, 0o755); err != nil {
		return err
	}
	if lifeboat != "" {
		if err := s.CopyIn(ctx, lifeboat, "/usr/bin/lifeboat", 0o755); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return s.run(ctx, sandbox.Command{Args: []string{machine.Program}, Name: installName, Stdin: bytes.NewReader(raw)})
}

// play runs a double by its name.
func (s *System) play(ctx context.Context, name string, out io.Writer) error {
	return s.run(ctx, sandbox.Command{Args: []string{machine.Program}, Name: name, Stdout: out})
}

// run runs a command and puts what it complained about into the error.
func (s *System) run(ctx context.Context, c sandbox.Command) error {
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := s.Run(ctx, c); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return nil
}

// CopyIn copies a file of this machine into the system.
func (s *System) CopyIn(ctx context.Context, from, to string, mode os.FileMode) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	const script = `mkdir -p "${1%/*}" && cat > "$1.new" && chmod "$2" "$1.new" && mv "$1.new" "$1"`
	return s.run(ctx, sandbox.Command{Args: []string{"/bin/sh", "-c", script, "copy", to, strconv.FormatUint(uint64(mode), 8)}, Stdin: f})
}
