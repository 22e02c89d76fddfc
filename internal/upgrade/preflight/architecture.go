package preflight

import (
	"cmp"
	"slices"
	"strings"

	"lifeboat/internal/upgrade/facts"
)

// families are words for machines whose programs run beside each other as a matter of
// course: SLES for POWER had programs of 32 bits on a kernel of 64.
var families = map[string]string{
	"i386": "i586", "i486": "i586", "i686": "i586", "athlon": "i586", "amd64": "x86_64", "arm64": "aarch64", "ppc64el": "ppc64le",
	"armv6hl": "armv7hl", "armv7l": "armv7hl", "armhf": "armv7hl", "ppc": "ppc64", "noarch": "", "all": "",
}

func family(arch string) string {
	if f, ok := families[arch]; ok {
		return f
	}
	return arch
}

// core are packages whose architecture is that of the system.
var core = []string{"aaa_base", "bash", "coreutils", "filesystem", "glibc", "libc6", "rpm", "dpkg", "zypper"}

// mixed finds kernel, core packages and products that are not of the architecture of the
// installed programs. The solver takes the running kernel's for the system's, and would
// exchange all packages for those of another architecture.
func mixed(in *Input) *seen {
	f := in.Facts
	own := family(f.Arch)
	if own == "" {
		return nil // which another check tells
	}
	differs := func(arch string) bool { return family(arch) != "" && family(arch) != own }
	s := &seen{
		detail: "The installed programs are for " + f.Arch + ". What does not go with them decides which packages are taken for the new release.",
		remedy: "Start a kernel for " + f.Arch + ", and remove what is of another architecture; or accept this when it is meant, and look at the packages that the plan installs.",
	}
	if differs(f.Machine) {
		s.items = append(s.items, "the running kernel is for "+f.Machine)
	}
	for _, p := range f.Packages {
		if differs(p.Arch) && (slices.Contains(core, p.Name) || isKernel(p.Name)) {
			s.items = append(s.items, "package "+p.Name+" is for "+p.Arch)
		}
	}
	others, base := products(f, differs)
	s.items = append(s.items, base...)
	if len(s.items) == 0 && len(others) > 0 {
		s.severity = Medium // an add-on may be for programs of 32 bits
	}
	if s.items = append(s.items, others...); len(s.items) == 0 {
		return nil
	}
	return s
}

func isKernel(name string) bool {
	return strings.HasPrefix(name, "linux-image-") || strings.HasPrefix(name, "kernel-") &&
		slices.Contains([]string{"default", "pae", "xen", "trace", "ppc64", "smp", "bigsmp"}, strings.TrimPrefix(name, "kernel-"))
}

// products are add-ons and base products of another architecture, and further base
// products of several: an upgrade that was broken off leaves such.
func products(f *facts.Facts, differs func(string) bool) (others, base []string) {
	for _, p := range f.Products {
		if !differs(p.Arch) {
			continue
		}
		text := "product " + cmp.Or(p.Name, p.Summary) + " " + p.Version + " is for " + p.Arch
		if p.Base {
			base = append(base, text)
		} else {
			others = append(others, text)
		}
	}
	return others, base
}
