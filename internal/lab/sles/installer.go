package sles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Installation is a double of the booted installer: it does to a mounted root what
// YaST does to one that is upgraded.
type Installation struct {
	Root string
	// CommandLine is the kernel's.
	CommandLine string
	// Repositories are those of the installation medium.
	Repositories []Repository
	// Home is a home directory for zypper and rpm, as Lab.Home.
	Home string
}

// ErrRefused is when the installer was not started to upgrade by itself.
var ErrRefused = errors.New("the installer does not begin")

// log is YaST's, in the root, and control the file that answers what it would ask.
const (
	log     = "/var/log/YaST2/y2log"
	control = "/root/autoupg.xml"
)

// Run upgrades the root, as YaST does it: without upgrade=1 on the kernel's command
// line it would install anew and delete data, without autoupgrade=1 it would wait for
// a person; the double refuses both. It saves some configuration to
// /var/adm/backup, disables the package repositories that are there, adds those of
// the medium and runs zypper dup. All it does is in /var/log/YaST2/y2log of the root.
func (i Installation) Run(ctx context.Context) error {
	options := strings.Fields(i.CommandLine)
	if !slices.Contains(options, "upgrade=1") {
		return fmt.Errorf("%w: the kernel's command line has no upgrade=1, this would be a new installation", ErrRefused)
	}
	if !slices.Contains(options, "autoupgrade=1") {
		return fmt.Errorf("%w: the kernel's command line has no autoupgrade=1, it waits for a person", ErrRefused)
	}
	product, err := os.Readlink(filepath.Join(i.Root, "etc/products.d/baseproduct"))
	if err != nil {
		return fmt.Errorf("%w: no system to upgrade: %w", ErrRefused, err)
	}
	i.say("upgrade of " + product + ", started with: " + i.CommandLine)
	if text, err := os.ReadFile(filepath.Join(i.Root, control)); err == nil {
		i.say("control file: " + string(text))
	}
	err = i.upgrade(ctx)
	if err != nil {
		i.say("Error: " + err.Error())
		return err
	}
	i.say("upgrade finished")
	return nil
}

func (i Installation) upgrade(ctx context.Context) error {
	backup := filepath.Join(i.Root, "var/adm/backup/system-upgrade")
	if err := makeDirs(backup); err != nil {
		return err
	}
	if err := run(ctx, "", nil, "tar", "-czf", filepath.Join(backup, "etc.tar.gz"), "-C", i.Root, "etc/sysconfig", "etc/zypp"); err != nil {
		return err
	}
	l := &Lab{Dir: filepath.Join(i.Root, "var/log/YaST2"), Root: i.Root, Home: i.Home}
	zypper := func(args ...string) error {
		out, err := l.Zypper(ctx, args...)
		i.say("zypper " + strings.Join(args, " ") + "\n" + out)
		return err
	}
	if err := zypper("modifyrepo", "--all", "--disable"); err != nil {
		return err
	}
	list := filepath.Join(backup, "medium.repo")
	if err := write(list, i.list()); err != nil {
		return err
	}
	if err := zypper("addrepo", list); err != nil {
		return err
	}
	err := zypper("dist-upgrade", "--no-recommends", "--auto-agree-with-licenses", "--download", "in-advance")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 107 { // everything is installed, a %post failed
		i.say("Warning: " + err.Error())
		return nil
	}
	return err
}

// list is the medium's repositories as a file that zypper adds at once: each call of
// it takes long in a PC that is played.
func (i Installation) list() string {
	var b strings.Builder
	for _, r := range i.Repositories {
		fmt.Fprintf(&b, "[%s]\nname=%s\nenabled=1\nautorefresh=1\nbaseurl=%s\ntype=rpm-md\n\n", r.Alias, r.Alias, r.URL)
	}
	return b.String()
}

// say writes a line of the log, as YaST's have it. That it cannot be written must
// not stop an upgrade.
func (i Installation) say(text string) {
	name := filepath.Join(i.Root, log)
	if err := makeDirs(filepath.Dir(name)); err != nil {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s <1> install(1) [YCP] %s\n", time.Now().UTC().Format(time.DateTime), strings.TrimSpace(text))
}

// Install plays the installer on the lab's root. With no command line it is that of
// the boot entry in the root: what stands behind linux.upgrade in the menu.
func (l *Lab) Install(ctx context.Context, commandLine string) error {
	if commandLine == "" {
		var err error
		if commandLine, err = entryLine(l.Root); err != nil {
			return err
		}
	}
	return Installation{Root: l.Root, CommandLine: commandLine, Repositories: l.Target, Home: l.Home}.Run(ctx)
}

// menus are where a boot entry may stand.
var menus = []string{"boot/grub/menu.lst", "boot/grub2/custom.cfg", "boot/grub2/grub.cfg"}

func entryLine(root string) (string, error) {
	for _, name := range menus {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(raw)) {
			if words := strings.Fields(line); len(words) > 2 && strings.HasSuffix(words[1], "linux.upgrade") {
				return strings.Join(words[2:], " "), nil
			}
		}
	}
	return "", fmt.Errorf("%w: no menu in %s starts linux.upgrade", ErrRefused, root)
}

// installer is what the double is called in the installation system, and what it
// is called as.
const (
	installer = "/sbin/yast2-upgrade"
	medium    = "/medium.json" // the repositories that are in the installation system
	target    = "/mnt"
)

// Init plays the installer when the process was called as it in the installation
// system, and then never returns. It must be the first call in main and in
// TestMain of whoever boots one.
func Init() {
	if os.Args[0] != installer {
		return
	}
	fmt.Println("lab: the installer begins")
	if err := played(context.Background()); err != nil {
		fmt.Println("lab: the installer failed:", err)
		os.Exit(1)
	}
	fmt.Println("lab: the installer succeeded")
	os.Exit(0)
}

func played(ctx context.Context) (err error) {
	raw, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	i := Installation{Root: target, CommandLine: strings.TrimSpace(string(raw)), Home: "/home"}
	fmt.Println("lab: command line:", i.CommandLine)
	if raw, err = os.ReadFile(medium); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &i.Repositories); err != nil {
		return err
	}
	device := ""
	for field := range strings.FieldsSeq(i.CommandLine) {
		if v, ok := strings.CutPrefix(field, "root="); ok {
			device = v
		}
	}
	if err := unix.Mount(device, target, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount the root device %q of the kernel's command line: %w", device, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(target, 0)) }()
	return i.Run(ctx)
}
