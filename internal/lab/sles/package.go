package sles

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// Vendors as rpm knows them.
const (
	suse = "SUSE LINUX Products GmbH, Nuernberg, Germany"
	acme = "Acme Software Ltd."
)

// pack is one package. What it provides, requires and obsoletes are lines as a
// spec file has them.
type pack struct {
	name, version, release string
	vendor                 string // "" is SUSE
	requires, provides     []string
	obsoletes              []string
	files                  []file
	pre, post, posttrans   string
	changes                []change
}

// file is a file of a package; the zero mode is 0644.
type file struct {
	path, content string
	mode          uint32
	config        bool
	link          string // a symbolic link to this
	dir           bool
	host          string // content is this file of the machine
	noise         int64  // content is this many bytes that no packing makes smaller
}

// change is an entry of a package's changelog, newest first.
type change struct{ date, text string }

func (p pack) String() string { return p.name + "-" + p.version + "-" + p.release }

func (p pack) rpm() string { return p.String() + ".noarch.rpm" }

func (f file) perm() uint32 {
	switch {
	case f.mode != 0:
		return f.mode
	case f.dir:
		return 0o755
	}
	return 0o644
}

// spec writes one spec file for several packages, which all come out of one
// rpmbuild. Their files lie in a tree made beforehand. A spec has one changelog
// for all its packages, so those with a changelog of their own get a spec of
// their own.
func spec(name, tree string, packs []pack) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `%%define _build_id_links none
%%define debug_package %%{nil}
%%define __os_install_post %%{nil}
%%define _binaries_in_noarch_packages_terminate_build 0
%%define _binary_payload w1.gzdio
Name: lab-%s
Version: 1
Release: 1
Summary: Packages of the lab
License: GPL-2.0
BuildArch: noarch
AutoReqProv: no
%%description
Packages of the lab.
`, name)
	for _, p := range packs {
		vendor := p.vendor
		if vendor == "" {
			vendor = suse
		}
		fmt.Fprintf(&b, "\n%%package -n %s\nVersion: %s\nRelease: %s\nVendor: %s\nSummary: %s of the lab\nAutoReqProv: no\n", p.name, p.version, p.release, vendor, p.name)
		for tag, list := range map[string][]string{"Requires": p.requires, "Provides": p.provides, "Obsoletes": p.obsoletes} {
			for _, v := range list {
				fmt.Fprintf(&b, "%s: %s\n", tag, v)
			}
		}
		fmt.Fprintf(&b, "%%description -n %s\nA stand-in of the lab for the package %s.\n", p.name, p.name)
		for tag, script := range map[string]string{"pre": p.pre, "post": p.post, "posttrans": p.posttrans} {
			if script != "" {
				fmt.Fprintf(&b, "%%%s -n %s\n%s\n", tag, p.name, script)
			}
		}
		fmt.Fprintf(&b, "%%files -n %s\n", p.name)
		for _, f := range p.files {
			line := f.path
			switch {
			case f.dir:
				line = "%dir " + line
			case f.config:
				line = "%config(noreplace) " + line
			}
			if f.link == "" {
				line = fmt.Sprintf("%%attr(%04o,root,root) %s", f.perm(), line)
			}
			fmt.Fprintln(&b, line)
		}
	}
	fmt.Fprintf(&b, "\n%%install\nmkdir -p %%{buildroot}\ncp -a %s/. %%{buildroot}/\n", tree)
	if len(packs) == 1 && len(packs[0].changes) > 0 {
		b.WriteString("\n%changelog\n")
		for _, c := range packs[0].changes {
			fmt.Fprintf(&b, "* %s maintenance@suse.example\n%s\n\n", c.date, c.text)
		}
	}
	return b.Bytes()
}

func script(lines ...string) string { return strings.Join(lines, "\n") }

func text(name, content string) file { return file{path: name, content: content} }

func dir(name string) file { return file{path: name, dir: true} }

func program(name string) file {
	return file{path: name, content: "#!/bin/sh\necho " + path.Base(name) + " of the lab\n", mode: 0o755}
}

// library is a stand-in for a shared library, and what rpm says it provides.
func library(name, version, release, soname string) pack {
	return pack{
		name: name, version: version, release: release, provides: []string{soname + "()(64bit)"},
		files: []file{{path: "/usr/lib64/" + soname, content: name + " " + version + "\n", mode: 0o755}},
	}
}
