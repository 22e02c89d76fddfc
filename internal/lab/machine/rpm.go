package machine

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// rpm is a double for the query and verify modes of rpm(8) on the lab's packages.
func rpm(m *Machine, c *Call) int {
	var names []string
	format, verify := "", false
	flags := map[rune]bool{}
	for i := 0; i < len(c.Args); i++ {
		a := c.Args[i]
		switch {
		case (a == "--qf" || a == "--queryformat") && i+1 < len(c.Args):
			i++
			format = c.Args[i]
		case strings.HasPrefix(a, "--qf="), strings.HasPrefix(a, "--queryformat="):
			_, format, _ = strings.Cut(a, "=")
		case a == "--verify":
			verify = true
		case a == "--version":
			c.Printf("RPM version 4.11.2 (lab double)\n")
			return 0
		case strings.HasPrefix(a, "--"):
			flags[map[string]rune{"--query": 'q', "--all": 'a', "--file": 'f', "--list": 'l', "--configfiles": 'c'}[a]] = true
		case strings.HasPrefix(a, "-"):
			for _, r := range a[1:] {
				flags[r] = true
			}
		default:
			names = append(names, a)
		}
	}
	if flags['V'] {
		verify = true
	}
	all, err := InstalledPackages()
	if err != nil {
		return c.Fail(1, "error: %v", err)
	}
	code := 0
	var chosen []*Package
	switch {
	case flags['a']:
		chosen = all
	case flags['f']:
		for _, file := range names {
			i := slices.IndexFunc(all, func(p *Package) bool { return p.owns(file) })
			if i < 0 {
				c.Printf("file %s is not owned by any package\n", file)
				code = 1
				continue
			}
			chosen = append(chosen, all[i])
		}
	default:
		for _, name := range names {
			i := slices.IndexFunc(all, func(p *Package) bool { return p.Name == name || p.Full() == name })
			if i < 0 {
				c.Printf("package %s is not installed\n", name)
				code = 1
				continue
			}
			chosen = append(chosen, all[i])
		}
	}
	for _, p := range chosen {
		switch {
		case verify:
			if p.verify(c) {
				code = 1
			}
		case flags['l'] || flags['c'] || flags['d']:
			for _, f := range p.Files {
				if flags['l'] || flags['c'] && f.Config {
					c.Printf("%s\n", f.Path)
				}
			}
		case strings.HasPrefix(format, "["):
			for _, f := range p.Files {
				flags := "0"
				if f.Config {
					flags = "1"
				}
				c.Printf("%s", strings.NewReplacer("%{=NAME}", p.Name, "%{FILEFLAGS}", flags, "%{FILEDIGESTS}", f.Sum, "%{FILENAMES}", f.Path).Replace(strings.Trim(format, "[]")))
			}
		case format != "":
			c.Printf("%s", p.format(format))
		default:
			c.Printf("%s\n", p.Full())
		}
	}
	return code
}

func (p *Package) owns(path string) bool {
	return slices.ContainsFunc(p.Files, func(f PackageFile) bool { return f.Path == path })
}

func (p *Package) format(format string) string {
	return strings.NewReplacer(
		"%{NAME}", p.Name, "%{name}", p.Name, "%{VERSION}", p.Version, "%{version}", p.Version,
		"%{RELEASE}", p.Release, "%{release}", p.Release, "%{ARCH}", p.Arch, "%{arch}", p.Arch,
		"%{SUMMARY}", p.Summary, "%{INSTALLTIME}", fmt.Sprint(p.Installed.Unix()), `\n`, "\n", `\t`, "\t",
	).Replace(format)
}

// verify prints the attributes that differ, in rpm's nine-column form, and
// tells whether any did.
func (p *Package) verify(c *Call) (differs bool) {
	for _, f := range p.Files {
		if f.Link != "" || f.Double {
			continue
		}
		kind := " "
		if f.Config {
			kind = "c"
		}
		info, err := os.Lstat(f.Path)
		if err != nil {
			c.Printf("missing   %s %s\n", kind, f.Path)
			differs = true
			continue
		}
		marks := []byte(".........")
		if info.Mode().Perm() != f.Mode.Perm() {
			marks[1] = 'M'
		}
		if f.Sum != "" {
			if now, err := fileSum(f.Path); err != nil || now != f.Sum {
				marks[0], marks[2], marks[7] = 'S', '5', 'T'
			}
		}
		if string(marks) != "........." {
			c.Printf("%s  %s %s\n", marks, kind, f.Path)
			differs = true
		}
	}
	return differs
}
