package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/zypper"
)

// Space is one file system: what it has and what the upgrade takes of it, in bytes.
type Space struct {
	Mount  string   `json:"mount"`
	Device string   `json:"device"`
	Size   int64    `json:"size"`
	Free   int64    `json:"free"`
	Need   int64    `json:"need"`
	Of     []string `json:"of"` // what takes it
}

// Tight tells that it is enough by less than a fifth of the need.
func (s Space) Tight() bool { return s.Free >= s.Need && s.Free < s.Need+s.Need/5 }

// Low tells that it is not enough.
func (s Space) Low() bool { return s.Free < s.Need }

const (
	mebi = 1 << 20

	// reserve is left on the root for logs, the package database and what scripts of
	// packages write.
	reserve = 256 * mebi
	// kernelRoom is what a kernel with its initrd takes in /boot, or the installer's. Those
	// of SLES 11 SP3 and 12 take 35 to 70 MiB.
	kernelRoom = 80 * mebi
)

// Where nobody could ask what the packages will do, shares of what is installed are
// taken, in percent: packages are compressed to about 40 and software grows.
const (
	downloadShare = 40
	growthShare   = 30
)

// places of what packages bring. How much of it goes to which is not told by metadata,
// so all of it has to fit where most of it goes.
const (
	programs = "/usr"
	cache    = "/var/cache"
)

// space adds up what is needed on each file system.
func (in *Input) space() []Space {
	list := []Space{}
	add := func(path string, bytes int64, what string) {
		at, ok := in.Facts.SpaceOf(path)
		if !ok {
			return
		}
		i := slices.IndexFunc(list, func(s Space) bool { return s.Mount == at.Mount })
		if i < 0 {
			return
		}
		if bytes > 0 {
			list[i].Need += bytes
			list[i].Of = append(list[i].Of, humanize.IBytes(uint64(bytes))+" for "+what)
		}
	}
	for _, s := range in.Facts.Space {
		if !slices.ContainsFunc(list, func(o Space) bool { return o.Mount == s.Mount }) {
			list = append(list, Space{Mount: s.Mount, Device: s.Device, Size: s.Size, Free: s.Free, Of: []string{}})
		}
	}
	add("/", reserve, "logs, the package database and scripts")
	if in.Method == nil || in.kernelChanges() {
		add("/boot", kernelRoom, "a kernel and its initrd")
	}
	switch t := in.Transaction; {
	case t != nil:
		add(cache, t.Download, "downloaded packages")
		add(programs, max(t.Space, 0)+largest(in.Facts.Packages, t), "new packages, the old ones being there until each is replaced")
	case in.live() || in.Method == nil:
		add(cache, in.installed()/100*downloadShare, "downloaded packages, by what is installed")
		fallthrough
	default:
		add(programs, in.installed()/100*growthShare, "new packages, by what is installed")
	}
	for _, n := range in.Needs {
		add(n.Path, n.Bytes, n.What)
	}
	return list
}

// kernelChanges tells whether a kernel is added to /boot.
func (in *Input) kernelChanges() bool {
	if in.Transaction == nil {
		return true
	}
	isKernel := func(c zypper.Change) bool {
		return strings.HasPrefix(c.Name, "kernel-") || strings.HasPrefix(c.Name, "linux-image")
	}
	return slices.ContainsFunc(in.Transaction.Install, isKernel) || slices.ContainsFunc(in.Transaction.Upgrade, isKernel)
}

// largest is the installed size of the largest package that is replaced: new and old
// stand side by side for a moment.
func largest(packages []facts.Package, t *zypper.Transaction) int64 {
	size := map[string]int64{}
	for _, p := range packages {
		size[p.Name] = max(size[p.Name], p.Size)
	}
	most := int64(0)
	for _, c := range t.Upgrade {
		most = max(most, size[c.Name])
	}
	return most
}

func (in *Input) installed() int64 {
	sum := int64(0)
	for _, p := range in.Facts.Packages {
		sum += p.Size
	}
	return sum
}

// isBoot tells a file system that is /boot, or part of it, alone.
func isBoot(s Space) bool { return s.Mount == "/boot" || strings.HasPrefix(s.Mount, "/boot/") }

func (in *Input) spaces(wanted func(Space) bool) *seen {
	s := &seen{remedy: "zypper clean (apt-get clean) empties the cache of packages; remove what is not needed, old kernels first, or enlarge the file system. Save data before you repartition."}
	for _, at := range in.space() {
		if wanted(at) {
			s.items = append(s.items, fmt.Sprintf("%s (%s) has %s free and needs %s: %s", at.Mount, cmp.Or(at.Device, "no device"),
				humanize.IBytes(uint64(max(at.Free, 0))), humanize.IBytes(uint64(at.Need)), strings.Join(at.Of, ", ")))
		}
	}
	if len(s.items) == 0 {
		return nil
	}
	if in.Transaction == nil {
		s.detail = "What the packages need is not known and was guessed from what is installed."
		if s.accept == "" {
			s.accept = plainly
		}
	}
	return s
}

func spaceLow(in *Input) *seen {
	return in.spaces(func(s Space) bool { return s.Low() && !isBoot(s) })
}

func spaceTight(in *Input) *seen {
	return in.spaces(Space.Tight)
}

func bootLow(in *Input) *seen {
	s := in.spaces(func(s Space) bool { return s.Low() && isBoot(s) })
	if s != nil {
		s.accept, s.detail = never, "A kernel that does not fit leaves a machine that may not start."
	}
	return s
}
