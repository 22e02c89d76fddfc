// Package vault keeps recovery points in a repository: what a point holds
// beside the files themselves (manifest, runbook, profile), when it counts as
// sealed, how points are listed, found and verified, which of them stay, and what
// a second repository lacks. It decides nothing about how a component is captured
// or restored.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault/head"
)

// Errors of this package, to be tested with errors.Is.
var (
	ErrNoPoint     = errors.New("no such recovery point")
	ErrAmbiguous   = errors.New("several recovery points match")
	ErrNotCaptured = errors.New("not in this recovery point")
)

// Vault is the recovery points of one repository. Safe for concurrent use.
type Vault struct {
	repo        *repository.Repository
	compression repository.Compression
	head        *head.Keeper
}

// New returns the vault of an open repository.
func New(repo *repository.Repository) *Vault { return &Vault{repo: repo} }

// WithCompression returns the same vault, whose new points are compressed so.
func (v *Vault) WithCompression(c repository.Compression) *Vault {
	same := *v
	same.compression = c
	return &same
}

// Repository gives the repository below.
func (v *Vault) Repository() *repository.Repository { return v.repo }

// Filter selects points. Zero fields select all.
type Filter struct {
	System  string
	Profile string
}

const (
	tagSystem  = "system:"
	tagProfile = "profile:"
	tagTrigger = "trigger:"
)

// Points lists the sealed recovery points, oldest first. Snapshots of others in
// the same repository are passed over. A point whose manifest cannot be read
// is returned with its Damage set. When snapshots cannot be read at all, the
// points of the others are returned together with an error.
func (v *Vault) Points(ctx context.Context, filter Filter) ([]*Point, error) {
	snapshots, err := v.repo.Snapshots(ctx)
	return v.pointsOf(ctx, snapshots, err, filter)
}

func (v *Vault) pointsOf(ctx context.Context, snapshots []*repository.Snapshot, err error, filter Filter) ([]*Point, error) {
	if err != nil {
		err = fmt.Errorf("list recovery points: %w", err)
	}
	var points []*Point
	pins := newestPins(snapshots)
	lost := map[string]*head.Pin{}
	for _, p := range v.lostPins(snapshots) {
		lost[p.Tree] = &p
	}
	for _, s := range snapshots {
		system, ok := tag(s, tagSystem)
		if !ok || (filter.System != "" && filter.System != system) {
			continue
		}
		if profile, _ := tag(s, tagProfile); filter.Profile != "" && filter.Profile != profile {
			continue
		}
		p, damage := v.load(ctx, s)
		if damage != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			p = &Point{vault: v, Snapshot: s, Damage: damage}
		}
		p.Pin, p.LostPin = pins[p.Tree()], lost[p.Tree().String()]
		points = append(points, p)
	}
	slices.SortFunc(points, func(a, b *Point) int { return a.Time().Compare(b.Time()) })
	return points, err
}

// Find returns the point that reference names: "latest" or "" for the newest one
// of the filter, whatever machine it was made of (see Latest), else the beginning
// of a snapshot id.
func (v *Vault) Find(ctx context.Context, reference string, filter Filter) (*Point, error) {
	if IsLatest(reference) {
		l, err := v.Latest(ctx, filter, host.Facts{})
		if err != nil {
			return nil, err
		}
		return l.Point, nil
	}
	points, unread := v.Points(ctx, filter)
	if len(points) == 0 && unread != nil {
		return nil, unread
	}
	var found []*Point
	for _, p := range append(points, Unread(unread)...) {
		if strings.HasPrefix(p.ID(), strings.ToLower(reference)) {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 0:
		return nil, errors.Join(fmt.Errorf("%w: %s (lifeboat list%s shows what there is)", ErrNoPoint, reference, v.repo.Flag()), unread)
	case len(found) > 1:
		return nil, fmt.Errorf("%w: %s; give more of the id", ErrAmbiguous, reference)
	case found[0].Damage != nil:
		return nil, fmt.Errorf("recovery point %s: %w", found[0].Short(), found[0].Damage)
	}
	return found[0], nil
}

// IsLatest tells whether a reference asks for the newest point.
func IsLatest(reference string) bool { return reference == "" || reference == "latest" }

func (v *Vault) load(ctx context.Context, s *repository.Snapshot) (*Point, error) {
	data, err := v.read(ctx, s, ManifestPath, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("not sealed: no manifest: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m, err := decodeManifest(data)
	if err != nil {
		return nil, err
	}
	return &Point{vault: v, Snapshot: s, Manifest: m}, nil
}

// read returns a small file of a snapshot, refusing one larger than limit bytes.
func (v *Vault) read(ctx context.Context, s *repository.Snapshot, path string, limit int64) ([]byte, error) {
	node, err := v.repo.Find(ctx, s, path)
	if err != nil {
		return nil, err
	}
	if node.Type != repository.File || node.Size > uint64(limit) {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, limit)
	}
	r, err := v.repo.OpenFile(ctx, node)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, nil
}

func tag(s *repository.Snapshot, prefix string) (string, bool) {
	for _, t := range s.Tags {
		if v, ok := strings.CutPrefix(t, prefix); ok {
			return v, true
		}
	}
	return "", false
}

func orAny(system string) string {
	if system == "" {
		return "any system"
	}
	return "system " + system
}

// Age is how old a point's data is at now.
func (p *Point) Age(now time.Time) time.Duration { return now.Sub(p.Time()) }
