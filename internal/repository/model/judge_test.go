package model

import (
	"context"
	"errors"
	"strings"

	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
)

// judge looks at one repository after all has happened.
type judge struct {
	s     *sequence
	place *place
	state *state
	repo  *repository.Repository
}

func (j *judge) run(ctx context.Context, prune bool) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	defer j.repo.Close()
	if _, err := j.repo.Unlock(ctx, true); err != nil {
		return lost("remove stale locks: %v", err)
	}
	if err := j.check(ctx); err != nil {
		return err
	}
	if j.place.tornLeft() {
		if err := j.clear(ctx); err != nil {
			return err
		}
	}
	if prune {
		if err := j.prune(ctx); err != nil {
			return err
		}
	}
	return j.compare(ctx)
}

// open tries all passwords there ever were.
func (j *judge) open(ctx context.Context) error {
	opts := repository.Options{Hostname: "judge", Username: "model", Scrypt: cheap}
	for name, c := range j.state.passwords {
		r, err := repository.Open(ctx, j.place.Memory, []byte(name), opts)
		switch {
		case err == nil:
			j.repo = r
			if c == absent {
				return lost("%s was removed and opens the repository", name)
			}
		case c == present || !errors.Is(err, repository.ErrWrongPassword):
			return lost("%s does not open the repository: %v", name, err)
		}
	}
	if j.repo == nil {
		return lost("no password opens the repository any more")
	}
	return nil
}

func (j *judge) check(ctx context.Context) error {
	report, err := j.repo.Check(ctx, repository.CheckOptions{ReadData: true})
	if err != nil {
		return lost("the last check: %v", err)
	}
	return j.place.sound(report)
}

// clear does what a person does about torn files: forgets what is no snapshot,
// removes what is no key, repairs the index.
func (j *judge) clear(ctx context.Context) error {
	for h := range j.place.torn {
		if _, there := j.place.Get(h); !there {
			continue
		}
		switch h.Type {
		case storage.Key:
			j.place.Memory.Remove(ctx, h)
		case storage.Snapshot:
			id, _ := repository.ParseID(h.Name)
			if err := j.repo.Forget(ctx, id); err != nil {
				return lost("forget a torn snapshot: %v", err)
			}
		}
	}
	if _, err := j.repo.RepairIndex(ctx); err != nil {
		return lost("repair the index at the end: %v", err)
	}
	return j.check(ctx)
}

// prune leaves nothing that a check could find, be it ever so harmless.
func (j *judge) prune(ctx context.Context) error {
	if _, err := j.repo.Prune(ctx, repository.PruneOptions{}); err != nil {
		return lost("the last prune: %v", err)
	}
	report, err := j.repo.Check(ctx, repository.CheckOptions{ReadData: true})
	if err != nil {
		return lost("the check after the last prune: %v", err)
	}
	for _, f := range report.Findings {
		return lost("after the last prune: %s", f)
	}
	return nil
}

// compare restores every snapshot.
func (j *judge) compare(ctx context.Context) error {
	snaps, err := j.repo.Snapshots(ctx)
	if err != nil {
		return lost("list the snapshots: %v", err)
	}
	found := make(map[string][]*repository.Snapshot)
	for _, snap := range snaps {
		tag := strings.Join(snap.Tags, ",")
		found[tag] = append(found[tag], snap)
	}
	for _, p := range j.state.points {
		list := found[p.tag]
		delete(found, p.tag)
		switch {
		case len(list) == 0 && p.state == present:
			return lost("snapshot %s is gone", p.tag)
		case len(list) > 0 && p.state == absent:
			return lost("snapshot %s was forgotten and is there", p.tag)
		case len(list) > 1 && j.place == j.s.main: // two may copy one at once
			return lost("snapshot %s is there twice", p.tag)
		}
		for _, snap := range list {
			if err := p.restore(ctx, j.repo, snap, j.s.dir); err != nil {
				return lost("snapshot %s (%s): %v", p.tag, p.state, err)
			}
		}
	}
	for tag := range found {
		return lost("nobody has made snapshot %s", tag)
	}
	return nil
}

// sound tells whether a check has found nothing, but for files that were torn.
func (p *place) sound(report *repository.Report) error {
	for _, f := range report.Findings {
		if f.Harmless() || p.isTorn(f.File) {
			if len(f.Snapshots) > 0 && f.Kind != repository.DamagedSnapshot {
				return lost("check: %s takes snapshots along", f)
			}
			continue
		}
		return lost("check: %s (snapshots %v, paths %q)", f, f.Snapshots, f.Paths)
	}
	return nil
}

func (p *place) isTorn(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for h := range p.torn {
		if h.Path() == path {
			return true
		}
	}
	return false
}
