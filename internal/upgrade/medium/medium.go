// Package medium looks at installation sources before an upgrade relies on them: a
// directory, an ISO image, or a server of HTTP, FTP, NFS, SMB or TFTP. What a source says
// it is must be signed by a key that is trusted, and what it lists must be what it has.
// The clients run in this process, so a rescue system whose kernel knows neither NFS
// nor CIFS reads from there too. It also sends the packet that wakes a target. What an upgrade does, and
// the boot menu of an installed system, must not enter here.
//
// The form of SUSE's media is taken from the media themselves and from the published
// sources of linuxrc and libzypp: `content` with `content.asc` (SLES 11 and 12),
// `CHECKSUMS` with `CHECKSUMS.asc` (15), `repodata/repomd.xml` with `.asc` (package
// repositories, and 15), `media.1/products`.
package medium

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
)

// Options say how sources are looked at.
type Options struct {
	Keys Keyring
	// Arch is the architecture whose kernel and initrd are looked at; "" is each that
	// the source has.
	Arch string
	// All compares every file that the source lists, not only kernel and initrd.
	All bool
	// Login is for FTP, SMB and HTTP; empty is anonymous.
	Login Login
	// Limit is how long a server may send nothing; 0 is a minute.
	Limit time.Duration
	// Save gives what a kernel or an initrd is copied to while it is compared, by its
	// name in the source; nil for what is not wanted. What was copied counts only when
	// the report says that the file is good.
	Save func(name string) (io.Writer, error)
}

// Standing is what came out.
type Standing string

// The standings, from good to bad.
const (
	Proven   Standing = "proven"   // signed by a trusted key, and what was compared is what is listed
	Unproven Standing = "unproven" // nothing contradicts it, and nobody who is trusted vouches for it
	Refuted  Standing = "refuted"  // a signature is wrong, or a file is not the one that is listed
)

// Report is what a source is.
type Report struct {
	Format   int      `json:"format"` // 1
	Address  string   `json:"address"`
	Kind     string   `json:"kind"` // medium, package-repository
	Standing Standing `json:"standing"`
	Why      []string `json:"why,omitempty"`   // it is not proven
	Notes    []string `json:"notes,omitempty"` // that do not change the standing
	Identity Identity `json:"identity"`
	Indexes  []Index  `json:"indexes"`
	Files    []File   `json:"files"`
}

// Identity is which product a source says it has.
type Identity struct {
	Label   string   `json:"label,omitempty"`   // SUSE Linux Enterprise Server 12
	Product string   `json:"product,omitempty"` // SLES
	Version string   `json:"version,omitempty"` // 12, 11.3
	CPE     string   `json:"cpe,omitempty"`
	Vendor  string   `json:"vendor,omitempty"`
	Arch    []string `json:"arch,omitempty"`
	From    string   `json:"from,omitempty"` // the file that says so
	Signed  bool     `json:"signed"`         // by a trusted key
}

// Index is a file that says what a source has, and who signed it.
type Index struct {
	Name      string    `json:"name"`
	SHA256    string    `json:"sha256"`
	Files     int       `json:"files"` // that it lists
	Signature Signature `json:"signature"`
}

// File is one that was fetched and compared with its index.
type File struct {
	Name  string `json:"name"`
	Index string `json:"index"`
	Kind  string `json:"checksum"` // sha256
	Want  string `json:"want"`
	Got   string `json:"got,omitempty"` // "" for one that is not there
	Size  int64  `json:"size"`
}

// Good tells whether the file is the one that is listed.
func (f File) Good() bool { return f.Got == f.Want }

// ErrNoSource says that there is no installation source at an address.
var ErrNoSource = errors.New("no installation source")

// Bounds, in bytes and files.
const (
	maxIndex = 32 << 20
	maxSmall = 1 << 20
	maxFile  = 16 << 30
	maxFiles = 200_000
)

// Check looks at a source. An error says that it could not be looked at, ErrNoSource that
// there is none; what is wrong with one that is there stands in the report.
func Check(ctx context.Context, address string, o Options) (*Report, error) {
	s, err := Open(ctx, address, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Check(ctx)
}

// Check looks at a source that is open.
func (s *Source) Check(ctx context.Context) (*Report, error) {
	r := &Report{Format: 1, Address: s.Address, Kind: "package-repository", Standing: Proven, Indexes: []Index{}, Files: []File{}}
	found, err := s.indexes(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Address, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w: it has neither content nor repodata/repomd.xml%s", s.Address, ErrNoSource, s.below(ctx))
	}
	if _, err := s.small(ctx, "media.1/media"); err == nil || slices.ContainsFunc(found, func(i index) bool { return i.name != repomdName }) {
		r.Kind = "medium"
	}
	if err := s.identify(ctx, r, found); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Address, err)
	}
	for n, i := range found {
		if err := s.compare(ctx, r, i, r.Indexes[n].Signature.State == Good); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Address, err)
		}
	}
	if i, ok := s.tree.(image); ok && i.cut() != "" {
		r.refute("%s", i.cut())
	}
	s.remain(r)
	if len(r.Files) == 0 {
		r.doubt("none of the files that it lists could be compared")
	}
	if r.Kind == "medium" {
		s.unlisted(ctx, r)
	}
	return r, nil
}

// remain says what of the source nobody has compared: files that are listed, and always
// the packages, whose checksums stand in lists that only package management follows.
func (s *Source) remain(r *Report) {
	listed := 0
	for _, i := range r.Indexes {
		listed += i.Files
	}
	if left := listed - len(r.Files); left > 0 && !s.options.All {
		r.Notes = append(r.Notes, fmt.Sprintf("of the %d files that it lists %d were not compared; --all compares them", listed, left))
	}
	r.Notes = append(r.Notes, "its packages were not compared: zypper and the installer compare each with the signed lists when they take it")
}

func (r *Report) doubt(format string, args ...any) {
	r.Why = append(r.Why, fmt.Sprintf(format, args...))
	if r.Standing == Proven {
		r.Standing = Unproven
	}
}

func (r *Report) refute(format string, args ...any) {
	r.Why = append(r.Why, fmt.Sprintf(format, args...))
	r.Standing = Refuted
}

// readers are the indexes that are known, in the order in which they say what a source
// is.
var readers = []struct {
	name string
	keys []string
	read func([]byte) (index, error)
}{
	{contentName, []string{contentName + ".key"}, readContent},
	{"CHECKSUMS", []string{"CHECKSUMS.key", repomdName + ".key"}, readChecksums},
	{repomdName, []string{repomdName + ".key"}, readRepomd},
}

// indexes reads those that are there, and looks at their signatures.
func (s *Source) indexes(ctx context.Context, r *Report) ([]index, error) {
	var all []index
	for _, known := range readers {
		text, err := s.get(ctx, known.name, maxIndex)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		i, err := known.read(text)
		if err != nil {
			r.refute("%s cannot be read: %s", known.name, excerpt.Line(err.Error(), 200))
		}
		i.name = known.name
		signature, err := s.signature(ctx, known.name, text, known.keys)
		if err != nil {
			return nil, err
		}
		signature.judge(r, known.name)
		all = append(all, i)
		r.Indexes = append(r.Indexes, Index{known.name, digestOf(text), len(i.sums), signature})
	}
	return all, nil
}

// identify says what the source is, by the first index that knows.
func (s *Source) identify(ctx context.Context, r *Report, found []index) error {
	for n, i := range found {
		r.Identity.fill(i.identity, i.name, r.Indexes[n].Signature.State == Good)
	}
	if r.Identity.Product != "" || r.Identity.Label != "" {
		return nil
	}
	text, err := s.small(ctx, "media.1/products")
	if errors.Is(err, fs.ErrNotExist) {
		r.Notes = append(r.Notes, "it does not say which product it has")
		return nil
	}
	if err != nil {
		return err
	}
	r.Identity.fill(readProducts(text), "media.1/products", false)
	r.Notes = append(r.Notes, "which product it has stands in media.1/products, which nobody signs")
	return nil
}

// fill takes over what is not known yet.
func (i *Identity) fill(from Identity, name string, signed bool) {
	if i.Label == "" && i.Product == "" && (from.Label != "" || from.Product != "") {
		arch := i.Arch
		*i = from
		i.From, i.Signed = name, signed
		if len(i.Arch) == 0 {
			i.Arch = arch
		}
	}
	if len(i.Arch) == 0 {
		i.Arch = from.Arch
	}
}

// compare fetches what an index lists, and compares it.
func (s *Source) compare(ctx context.Context, r *Report, i index, trusted bool) error {
	for _, sum := range i.sums {
		if !s.options.All && !sum.first || s.options.Arch != "" && sum.arch != "" && !sameArch(sum.arch, s.options.Arch) {
			continue
		}
		f := File{Name: sum.name, Index: i.name, Kind: sum.kind, Want: sum.value}
		h, known := newHash(sum.kind)
		switch {
		case !known:
			r.doubt("%s lists %s with a checksum of the unknown kind %s", i.name, sum.name, excerpt.Line(sum.kind, 20))
			continue
		case !goodName(sum.name):
			r.refute("%s lists a file with the name %q", i.name, excerpt.Line(sum.name, 200))
			continue
		}
		var to io.Writer = h
		if s.options.Save != nil && sum.first {
			copied, err := s.options.Save(sum.name)
			if err != nil {
				return err
			}
			if copied != nil {
				to = io.MultiWriter(h, copied)
			}
		}
		size, err := s.copyTo(ctx, sum.name, to)
		got := hex.EncodeToString(h.Sum(nil))
		if err != nil {
			got = ""
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.refute("%s lists %s, which is not there", i.name, sum.name)
		case err != nil:
			return err
		case got != sum.value:
			r.refute("%s is not the file that %s lists", sum.name, i.name)
		}
		f.Got, f.Size = got, size
		r.Files = append(r.Files, f)
		if trusted && (sum.kind == "md5") {
			r.doubt("%s lists %s by MD5, which proves nothing", i.name, sum.name)
		}
	}
	return nil
}

// unlisted notes a kernel or initrd that no index vouches for.
func (s *Source) unlisted(ctx context.Context, r *Report) {
	arches := r.Identity.Arch
	if s.options.Arch != "" {
		arches = []string{s.options.Arch}
	}
	for _, arch := range arches {
		for _, name := range startNames(arch) {
			if slices.ContainsFunc(r.Files, func(f File) bool { return f.Name == name }) {
				continue
			}
			if f, err := s.tree.open(ctx, name); err == nil {
				_ = f.Close()
				r.doubt("%s is there, and no index lists it", name)
			}
		}
	}
	if s.options.Arch != "" && !slices.ContainsFunc(r.Files, func(f File) bool { return strings.Contains(f.Name, "linux") }) {
		r.doubt("it has no kernel for %s", s.options.Arch)
	}
}

// below looks whether the source is in one of the usual directories.
func (s *Source) below(ctx context.Context) string {
	for _, dir := range []string{"DVD1", "CD1", "dvd1", "cd1", "sle/CD1"} {
		for _, known := range readers {
			if f, err := s.tree.open(ctx, dir+"/"+known.name); err == nil {
				_ = f.Close()
				return "; " + dir + " below it has"
			}
		}
	}
	return ""
}
