// Package gaps finds what somebody has made of a machine and no recovery point would
// hold: files that a package ships and somebody changed, and files that no package knows
// in /etc and where administrators keep things. It looks and changes nothing. What a system is made of, and what is done
// about a gap, is no business of it; no product may enter.
package gaps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// Kind says how a gap was found.
type Kind string

// The kinds of gaps.
const (
	Changed Kind = "changed" // a package ships it otherwise
	Unowned Kind = "unowned" // no package knows it
)

// Rank says how likely a recovery would miss something: the lower, the more.
type Rank int

// The ranks.
const (
	Likely Rank = iota + 1
	Perhaps
	Hardly
)

// Gap is a file, or with several files the highest directory of which nothing is held.
type Gap struct {
	Path    string `json:"path"`
	Kind    Kind   `json:"kind"`
	Package string `json:"package,omitempty"` // that ships it
	Files   int    `json:"files"`             // 1, or those in the directory
	Bytes   int64  `json:"bytes"`
	Rank    Rank   `json:"rank"`
	Why     string `json:"why"` // it may matter, or it may not
}

// Options says where gaps are looked for.
type Options struct {
	Host *host.Host
	// Covered are absolute paths that recovery points hold, with all below them.
	Covered []string
	// Packages has all files of all packages compared, which reads the whole machine.
	Packages bool
	// LeftOut are paths of components that no point holds by choice, with their names.
	LeftOut map[string]string
}

// Found is what a search came to, the most likely gaps first.
type Found struct {
	Gaps []Gap `json:"gaps"`
	// Managers are the package databases that were asked. Without one every file
	// of /etc would be a gap, and none is looked for.
	Managers []string `json:"managers"`
	// Places are the directories that were looked through for what no package knows,
	// and Cut those of them that have more than is looked through.
	Places []string `json:"places"`
	Cut    []string `json:"cut,omitempty"`
}

// ErrNoPackages says that the machine has no package database that is understood.
var ErrNoPackages = errors.New("neither dpkg nor rpm knows any package on this machine, so nobody can tell what was changed")

// etc is where configuration is. What a package calls configuration elsewhere is
// looked at too.
const etc = "/etc"

// Find looks for gaps. Only root can read all.
func Find(ctx context.Context, o Options) (*Found, error) {
	found, err := find(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("look for gaps: %w", err)
	}
	return found, nil
}

func find(ctx context.Context, o Options) (*Found, error) {
	found := &Found{}
	known, managers, err := ask(ctx, o.Host)
	if err != nil {
		return nil, err
	}
	if found.Managers = managers; len(managers) == 0 {
		return nil, ErrNoPackages
	}
	s := &search{Options: o, known: known, rules: theRules()}
	if err := s.changed(ctx); err != nil {
		return nil, err
	}
	if o.Packages {
		if err := s.verified(ctx, managers); err != nil {
			return nil, err
		}
	}
	for _, place := range places {
		if !o.Host.Exists(place) {
			continue
		}
		found.Places = append(found.Places, place)
		if err := s.unowned(ctx, place); errors.Is(err, errCut) {
			found.Cut = append(found.Cut, place)
		} else if err != nil {
			return nil, err
		}
	}
	for i := range s.gaps {
		s.rank(&s.gaps[i])
	}
	slices.SortFunc(s.gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Path, b.Path))
	})
	found.Gaps = s.gaps
	return found, nil
}

type search struct {
	Options
	known map[string]shipped
	rules *rules
	gaps  []Gap
}

// covered tells whether a path is a covered one or below one.
func (s *search) covered(at string) bool {
	return slices.ContainsFunc(s.Covered, func(c string) bool { return below(at, c) })
}

func below(at, dir string) bool {
	return at == dir || strings.HasPrefix(at, strings.TrimRight(dir, "/")+"/")
}

// changed compares configuration files with what their packages shipped.
func (s *search) changed(ctx context.Context) error {
	for at, is := range s.known {
		if err := ctx.Err(); err != nil {
			return err
		}
		if is.digest == "" || !is.config && !below(at, etc) || s.covered(at) || s.rules.ignores(at) {
			continue
		}
		same, size, err := is.unchanged(s.Host, at)
		if errors.Is(err, fs.ErrNotExist) {
			continue // there is nothing to save
		}
		if err != nil {
			return err
		}
		if !same {
			s.gaps = append(s.gaps, Gap{Path: at, Kind: Changed, Package: is.by, Files: 1, Bytes: size})
		}
	}
	return nil
}

// rank says how likely a gap matters, and why.
func (s *search) rank(g *Gap) {
	if name := s.leftOut(g.Path); name != "" {
		g.Rank, g.Why = Likely, "component "+name+" has it, which is left out"
		return
	}
	if why := s.rules.values(g.Path); why != "" {
		g.Rank, g.Why = Likely, why
		return
	}
	if g.Why != "" {
		g.Rank = Likely
		return
	}
	beside := func(c string) bool {
		dir := path.Dir(c)
		return dir != etc && below(dir, etc) && (below(g.Path, dir) || below(c, g.Path))
	}
	switch {
	case slices.ContainsFunc(s.Covered, beside):
		g.Rank, g.Why = Likely, "it stands beside what is covered"
	case g.Kind == Unowned && !below(g.Path, etc):
		g.Rank, g.Why = Perhaps, "no package knows it, and people keep things there"
	case g.Kind == Changed:
		g.Rank, g.Why = Perhaps, "somebody has changed what "+cmp.Or(g.Package, "a package")+" ships"
	default:
		g.Rank, g.Why = Hardly, "no package knows it"
	}
}

func (s *search) leftOut(at string) string {
	for _, place := range slices.Sorted(maps.Keys(s.LeftOut)) {
		if below(at, place) || below(place, at) {
			return s.LeftOut[place]
		}
	}
	return ""
}
