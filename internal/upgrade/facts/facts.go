// Package facts says what a machine is before an upgrade: its release, architecture,
// disks, boot loader, packages, package repositories and what runs on it. The facts
// are gathered on this machine, from a root that is mounted, or by a shell script on a
// host that is too old for this program; whoever gathers them, they are read by the
// same code. What follows from a fact must not enter: no rule of any product stands
// here, and nothing is changed on any machine.
package facts

import (
	"slices"
	"strings"
	"time"
)

// Format is the number of the form that Facts have as JSON.
const Format = 1

// Facts is what is known of one machine. What it did not tell is empty, and named in
// Unknown where something depends on it.
type Facts struct {
	Format    int       `json:"format"`
	Collected time.Time `json:"collected"`
	By        string    `json:"by"`             // "lifeboat" or "script"
	Live      bool      `json:"live"`           // gathered on the running machine
	Tree      string    `json:"root,omitempty"` // below which directory, when not live

	Hostname string    `json:"hostname"`
	Release  Release   `json:"release"`
	Products []Product `json:"products,omitempty"` // of /etc/products.d, by name

	Arch    string `json:"arch"`              // of the installed programs: x86_64, i586, ppc64, ppc64le, s390x, aarch64, ia64
	Bits    int    `json:"bits,omitempty"`    // of the installed programs: 32 or 64
	Endian  string `json:"endian,omitempty"`  // "little" or "big"
	Machine string `json:"machine,omitempty"` // as uname(2) says; only when live
	Memory  int64  `json:"memory,omitempty"`  // bytes; only when live

	Kernel Kernel  `json:"kernel"`
	Root   Root    `json:"root_device"`
	Mounts []Mount `json:"mounts,omitempty"` // of devices; from fstab(5) when not live
	Space  []Space `json:"space,omitempty"`
	Boot   Boot    `json:"boot"`

	Manager      string       `json:"manager,omitempty"` // "rpm" or "dpkg"
	Packages     []Package    `json:"packages,omitempty"`
	Repositories []Repository `json:"repositories,omitempty"`
	Locks        []Lock       `json:"locks,omitempty"`
	Inconsistent []string     `json:"inconsistent,omitempty"` // what the package database misses, as it says

	Guests  []Guest  `json:"guests,omitempty"` // virtual machines that run here; only when live
	Desktop Desktop  `json:"desktop"`
	Pending []string `json:"pending,omitempty"` // why the machine has to be restarted first

	// OldBackups are files of /var/adm/backup, where YaST leaves copies of what was changed.
	OldBackups []string `json:"old_backups,omitempty"`

	Unknown []Unknown `json:"unknown,omitempty"` // what could not be found out
}

// Release is the operating system. A SUSE release is given as version and service
// pack, from whichever file says it.
type Release struct {
	ID      string   `json:"id"`           // of os-release(5): sles, sled, debian
	Version string   `json:"version"`      // 11, 12, 15, 10
	SP      int      `json:"service_pack"` // 0 is the first edition
	Name    string   `json:"name"`         // for people
	Like    []string `json:"like,omitempty"`
	Source  string   `json:"source"` // the file that says so
}

// Product is a file of /etc/products.d, as libzypp reads it.
type Product struct {
	Name    string `json:"name"` // SLES
	Version string `json:"version"`
	Release string `json:"release,omitempty"`
	Arch    string `json:"arch,omitempty"`
	Summary string `json:"summary,omitempty"`
	Target  string `json:"target,omitempty"` // by which it registers: sle-12-x86_64
	Base    bool   `json:"base"`
}

// Kernel is what runs and what would.
type Kernel struct {
	Running     string   `json:"running,omitempty"`      // release, as uname(2) says; only when live
	Installed   []string `json:"installed,omitempty"`    // releases with modules
	CommandLine string   `json:"command_line,omitempty"` // of the running kernel, else of the boot loader's first entry
}

// Root is where the root file system lies.
type Root struct {
	Device     string `json:"device"`
	UUID       string `json:"uuid,omitempty"`
	Filesystem string `json:"filesystem,omitempty"`
	Options    string `json:"options,omitempty"`
}

// Mount is a line of mounts or fstab(5).
type Mount struct {
	Device  string `json:"device"`
	Path    string `json:"path"`
	Type    string `json:"type"`
	Options string `json:"options,omitempty"`
}

// Space is the file system on which a directory lies. Sizes are bytes; Free is what
// root may use.
type Space struct {
	Path   string `json:"path"`
	Device string `json:"device"`
	Mount  string `json:"mount"`
	Size   int64  `json:"size"`
	Free   int64  `json:"free"`
}

// Boot is how the machine starts.
type Boot struct {
	Loader  string   `json:"loader,omitempty"`  // grub, grub2, grub2-efi, elilo, lilo, zipl
	Config  string   `json:"config,omitempty"`  // the file that its menu stands in
	Found   []string `json:"found,omitempty"`   // every boot loader's file that is there
	Entries []Entry  `json:"entries,omitempty"` // of GRUB legacy's menu
}

// Entry is one of GRUB legacy's menu.
type Entry struct {
	Title   string `json:"title"`
	Root    string `json:"root,omitempty"`   // (hd0,0), when the entry has it as a line of its own
	Kernel  string `json:"kernel,omitempty"` // file, as the entry names it
	Options string `json:"options,omitempty"`
	Default bool   `json:"default,omitempty"`
}

// Package is an installed package. Size is what it takes on disk, in bytes.
type Package struct {
	Name    string `json:"name"`
	Epoch   string `json:"epoch,omitempty"`
	Version string `json:"version"`
	Release string `json:"release,omitempty"`
	Arch    string `json:"arch"`
	Vendor  string `json:"vendor,omitempty"`
	Size    int64  `json:"size"`
	Held    bool   `json:"held,omitempty"` // dpkg's own hold
}

// Edition is version and release as the package manager writes them.
func (p Package) Edition() string {
	text := p.Version
	if p.Epoch != "" && p.Epoch != "0" {
		text = p.Epoch + ":" + text
	}
	if p.Release != "" {
		text += "-" + p.Release
	}
	return text
}

// Repository is a package repository. Variables of its URLs stay as they are written;
// credentials are left out.
type Repository struct {
	Alias    string   `json:"alias"`
	Name     string   `json:"name,omitempty"`
	URLs     []string `json:"urls,omitempty"`
	Enabled  bool     `json:"enabled"`
	Refresh  bool     `json:"refresh"`
	Check    *bool    `json:"gpg_check,omitempty"` // signatures; nil leaves it to zypp.conf, which checks
	Type     string   `json:"type,omitempty"`
	Priority int      `json:"priority,omitempty"`
	Service  string   `json:"service,omitempty"`
	File     string   `json:"file"`
}

// Lock keeps packages as they are.
type Lock struct {
	Name  string `json:"name"`           // name or pattern of what is locked
	Type  string `json:"type,omitempty"` // package, patch, product …
	Match string `json:"match,omitempty"`
	By    string `json:"by"` // file or program that knows the lock
}

// Guest is a virtual machine that runs.
type Guest struct {
	Name   string `json:"name,omitempty"`
	Kind   string `json:"kind"` // kvm or xen
	Source string `json:"source"`
}

// Desktop is what /etc/sysconfig says about the graphical desktop.
type Desktop struct {
	WindowManager  string `json:"window_manager,omitempty"`  // DEFAULT_WM
	DisplayManager string `json:"display_manager,omitempty"` // DISPLAYMANAGER
}

// Unknown is a fact that could not be found out.
type Unknown struct {
	What string `json:"what"` // stable: packages, space, boot …
	Why  string `json:"why"`
}

// IsUnknown tells whether a fact could not be found out, and why.
func (f *Facts) IsUnknown(what string) (why string, unknown bool) {
	for _, u := range f.Unknown {
		if u.What == what {
			return u.Why, true
		}
	}
	return "", false
}

// Base is the base product, nil where none is known.
func (f *Facts) Base() *Product {
	for i := range f.Products {
		if f.Products[i].Base {
			return &f.Products[i]
		}
	}
	return nil
}

// Package finds an installed package; the last one of several editions.
func (f *Facts) Package(name string) (Package, bool) {
	for _, p := range slices.Backward(f.Packages) {
		if p.Name == name {
			return p, true
		}
	}
	return Package{}, false
}

// SpaceOf is the file system that an absolute path lies on, as far as is known.
func (f *Facts) SpaceOf(path string) (Space, bool) {
	best, found := Space{}, false
	for _, s := range f.Space {
		inside := s.Path == "/" || path == s.Path || strings.HasPrefix(path, s.Path+"/")
		if inside && (!found || len(s.Path) > len(best.Path)) {
			best, found = s, true
		}
	}
	return best, found
}
