package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/medium"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/zypper"
)

// sourceName is the file of a run's directory with what its source says it is.
const sourceName = "source.json"

// PackageSource is what the package repositories that zypper was offered have. Where
// none says which product it is of, nothing is told.
func PackageSource(ctx context.Context, c *path.Catalogue, to path.Release, z *zypper.Zypper) (*preflight.Source, error) {
	products, err := z.Offered(ctx)
	if err != nil {
		return nil, err
	}
	s := &preflight.Source{Address: "what the package repositories offer"}
	there := false
	for _, p := range products {
		r, ok := c.Known(p.Name, p.Version)
		if !ok || r.Product != to.Product || slices.Contains(s.Has, r.Name()) {
			continue
		}
		s.Has = append(s.Has, r.Name())
		there = there || r.Name() == to.Name()
		// Those of an older release may be needed besides; a newer one would be taken.
		s.Other = s.Other || r.After(to)
	}
	s.Other = s.Other || len(s.Has) > 0 && !there
	return s, nil
}

// Offered compares the package repositories that are named for a release with those that
// it needs; nil where these are not known.
func Offered(c *path.Catalogue, to path.Release, list []zypper.Repository) *path.Inventory {
	var present []path.Present
	for _, r := range list {
		present = append(present, path.Present{Alias: r.Alias, Name: r.Name, URLs: r.URLs, Enabled: r.Enabled})
	}
	i, ok := c.Inventory(to, present)
	if !ok {
		return nil
	}
	return &i
}

// MediumSource is what an installation medium says it is, at any address that package
// medium reads.
func MediumSource(ctx context.Context, c *path.Catalogue, to path.Release, address string, o medium.Options) (*preflight.Source, error) {
	s := &preflight.Source{Address: address}
	report, err := medium.Check(ctx, address, o)
	if errors.Is(err, medium.ErrNoSource) {
		s.Doubt = []string{"it does not say what it is: there is neither content nor repodata/repomd.xml"}
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the installation medium: %w", err)
	}
	s.Refuted, s.Doubt = report.Standing == medium.Refuted, report.Why
	id := report.Identity
	r, ok := c.Known(id.Product, id.Version)
	if !ok {
		r, err = c.Parse(id.Label, path.Release{})
		ok = err == nil
	}
	switch {
	case ok:
		s.Has, s.Other = []string{r.Name()}, r.Name() != to.Name()
	case id.Product != "" || id.Label != "":
		s.Has, s.Other = []string{fmt.Sprintf("%q, which no profile knows", id.Label+id.Product+" "+id.Version)}, true
	default:
		s.Doubt = append(s.Doubt, "it does not say which release it has")
	}
	return s, nil
}

// settleSource keeps what the source is for the checks, and refuses a wrong one.
func (u *Upgrade) settleSource(task runbook.Task, s *preflight.Source) error {
	if err := save(task, sourceName, s); err != nil {
		return err
	}
	return wrong(s, u.To)
}

func wrong(s *preflight.Source, to path.Release) error {
	if text := s.Wrong(to); text != "" {
		return runbook.Refuse("", "%s", text)
	}
	return nil
}

// mediumSource looks at the medium of a hop, with the keys that the root trusts.
func (u *Upgrade) mediumSource(ctx context.Context, r Request) (*preflight.Source, error) {
	keys, err := medium.SystemKeys(ctx, u.host)
	if err != nil {
		return nil, err
	}
	return MediumSource(ctx, u.Catalogue, r.To, r.Medium, medium.Options{Keys: keys, Arch: r.To.Arch})
}
