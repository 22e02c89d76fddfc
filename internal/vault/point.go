package vault

import (
	"context"
	"io"
	"path"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault/head"
)

// Point is one sealed capture of one system. It implements component.Source.
type Point struct {
	vault    *Vault
	Snapshot *repository.Snapshot
	Manifest *Manifest // nil when Damage is set
	Damage   error     // why the point cannot be used
	// Unnoted says why a point that was just sealed is not in this machine's head
	// record. It is sealed all the same.
	Unnoted error
	Pin     *Pin // nil when it is not pinned
	// LostPin is a pin of it that this machine remembers and that is gone, although
	// this machine did not unpin it. Until that is settled the point is kept.
	LostPin *head.Pin
}

var _ component.Source = (*Point)(nil)

// Vault is where the point was found.
func (p *Point) Vault() *Vault { return p.vault }

// ID is the full id of the point's snapshot, in hexadecimal.
func (p *Point) ID() string { return p.Snapshot.ID.String() }

// Short is the id as people type it.
func (p *Point) Short() string { return p.ID()[:8] }

// Tree identifies the point's content. It is the same in every repository that
// the point is copied to, where its ID differs. Zero for one that is Unread.
func (p *Point) Tree() repository.ID {
	if p.Unread() {
		return repository.ID{}
	}
	return *p.Snapshot.Tree
}

// Unread tells whether nothing is known of the point but its id and Damage: its
// snapshot cannot be read. It may be a point of any system, a pin, or a snapshot of
// others.
func (p *Point) Unread() bool { return p.Snapshot.Tree == nil }

// Unread are the snapshots that an error of Points says cannot be read; nil for an
// error that says anything else.
func Unread(err error) []*Point {
	var points []*Point
	for _, damage := range repository.Unread(err) {
		points = append(points, &Point{Snapshot: &repository.Snapshot{ID: damage.ID}, Damage: damage})
	}
	return points
}

// System is the name of the system that the point was made of.
func (p *Point) System() string {
	s, _ := tag(p.Snapshot, tagSystem)
	return s
}

// Profile is the name of the profile that the point was made with.
func (p *Point) Profile() string {
	s, _ := tag(p.Snapshot, tagProfile)
	return s
}

// Trigger says why the point was made.
func (p *Point) Trigger() Trigger {
	s, _ := tag(p.Snapshot, tagTrigger)
	return Trigger(s)
}

// Time is the moment that the point holds.
func (p *Point) Time() time.Time {
	if p.Manifest != nil && !p.Manifest.Moment.IsZero() {
		return p.Manifest.Moment
	}
	return p.Snapshot.Time
}

// Text reads one of Lifeboat's own small files of the point, say RunbookPath.
func (p *Point) Text(ctx context.Context, name string) ([]byte, error) {
	return p.vault.read(ctx, p.Snapshot, name, maxManifest)
}

// OpenStream reads /.lifeboat/NAME.
func (p *Point) OpenStream(ctx context.Context, name string) (io.ReadCloser, error) {
	node, err := p.vault.repo.Find(ctx, p.Snapshot, path.Join(Dir, path.Clean("/"+name)))
	if err != nil {
		return nil, err
	}
	return p.vault.repo.OpenFile(ctx, node)
}

// Walk visits a path of the point and everything below it.
func (p *Point) Walk(ctx context.Context, at string, visit func(string, *repository.Node) error) error {
	return p.vault.repo.Walk(ctx, p.Snapshot, at, visit)
}

// OpenFile reads the content of a file node.
func (p *Point) OpenFile(ctx context.Context, node *repository.Node) (io.ReadCloser, error) {
	return p.vault.repo.OpenFile(ctx, node)
}

// RestorePath writes the tree at a path of the point to target.
func (p *Point) RestorePath(ctx context.Context, at, target string, opts repository.RestoreOptions) (repository.Stats, error) {
	return p.vault.repo.Restore(ctx, p.Snapshot, at, target, opts)
}

// ComparePath compares the tree at a path of the point with the live one at place.
func (p *Point) ComparePath(ctx context.Context, at, place string, opts repository.CompareOptions, report func(component.Difference)) (repository.CompareStats, error) {
	return p.vault.repo.Compare(ctx, p.Snapshot, at, place, opts, report)
}

// Find returns the node at an absolute path of the point.
func (p *Point) Find(ctx context.Context, at string) (*repository.Node, error) {
	return p.vault.repo.Find(ctx, p.Snapshot, at)
}
