package machine

import (
	"crypto/md5" //nolint:gosec // what dpkg uses
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The database of dpkg, which is the real program: deb-control(5), dpkg(1).
const (
	dpkgDir    = "/var/lib/dpkg"
	dpkgStatus = dpkgDir + "/status"
)

func (p *Package) debVersion() string {
	if p.Release == "" {
		return p.Version
	}
	return p.Version + "-" + p.Release
}

// tellDpkg writes what dpkg knows of the package, and the status file anew.
func tellDpkg(p *Package) error {
	var list, sums strings.Builder
	seen := map[string]bool{}
	for _, f := range p.Files {
		for path := f.Path; path != "/" && !seen[path]; path = filepath.Dir(path) {
			seen[path] = true
		}
		if f.Sum != "" && !f.Config {
			sum := md5.Sum([]byte(f.Text)) //nolint:gosec // what dpkg uses
			fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), strings.TrimPrefix(f.Path, "/"))
		}
	}
	list.WriteString("/.\n")
	paths := make([]string, 0, len(seen))
	for path := range seen {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		list.WriteString(path + "\n")
	}
	base := filepath.Join(dpkgDir, "info", p.Name)
	if err := Write(base+".list", list.String(), 0o644); err != nil {
		return err
	}
	if err := Write(base+".md5sums", sums.String(), 0o644); err != nil {
		return err
	}
	if err := Write(filepath.Join(packageDB(), p.Name+".control"), p.control(), 0o644); err != nil {
		return err
	}
	all, err := filepath.Glob(filepath.Join(packageDB(), "*.control"))
	if err != nil {
		return err
	}
	var status strings.Builder
	for _, file := range all {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		status.Write(raw)
		status.WriteString("\n")
	}
	return Write(dpkgStatus, status.String(), 0o644)
}

// control is the package's paragraph of the status file.
func (p *Package) control() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nPriority: optional\nSection: admin\nMaintainer: Lab <lab@example.com>\nArchitecture: %s\nVersion: %s\n",
		p.Name, p.Arch, p.debVersion())
	if len(p.Needs) > 0 {
		fmt.Fprintf(&b, "Depends: %s\n", strings.Join(p.Needs, ", "))
	}
	first := true
	for _, f := range p.Files {
		if !f.Config {
			continue
		}
		if first {
			b.WriteString("Conffiles:\n")
			first = false
		}
		sum := md5.Sum([]byte(f.Text)) //nolint:gosec // what dpkg uses
		fmt.Fprintf(&b, " %s %s\n", f.Path, hex.EncodeToString(sum[:]))
	}
	fmt.Fprintf(&b, "Description: %s\n", p.Summary)
	return b.String()
}
