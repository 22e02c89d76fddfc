package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Package is a package of the update source or of the machine.
type Package struct {
	Name, Version, Release, Arch, Summary string
	Needs                                 []string // installed with it
	Files                                 []PackageFile
	Setup                                 func(m *Machine) error `json:"-"` // its install script, before the files
	Finish                                func(m *Machine) error `json:"-"` // its install script, after the files
	Installed                             time.Time
}

// PackageFile is one file of a package.
type PackageFile struct {
	Path   string
	Text   string `json:"-"`
	Link   string `json:",omitempty"`
	Mode   fs.FileMode
	Owner  string // user:group, root:root when empty
	Config bool   // kept when it was changed; the new one gets .rpmnew or .dpkg-dist
	Double bool   `json:",omitempty"` // a link to the lab's program
	Dir    bool   `json:",omitempty"`
	Sum    string `json:",omitempty"` // SHA-256 of the shipped content
}

// packageDB is where the machine keeps its package database: for the rpm double,
// or beside that of the real dpkg.
func packageDB() string {
	if Exists(dpkgStatus) {
		return dpkgDir + "/lab"
	}
	return "/var/lib/rpm/lab"
}

// Offer adds packages to the update source. A later version of a name is its update.
func (m *Machine) Offer(packages ...Package) { m.packages = append(m.packages, packages...) }

// Full is the usual name-version-release.arch, or name_version-revision_arch.
func (p *Package) Full() string {
	if p.Arch == "amd64" || p.Arch == "all" {
		return p.Name + "_" + p.debVersion() + "_" + p.Arch
	}
	return fmt.Sprintf("%s-%s-%s.%s", p.Name, p.Version, p.Release, p.Arch)
}

// InstalledPackage returns a package of the machine.
func InstalledPackage(name string) (*Package, error) {
	raw, err := os.ReadFile(filepath.Join(packageDB(), filepath.Base(name)+".json"))
	if err != nil {
		return nil, fmt.Errorf("package %s is not installed: %w", name, err)
	}
	var p Package
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// InstalledPackages returns all packages of the machine by name.
func InstalledPackages() ([]*Package, error) {
	files, err := filepath.Glob(filepath.Join(packageDB(), "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []*Package
	for _, f := range files {
		p, err := InstalledPackage(strings.TrimSuffix(filepath.Base(f), ".json"))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Add installs a package: scripts, files as rpm would handle them, database.
func (m *Machine) Add(p Package) error {
	old, _ := InstalledPackage(p.Name)
	if p.Setup != nil {
		if err := p.Setup(m); err != nil {
			return fmt.Errorf("install %s: %w", p.Full(), err)
		}
	}
	for i := range p.Files {
		f := &p.Files[i]
		sum := sha256.Sum256([]byte(f.Text))
		if f.Sum = hex.EncodeToString(sum[:]); f.Dir || f.Link != "" || f.Double {
			f.Sum = ""
		}
		if err := f.unpack(old); err != nil {
			return fmt.Errorf("install %s: %s: %w", p.Full(), f.Path, err)
		}
	}
	if p.Finish != nil {
		if err := p.Finish(m); err != nil {
			return fmt.Errorf("install %s: %w", p.Full(), err)
		}
	}
	p.Installed = time.Now().UTC().Truncate(time.Second)
	raw, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err
	}
	if err := Write(filepath.Join(packageDB(), p.Name+".json"), string(raw), 0o644); err != nil || !m.debian() {
		return err
	}
	return tellDpkg(&p)
}

func (f *PackageFile) unpack(old *Package) error {
	owner := f.Owner
	if owner == "" {
		owner = "root:root"
	}
	path := f.Path
	switch {
	case f.Double:
		return Install(path)
	case f.Link != "":
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := absent(os.Remove(path)); err != nil {
			return err
		}
		return os.Symlink(f.Link, path)
	case f.Dir:
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, f.Mode); err != nil {
			return err
		}
		return Own(owner, path)
	}
	if f.Config {
		if now, err := fileSum(path); err == nil && now != f.Sum {
			if old == nil || old.sumOf(path) != now {
				path += f.newName() // the administrator's file stays
			}
		}
	}
	if err := Write(path, f.Text, f.Mode); err != nil {
		return err
	}
	return Own(owner, path)
}

func (f *PackageFile) newName() string {
	if Exists(dpkgStatus) {
		return ".dpkg-dist"
	}
	return ".rpmnew"
}

func (p *Package) sumOf(path string) string {
	for _, f := range p.Files {
		if f.Path == path {
			return f.Sum
		}
	}
	return ""
}

func fileSum(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}
