package zypper

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/host"
)

// Package is an installed package.
type Package struct {
	Name    string `json:"name"`
	Edition string `json:"edition"` // [epoch:]version-release
	Arch    string `json:"arch"`
	Vendor  string `json:"vendor,omitempty"`
	Size    int64  `json:"size"` // bytes when installed
}

// String is name-edition.arch.
func (p Package) String() string { return p.Name + "-" + p.Edition + "." + p.Arch }

// fields of a package in rpm's answer, by a character that no value has.
const queryFormat = `%{NAME}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SIZE}\t%{VENDOR}\n`

// keyPackage is what rpm keeps imported keys as.
const keyPackage = "gpg-pubkey"

// Packages lists what is installed, by name; imported keys are none.
func (z *Zypper) Packages(ctx context.Context) ([]Package, error) {
	out, err := z.query(ctx, "--query", "--all", "--queryformat", queryFormat)
	if err != nil {
		return nil, fmt.Errorf("list installed packages: %w", err)
	}
	var list []Package
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 5)
		if len(f) < 5 || f[0] == keyPackage {
			continue
		}
		size, _ := strconv.ParseInt(f[3], 10, 64)
		p := Package{Name: f[0], Edition: f[1], Arch: f[2], Size: size}
		if f[4] != "(none)" {
			p.Vendor = f[4]
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Edition, b.Edition), cmp.Compare(a.Arch, b.Arch))
	})
	return list, nil
}

// Inconsistent lists the dependencies of installed packages that are not met: half of
// an upgrade leaves some. None is a consistent system. (The exit code of "zypper
// verify" does not tell.)
func (z *Zypper) Inconsistent(ctx context.Context) ([]string, error) {
	out, err := z.query(ctx, "--verify", "--all", "--nofiles", "--noscripts", "--nodigest", "--nosignature")
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("verify the dependencies of packages: %w", err)
	}
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && !noise.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if exit != nil && len(lines) == 0 {
		return nil, fmt.Errorf("verify the dependencies of packages: %w", err)
	}
	return lines, nil
}

// Orphans lists installed packages that no package repository has.
func (z *Zypper) Orphans(ctx context.Context) ([]string, error) {
	var out bytes.Buffer
	err := z.o.Runner.Run(ctx, host.Command{
		Args: append(z.arguments("--no-refresh"), "packages", "--orphaned"), Env: z.environment(), Files: z.files(),
		Stdout: &limited{w: &out, left: maxOutput},
	})
	if err != nil {
		return nil, fmt.Errorf("list packages that no package repository has: %w", err)
	}
	// S | Repository | Name | Version | Arch
	var list []string
	for line := range strings.Lines(out.String()) {
		f := strings.Split(line, "|")
		if len(f) != 5 || !strings.HasPrefix(f[0], "i") {
			continue
		}
		list = append(list, strings.TrimSpace(f[2])+"-"+strings.TrimSpace(f[3])+"."+strings.TrimSpace(f[4]))
	}
	return list, nil
}

// Locks lists the names, or patterns, of packages that zypper must not change.
func (z *Zypper) Locks() ([]string, error) {
	h, err := host.At(z.o.Files)
	if err != nil {
		return nil, err
	}
	path, err := h.Path("/etc/zypp/locks")
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read locks of packages: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == "solvable_name" {
			names = append(names, strings.TrimSpace(value))
		}
	}
	return names, nil
}

// Product is an installed product, as /etc/products.d describes it.
type Product struct {
	Name    string `json:"name"`    // SLES
	Version string `json:"version"` // 12.1
	Release string `json:"release,omitempty"`
	Summary string `json:"summary,omitempty"`
	Base    bool   `json:"base"` // the one that /etc/products.d/baseproduct leads to
}

// maxProduct bounds the description of a product, in bytes.
const maxProduct = 1 << 20

// Products lists the installed products, by their files.
func (z *Zypper) Products() ([]Product, error) {
	const dir = "/etc/products.d/"
	h, err := host.At(z.o.Files)
	if err != nil {
		return nil, err
	}
	files, err := h.Match(dir + "*.prod")
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	at, err := h.Path(dir)
	if err != nil {
		return nil, err
	}
	base, _ := os.Readlink(filepath.Join(at, "baseproduct"))
	var list []Product
	for _, name := range files {
		path, err := h.Path(name)
		if err != nil {
			return nil, err
		}
		p, err := readProduct(path)
		if err != nil {
			return nil, fmt.Errorf("product %s: %w", filepath.Base(name), err)
		}
		p.Base = filepath.Base(base) == filepath.Base(name)
		list = append(list, p)
	}
	return list, nil
}

// Offered lists the products that the package repositories in use have, by their metadata
// of the last refresh. Installed ones that no package repository has are left out.
func (z *Zypper) Offered(ctx context.Context) ([]Product, error) {
	var out []byte
	err := z.noting(func() (err error) {
		out, err = z.said(ctx, "--xmlout", "--no-refresh", "products")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the products of package repositories: %w", err)
	}
	var said struct {
		Products []struct {
			Name       string `xml:"name,attr"`
			Version    string `xml:"version,attr"`
			Release    string `xml:"release,attr"`
			Summary    string `xml:"summary,attr"`
			Repository string `xml:"repo,attr"`
		} `xml:"product-list>product"`
	}
	d := xml.NewDecoder(bytes.NewReader(printable(out)))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	if err := d.Decode(&said); err != nil {
		return nil, fmt.Errorf("list the products of package repositories: %w", err)
	}
	var list []Product
	for _, p := range said.Products {
		if p.Repository != "@System" {
			list = append(list, Product{Name: p.Name, Version: p.Version, Release: p.Release, Summary: p.Summary})
		}
	}
	return list, nil
}

func readProduct(path string) (Product, error) {
	f, err := os.Open(path)
	if err != nil {
		return Product{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return Product{}, errors.Join(err, errors.New("it is no file"))
	}
	var p struct {
		Name        string `xml:"name"`
		Version     string `xml:"version"`
		BaseVersion string `xml:"baseversion"`
		PatchLevel  string `xml:"patchlevel"`
		Release     string `xml:"release"`
		Summary     string `xml:"summary"`
	}
	if err := xml.NewDecoder(io.LimitReader(f, maxProduct)).Decode(&p); err != nil {
		return Product{}, err
	}
	version := strings.TrimSpace(p.Version)
	if version == "" {
		version = strings.TrimSpace(p.BaseVersion)
		if level := strings.TrimSpace(p.PatchLevel); version != "" && level != "" && level != "0" {
			version += "." + level
		}
	}
	return Product{Name: strings.TrimSpace(p.Name), Version: version, Release: strings.TrimSpace(p.Release), Summary: strings.TrimSpace(p.Summary)}, nil
}
