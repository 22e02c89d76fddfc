package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
)

// Draft is a recovery point in the making. Calls may run in parallel. Until Seal
// has returned there is no point.
type Draft struct {
	vault   *Vault
	host    *host.Host
	named   *host.Host // whose accounts name the owners
	session *repository.Session
	parent  *Point
	survey  *Survey

	mu         sync.Mutex
	uids, gids map[uint32]struct{}
	stats      repository.Stats
}

// DraftOptions says what a draft is of.
type DraftOptions struct {
	System string
	Host   *host.Host
	// Accounts is the machine whose accounts name the owners of what is stored;
	// nil is Host. Files below a root without accounts need another one.
	Accounts *host.Host
}

// Begin starts a recovery point. Files that are unchanged since the newest
// point of the system are taken over without reading them. Seal or Abort must follow.
func (v *Vault) Begin(ctx context.Context, opts DraftOptions) (*Draft, error) {
	survey := v.Survey(ctx, Filter{System: opts.System})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	} // damaged points only cost that files are read again
	if opts.Accounts == nil {
		opts.Accounts = opts.Host
	}
	d := &Draft{vault: v, survey: survey, host: opts.Host, named: opts.Accounts, uids: map[uint32]struct{}{}, gids: map[uint32]struct{}{}}
	facts, err := opts.Host.Facts(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin recovery point: %w", err)
	}
	points, _, _ := ownPoints(survey.Points, facts) // another machine's files are no measure
	var parent *repository.Snapshot
	for _, p := range points {
		if p.Damage == nil {
			d.parent, parent = p, p.Snapshot
		}
	}
	d.session, err = v.repo.Begin(ctx, repository.SessionOptions{Parent: parent, Compression: v.compression, MadeMode: madeMode})
	if err != nil {
		return nil, fmt.Errorf("begin recovery point: %w", err)
	}
	return d, nil
}

// madeMode keeps Lifeboat's own directories to root, and lets everybody through
// those that only lead to the files of a system: stock restic gives them to the
// directories it finds, say to /etc.
func madeMode(at string) os.FileMode {
	if within(at, Dir) {
		return 0o700
	}
	return 0o755
}

// Survey is what was found in the repository when the draft was begun.
func (d *Draft) Survey() *Survey { return d.survey }

// Parent is the point that unchanged files are taken over from, or nil.
func (d *Draft) Parent() *Point { return d.parent }

// Sink takes what one component captures. It implements component.Sink; calls
// may run in parallel.
type Sink struct {
	draft     *Draft
	component string
	progress  func(int64)

	mu         sync.Mutex
	uids, gids map[uint32]struct{}
}

var (
	_ component.Sink        = (*Sink)(nil)
	_ component.Remembering = (*Sink)(nil)
)

// Sink returns the sink of one component. Progress is told of content bytes
// read, in increments; it may be nil.
func (d *Draft) Sink(component string, progress func(int64)) *Sink {
	return &Sink{draft: d, component: component, progress: progress, uids: map[uint32]struct{}{}, gids: map[uint32]struct{}{}}
}

// IDs lists the numbers in owners and ACLs of what the sink has taken.
func (s *Sink) IDs() (uids, gids []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.uids)), slices.Sorted(maps.Keys(s.gids))
}

// Before is for component.Remembering.
func (s *Sink) Before() json.RawMessage {
	p := s.draft.parent
	if p == nil {
		return nil
	}
	known := p.Manifest.Owners
	now := ownersOf(s.draft.named, ids(known.Users), ids(known.Groups))
	if !maps.Equal(now.Users, known.Users) || !maps.Equal(now.Groups, known.Groups) {
		return nil
	}
	record, err := p.Manifest.Component(s.component)
	if err != nil {
		return nil
	}
	return record.Detail
}

func ids(names map[uint32]string) map[uint32]struct{} {
	set := make(map[uint32]struct{}, len(names))
	for id := range names {
		set[id] = struct{}{}
	}
	return set
}

// AddPath stores a file or a whole tree at its real path.
func (s *Sink) AddPath(ctx context.Context, at string, opts repository.PathOptions) (repository.Stats, error) {
	if opts.Root == "" && !s.draft.host.IsLocal() {
		opts.Root = s.draft.host.Root()
	}
	if opts.Progress == nil {
		opts.Progress = s.progress
	}
	stats, err := s.draft.session.AddPath(ctx, at, opts)
	s.draft.count(stats)
	s.mu.Lock()
	maps.Copy(s.uids, stats.UIDs)
	maps.Copy(s.gids, stats.GIDs)
	s.mu.Unlock()
	return stats, err
}

// AddStream stores a stream of unknown length as /.lifeboat/NAME, 0600.
func (s *Sink) AddStream(ctx context.Context, name string, r io.Reader) (repository.Stats, error) {
	if s.progress != nil {
		r = &counter{r: r, on: s.progress}
	}
	at := path.Join(Dir, path.Clean("/"+name))
	stats, err := s.draft.session.AddStream(ctx, at, repository.Stream{Mode: 0o600, ModTime: time.Now()}, r)
	s.draft.count(stats)
	return stats, err
}

// Stats is what the draft has stored so far.
func (d *Draft) Stats() repository.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Owned fills in the owners' names of what the draft has stored, and returns m.
func (d *Draft) Owned(m *Manifest) *Manifest {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.Owners = ownersOf(d.named, d.uids, d.gids)
	return m
}

// Seal completes the manifest with the owners' names, stores it with the
// runbook and the profile, and makes the point exist. When it fails there is
// no point.
func (d *Draft) Seal(ctx context.Context, m *Manifest, runbook, profile []byte) (*Point, error) {
	m.Format = ManifestFormat
	data, err := d.Owned(m).encode()
	if err != nil {
		return nil, err
	}
	for _, own := range []struct {
		path string
		data []byte
	}{{RunbookPath, runbook}, {ProfilePath, profile}, {ManifestPath, data}} {
		stats, err := d.session.AddStream(ctx, own.path, repository.Stream{Mode: 0o600, ModTime: m.Finished}, bytes.NewReader(own.data))
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", own.path, err)
		}
		d.count(stats)
	}
	paths := []string{Dir}
	for _, c := range m.Components {
		paths = append(paths, c.Paths...)
	}
	id, err := d.session.Commit(ctx, repository.SnapshotInfo{
		Time:           m.Started,
		Hostname:       m.Host.Hostname,
		Username:       "root",
		Paths:          paths,
		Tags:           []string{tagSystem + m.System, tagProfile + m.Profile, tagTrigger + string(m.Trigger)},
		ProgramVersion: "lifeboat " + m.Version,
	})
	if err != nil {
		return nil, fmt.Errorf("seal recovery point: %w", err)
	}
	s, err := d.vault.repo.LoadSnapshot(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read sealed recovery point: %w", err)
	}
	p, err := d.vault.load(ctx, s)
	if err == nil {
		p.Unnoted = d.vault.sealed(p)
	}
	return p, err
}

// Abort gives the draft up. What it stored stays until the next prune and is
// found again by the next backup.
func (d *Draft) Abort(ctx context.Context) error { return d.session.Abort(ctx) }

func (d *Draft) count(s repository.Stats) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range s.UIDs {
		d.uids[id] = struct{}{}
	}
	for id := range s.GIDs {
		d.gids[id] = struct{}{}
	}
	d.stats.Files += s.Files
	d.stats.Dirs += s.Dirs
	d.stats.Other += s.Other
	d.stats.Unchanged += s.Unchanged
	d.stats.Bytes += s.Bytes
	d.stats.New += s.New
	d.stats.Stored += s.Stored
}

type counter struct {
	r  io.Reader
	on func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.on(int64(n))
	return n, err
}
