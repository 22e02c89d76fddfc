package facts

import (
	"encoding/hex"
	"encoding/xml"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// system fills in name, release and architecture.
func (r *record) system(f *Facts) {
	f.Hostname = strings.TrimSpace(r.text("run", "hostname"))
	for _, file := range []string{"/etc/hostname", "/etc/HOSTNAME"} {
		if lines := r.lines("file", file); f.Hostname == "" && len(lines) > 0 {
			f.Hostname = lines[0]
		}
	}
	f.Hostname, _, _ = strings.Cut(f.Hostname, ".")
	f.Machine = strings.TrimSpace(r.text("run", "machine"))
	f.Kernel.Running = strings.TrimSpace(r.text("run", "kernel"))
	f.Memory = r.memory()
	r.release(f)
	r.products(f)
	r.architecture(f)
}

func (r *record) memory() int64 {
	fields := strings.Fields(r.text("file", "/proc/meminfo"))
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[1], 10, 40)
	return n << 10
}

// release reads os-release(5), or /etc/SuSE-release, which SUSE systems had up to SLES
// 12 and which there says no less. Where both are there they were written together.
func (r *record) release(f *Facts) {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, ok := r.find("file", file)
		if !ok {
			continue
		}
		values := assignments(b.text)
		if values["ID"] == "" {
			continue
		}
		f.Release = Release{ID: strings.ToLower(values["ID"]), Name: values["PRETTY_NAME"], Like: strings.Fields(values["ID_LIKE"]), Source: file}
		f.Release.Version, f.Release.SP = split(values["VERSION_ID"])
		return
	}
	if f.Release = suseRelease(r.text("file", "/etc/SuSE-release")); f.Release.ID != "" {
		return
	}
	if lines := r.lines("file", "/etc/debian_version"); len(lines) > 0 {
		f.Release = Release{ID: "debian", Name: "Debian " + lines[0], Source: "/etc/debian_version"}
		f.Release.Version, _, _ = strings.Cut(lines[0], ".")
		return
	}
	f.unknown("release", "neither os-release nor /etc/SuSE-release says which system this is")
}

// split makes 12.5 version 12 and service pack 5.
func split(version string) (major string, sp int) {
	major, minor, _ := strings.Cut(version, ".")
	sp, err := strconv.Atoi(minor)
	if err != nil || sp < 0 || sp > 99 {
		sp = 0
	}
	return major, sp
}

// suseRelease reads the name with the architecture in parentheses, then VERSION and
// PATCHLEVEL.
func suseRelease(text string) Release {
	lines := saying(text)
	values := assignments(text)
	if len(lines) == 0 || values["VERSION"] == "" {
		return Release{}
	}
	name, _, _ := strings.Cut(lines[0], " (")
	version, sp := split(values["VERSION"])
	if n, err := strconv.Atoi(values["PATCHLEVEL"]); err == nil && n > 0 && n < 100 {
		sp = n
		name += " SP" + values["PATCHLEVEL"]
	}
	id := "opensuse"
	switch low := strings.ToLower(name); {
	case strings.Contains(low, "enterprise server"):
		id = "sles"
	case strings.Contains(low, "enterprise desktop"):
		id = "sled"
	}
	return Release{ID: id, Version: version, SP: sp, Name: name, Like: []string{"suse"}, Source: "/etc/SuSE-release"}
}

// products reads the files of /etc/products.d. The link baseproduct names the base
// product; where it was read as a file, the product of the same content is meant.
func (r *record) products(f *Facts) {
	const dir = "/etc/products.d"
	base := r.text("file", dir+"/baseproduct")
	for _, b := range r.below(dir, ".prod") {
		var p struct {
			Name    string `xml:"name"`
			Version string `xml:"version"`
			Base    string `xml:"baseversion"`
			Patch   string `xml:"patchlevel"`
			Release string `xml:"release"`
			Arch    string `xml:"arch"`
			Summary string `xml:"summary"`
			Target  string `xml:"register>target"`
		}
		decoder := xml.NewDecoder(strings.NewReader(b.text))
		decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
		if err := decoder.Decode(&p); err != nil || p.Name == "" {
			f.unknown("products", path.Base(b.name)+" is no description of a product")
			continue
		}
		if p.Version == "" && p.Base != "" {
			p.Version = p.Base + "." + p.Patch
		}
		f.Products = append(f.Products, Product{
			Name: p.Name, Version: strings.TrimSuffix(p.Version, ".0"), Release: p.Release, Arch: p.Arch,
			Summary: p.Summary, Target: p.Target, Base: base != "" && base == b.text,
		})
	}
	slices.SortFunc(f.Products, func(a, b Product) int { return strings.Compare(a.Name, b.Name) })
}

// machines are ELF's numbers of machines, elf(5), in the words of rpm.
var machines = map[uint16]string{0x03: "i586", 0x3e: "x86_64", 0x16: "s390x", 0xb7: "aarch64", 0x28: "armv7hl", 0x32: "ia64", 0x15: "ppc64", 0x14: "ppc"}

// architecture looks at an installed program: a kernel of 64 bits may run a system of
// 32. Without one the release file says it, or the running kernel.
func (r *record) architecture(f *Facts) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(r.text("head", "program")), ""))
	if err == nil && len(b) == headBytes && string(b[:4]) == "\x7fELF" {
		f.Bits = 32 * int(b[4])
		machine := uint16(b[18]) | uint16(b[19])<<8
		f.Endian = "little"
		if b[5] == 2 {
			f.Endian = "big"
			machine = uint16(b[19]) | uint16(b[18])<<8
		}
		f.Arch = machines[machine]
		switch {
		case f.Arch == "ppc64" && f.Endian == "little":
			f.Arch = "ppc64le"
		case f.Arch == "s390x" && f.Bits == 32:
			f.Arch = "s390"
		}
		if f.Bits == 32 || f.Bits == 64 {
			return
		}
		f.Bits = 0
	}
	if m := inParentheses.FindStringSubmatch(r.text("file", "/etc/SuSE-release")); m != nil {
		f.Arch = m[1]
	}
	if f.Arch == "" {
		f.Arch = f.Machine
	}
	if f.Arch == "" {
		f.unknown("architecture", "no program of the machine could be read")
		return
	}
	f.Bits, f.Endian = 64, "little"
	switch f.Arch {
	case "i386", "i486", "i586", "i686", "armv7hl":
		f.Bits = 32
	case "ppc64", "s390x":
		f.Endian = "big"
	case "ppc", "s390":
		f.Bits, f.Endian = 32, "big"
	}
}

var inParentheses = regexp.MustCompile(`^[^\n]*\(([a-z0-9_]+)\)`)
