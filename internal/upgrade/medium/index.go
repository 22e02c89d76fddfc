package medium

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/excerpt"
)

// index is what a file says that lists the others.
type index struct {
	name     string
	identity Identity
	sums     []sum
}

// sum is one listed file.
type sum struct {
	name, kind, value string
	arch              string // of a kernel or initrd
	first             bool   // one of those that are compared always
}

// The names of indexes.
const (
	contentName = "content"
	repomdName  = "repodata/repomd.xml"
)

var (
	starts = regexp.MustCompile(`^boot/([a-z0-9_]+)/(?:loader/)?(?:linux|initrd|linux64|initrd64|image|Image|vmrdr\.ikr)$`)
	words  = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
)

func newSum(kind, value, name string) sum {
	s := sum{name: strings.TrimPrefix(name, "./"), kind: strings.ToLower(kind), value: strings.ToLower(value)}
	if m := starts.FindStringSubmatch(s.name); m != nil {
		s.arch, s.first = m[1], true
	} else if strings.HasPrefix(s.name, "suseboot/") {
		s.arch, s.first = "ppc64", slices.Contains([]string{"linux64", "initrd64"}, path.Base(s.name))
	}
	return s
}

// startNames are where a medium for an architecture has kernel and initrd.
func startNames(arch string) []string {
	switch family := familyOf(arch); family {
	case "ppc64":
		return []string{"suseboot/linux64", "suseboot/initrd64"}
	case "s390x", "ppc64le", "aarch64":
		return []string{"boot/" + family + "/linux", "boot/" + family + "/initrd"}
	default:
		return []string{"boot/" + family + "/loader/linux", "boot/" + family + "/loader/initrd"}
	}
}

// familyOf is how media call an architecture of uname(2) or rpm.
func familyOf(arch string) string {
	if len(arch) == 4 && arch[0] == 'i' && strings.HasSuffix(arch, "86") {
		return "i386"
	}
	return arch
}

func sameArch(a, b string) bool { return familyOf(a) == familyOf(b) }

// lines calls f with each line of a text, without blanks around it.
func lines(text []byte, f func(line string) error) error {
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, maxSmall)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return scanner.Err()
}

var (
	errMany = fmt.Errorf("it lists more than %d files", maxFiles)
	errSum  = errors.New("a checksum is none")
)

func (i *index) add(s sum) error {
	if len(i.sums) >= maxFiles {
		return errMany
	}
	if raw, err := hex.DecodeString(s.value); err != nil || len(raw) < 16 {
		return errSum
	}
	i.sums = append(i.sums, s)
	return nil
}

// readContent reads `content` of SLES 10 to 12: a key and a value a line. HASH and KEY
// are checksums of files, META those of files in DESCRDIR.
func readContent(text []byte) (index, error) {
	var i index
	id := &i.identity
	dirs := map[string]string{}
	var described []sum
	err := lines(text, func(line string) error {
		key, value, _ := strings.Cut(line, " ")
		if k, v, ok := strings.Cut(line, "\t"); ok && len(k) < len(key) {
			key, value = k, v
		}
		value = strings.TrimSpace(value)
		// LABEL may be there once for each language: LABEL.de
		switch key {
		case "LABEL":
			id.Label = shown(value)
		case "NAME":
			id.Product = strings.TrimPrefix(shown(value), "SUSE_")
		case "VERSION":
			id.Version, _, _ = strings.Cut(shown(value), "-")
		case "VENDOR":
			id.Vendor = shown(value)
		case "DISTRO":
			cpe, label, _ := strings.Cut(value, ",")
			id.cpe(shown(cpe))
			if id.Label == "" {
				id.Label = shown(label)
			}
		case "BASEARCHS":
			for _, a := range strings.Fields(value) {
				id.arch(a)
			}
		case "REPOID": // …/SLES/12/DVD/x86_64
			if id.Arch == nil {
				id.arch(path.Base(value))
			}
		case "DESCRDIR", "DATADIR":
			dirs[key] = value
		case "HASH", "KEY", "META":
			parts := strings.Fields(value)
			if len(parts) < 3 {
				return errSum
			}
			rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(value, parts[0])), parts[1]))
			s := newSum(parts[0], parts[1], rest)
			if key == "META" {
				described = append(described, s)
				return nil
			}
			return i.add(s)
		}
		return nil
	})
	for _, s := range described {
		if err != nil {
			break
		}
		s.name, s.first = path.Join(dirs["DESCRDIR"], s.name), false
		err = i.add(s)
	}
	if err == nil && id.Product == "" && id.Label == "" && len(i.sums) == 0 {
		err = errors.New("it names no product and lists no file")
	}
	for _, s := range i.sums {
		if s.arch != "" && !slices.ContainsFunc(id.Arch, func(a string) bool { return sameArch(a, s.arch) }) {
			id.arch(s.arch)
		}
	}
	return i, err
}

// readChecksums reads CHECKSUMS of SLES 15, which sha256sum(1) writes.
func readChecksums(text []byte) (index, error) {
	var i index
	err := lines(text, func(line string) error {
		value, name, _ := strings.Cut(line, " ")
		kind, known := map[int]string{40: "sha1", 64: "sha256", 128: "sha512"}[len(value)]
		if !known {
			return errSum
		}
		s := newSum(kind, value, strings.TrimLeft(name, " *"))
		if s.arch != "" {
			i.identity.arch(s.arch)
		}
		return i.add(s)
	})
	return i, err
}

// repomd is repodata/repomd.xml.
type repomd struct {
	Data []struct {
		Type     string `xml:"type,attr"`
		Location struct {
			Href string `xml:"href,attr"`
		} `xml:"location"`
		Checksum struct {
			Type  string `xml:"type,attr"`
			Value string `xml:",chardata"`
		} `xml:"checksum"`
	} `xml:"data"`
	Distro []struct {
		CPE  string `xml:"cpeid,attr"`
		Name string `xml:",chardata"`
	} `xml:"tags>distro"`
	Repo []string `xml:"tags>repo"`
}

func readRepomd(text []byte) (index, error) {
	var i index
	var doc repomd
	if err := xml.Unmarshal(text, &doc); err != nil {
		return i, err
	}
	if len(doc.Distro) > 0 {
		i.identity.cpe(shown(doc.Distro[0].CPE))
		i.identity.Label = shown(doc.Distro[0].Name)
	}
	for _, repo := range doc.Repo { // obsproduct://…/SLES/12/POOL/x86_64
		i.identity.arch(path.Base(repo))
	}
	for _, d := range doc.Data {
		s := sum{name: d.Location.Href, kind: strings.ToLower(d.Checksum.Type), value: strings.ToLower(strings.TrimSpace(d.Checksum.Value))}
		s.first = slices.Contains([]string{"primary", "products", "product"}, d.Type)
		if err := i.add(s); err != nil {
			return i, err
		}
	}
	if len(i.sums) == 0 {
		return i, errors.New("it lists no file")
	}
	return i, nil
}

// readProducts reads media.1/products: a directory, a product and its version a line.
func readProducts(text []byte) Identity {
	var id Identity
	_ = lines(text, func(line string) error {
		if parts := strings.Fields(line); len(parts) == 3 && id.Product == "" {
			id.Product = strings.TrimPrefix(shown(parts[1]), "SUSE_")
			id.Version, _, _ = strings.Cut(shown(parts[2]), "-")
		}
		return nil
	})
	return id
}

// cpe reads cpe:/o:suse:sles:12:sp1.
func (i *Identity) cpe(text string) {
	parts := strings.Split(text, ":")
	if len(parts) < 5 || parts[0] != "cpe" {
		return
	}
	i.CPE = text
	if i.Product == "" {
		i.Product = strings.ToUpper(parts[3])
	}
	if i.Version == "" {
		i.Version = parts[4]
		if len(parts) > 5 {
			i.Version += "." + strings.TrimPrefix(parts[5], "sp")
		}
	}
}

var arches = []string{"x86_64", "i386", "i486", "i586", "i686", "ppc", "ppc64", "ppc64le", "s390", "s390x", "aarch64", "ia64", "armv7hl"}

func (i *Identity) arch(name string) {
	if words.MatchString(name) && slices.Contains(arches, name) && !slices.Contains(i.Arch, name) {
		i.Arch = append(i.Arch, name)
	}
}

// shown is what a source says, fit for a report.
func shown(text string) string { return excerpt.Line(strings.TrimSpace(text), 200) }
