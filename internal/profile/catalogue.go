package profile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/strict"
)

// ErrUnknown says that neither the site nor the catalogue has a profile.
var ErrUnknown = errors.New("unknown profile")

// Catalogue finds profiles by name: the site's own first, then the shipped ones.
type Catalogue struct {
	Registry *Registry
	Shipped  fs.FS  // NAME.yaml files
	SiteDir  string // directory of this machine; need not exist
}

// Entry is one profile of a catalogue. Exactly one of Profile and Err is set.
type Entry struct {
	Name    string
	Source  string // file
	Site    bool   // it is the site's own
	Hides   bool   // and a shipped one of that name is hidden by it
	Profile *Profile
	Err     error
}

// List loads every profile, sorted by name. One that cannot be loaded is listed
// with its error, so that it is seen.
func (c Catalogue) List() ([]Entry, error) {
	shipped, err := c.shipped()
	if err != nil {
		return nil, err
	}
	site, err := c.site()
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, name := range slices.Sorted(slices.Values(slices.Concat(site, shipped))) {
		if len(out) > 0 && out[len(out)-1].Name == name {
			continue
		}
		e := Entry{Name: name, Site: slices.Contains(site, name)}
		e.Hides = e.Site && slices.Contains(shipped, name)
		e.Profile, e.Source, e.Err = c.load(name, e.Site)
		out = append(out, e)
	}
	return out, nil
}

// Load returns the profile of a name. An unknown one is ErrUnknown.
func (c Catalogue) Load(name string) (*Profile, error) {
	shipped, err := c.shipped()
	if err != nil {
		return nil, err
	}
	site, err := c.site()
	if err != nil {
		return nil, err
	}
	inSite := slices.Contains(site, name)
	if !inSite && !slices.Contains(shipped, name) {
		return nil, fmt.Errorf("%w %s%s", ErrUnknown, name, strict.Suggest(name, slices.Concat(site, shipped)))
	}
	p, _, err := c.load(name, inSite)
	return p, err
}

func (c Catalogue) load(name string, site bool) (*Profile, string, error) {
	if site {
		file := filepath.Join(c.SiteDir, name+".yaml")
		p, err := c.Registry.LoadFile(file)
		return named(p, name, file, err)
	}
	file := name + ".yaml"
	text, err := fs.ReadFile(c.Shipped, file)
	if err != nil {
		return nil, file, fmt.Errorf("read shipped profile: %w", err)
	}
	p, err := c.Registry.Load(file, text)
	return named(p, name, file, err)
}

// named makes sure that a profile is found by the name it gives itself.
func named(p *Profile, name, file string, err error) (*Profile, string, error) {
	if err == nil && p.Name != name {
		return nil, file, fmt.Errorf("%s: the profile in it is called %s; name the file %s.yaml", file, p.Name, p.Name)
	}
	return p, file, err
}

// LoadFile reads a profile from a file of this machine. Its commands are run by
// root, so a file that others may write is refused.
func (r *Registry) LoadFile(file string) (*Profile, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("profile %s may be written by others than its owner; a profile names commands that root runs (chmod go-w %s)", file, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	return r.Load(file, text)
}

func (c Catalogue) shipped() ([]string, error) {
	if c.Shipped == nil {
		return nil, nil
	}
	files, err := fs.Glob(c.Shipped, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list shipped profiles: %w", err)
	}
	return baseNames(files), nil
}

func (c Catalogue) site() ([]string, error) {
	entries, err := os.ReadDir(c.SiteDir)
	if c.SiteDir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list profiles of this site: %w", err)
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && path.Ext(e.Name()) == ".yaml" && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, e.Name())
		}
	}
	return baseNames(files), nil
}

func baseNames(files []string) []string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return names
}

// Detection is what detecting one profile's product gave.
type Detection struct {
	Profile *Profile
	Found   bool
	Why     string // what was seen
	Err     error  // it could not be decided
}

// Detect asks for every profile whether its product is on the machine. Profiles
// that cannot be loaded are left out; List shows them.
func (c Catalogue) Detect(ctx context.Context, h *host.Host) ([]Detection, error) {
	entries, err := c.List()
	if err != nil {
		return nil, err
	}
	var out []Detection
	for _, e := range entries {
		if e.Err != nil {
			continue
		}
		d := Detection{Profile: e.Profile}
		d.Found, d.Why, d.Err = c.Registry.Detect(ctx, e.Profile, Scope{Host: h})
		out = append(out, d)
	}
	return out, ctx.Err()
}
