package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/repository"
)

// Why a point stays.
var (
	ErrPinned   = errors.New("the recovery point is pinned")
	ErrUnpinned = errors.New("the recovery point was pinned, and its pin vanished")
)

// A pin is a snapshot of its own of the same tree as the point's, under other
// tags and another path. So it costs a few hundred bytes, stock restic shows it
// and keeps its data in a prune, the data outlive a point that another program
// forgets, and a copy of the point in another repository, whose id differs, is
// recognised by its tree. Its time is the point's: "latest" never means a pin of
// something older.
const (
	tagPin       = "lifeboat-pin"
	tagPinSystem = "pin-system:"
	tagPinTime   = "pin-time:"
	tagPinNote   = "pin-note:"
	pinPath      = Dir + "/pin"
)

// maxNote bounds a pin's note, in bytes.
const maxNote = 500

// Pin keeps one recovery point, whatever a retention says.
type Pin struct {
	ID     repository.ID // of the pin's own snapshot
	Tree   repository.ID // of the point that is pinned
	System string
	Time   time.Time // when it was pinned
	Note   string
	// Unnoted says why a pin that was just made is not in this machine's head
	// record. The point is pinned all the same.
	Unnoted error
}

func isPin(s *repository.Snapshot) bool { return slices.Contains(s.Tags, tagPin) }

func pinOf(s *repository.Snapshot) *Pin {
	p := &Pin{ID: s.ID, Tree: *s.Tree}
	p.System, _ = tag(s, tagPinSystem)
	p.Note, _ = tag(s, tagPinNote)
	at, _ := tag(s, tagPinTime)
	p.Time, _ = time.Parse(time.RFC3339Nano, at)
	return p
}

// Pins lists all pins, also those whose point was forgotten by another program.
// When snapshots cannot be read, the pins among the others are returned together
// with an error: see Unread.
func (v *Vault) Pins(ctx context.Context) ([]*Pin, error) {
	snapshots, err := v.repo.Snapshots(ctx)
	if err != nil {
		err = fmt.Errorf("list pins: %w", err)
	}
	var pins []*Pin
	for _, s := range snapshots {
		if isPin(s) {
			pins = append(pins, pinOf(s))
		}
	}
	return pins, err
}

// Pin pins a point of this vault. The note says why, on one line, and may be
// empty. A point that is pinned already gets a further pin with the new note.
func (v *Vault) Pin(ctx context.Context, p *Point, note string) (*Pin, error) {
	if len(note) > maxNote || strings.ContainsFunc(note, unicode.IsControl) {
		return nil, fmt.Errorf("the note of a pin is one line of at most %d bytes", maxNote)
	}
	pin := &Pin{Tree: p.Tree(), System: p.System(), Time: time.Now().UTC(), Note: note}
	tags := []string{tagPin, tagPinSystem + pin.System, tagPinTime + pin.Time.Format(time.RFC3339Nano)}
	if note != "" {
		tags = append(tags, tagPinNote+note)
	}
	var err error
	pin.ID, err = v.repo.Label(ctx, pin.Tree, repository.SnapshotInfo{
		Time: p.Snapshot.Time, Hostname: p.Snapshot.Hostname, Username: p.Snapshot.Username,
		Paths: []string{pinPath}, Tags: tags, ProgramVersion: p.Snapshot.ProgramVersion,
	})
	if err != nil {
		return nil, fmt.Errorf("pin recovery point %s: %w", p.Short(), err)
	}
	if v.head != nil {
		pin.Unnoted = v.head.Pinned(v.headOf(), headPin(pin))
	}
	return pin, nil
}

// Unpin removes all pins of what reference names, the beginning of the id of a
// point or of a pin, and returns them. One that vanished counts as removed on
// purpose then, and one that cannot be read goes. It needs the repository to itself. ErrNoPoint if nothing that is
// pinned has such an id.
func (v *Vault) Unpin(ctx context.Context, reference string) ([]*Pin, error) {
	if reference == "" {
		return nil, errors.New("unpin: which recovery point?")
	}
	var removed []*Pin
	var lost []string
	err := v.remove(ctx, func(ctx context.Context) ([]repository.ID, error) {
		snapshots, unread := v.repo.Snapshots(ctx)
		if unread != nil && repository.Unread(unread) == nil {
			return nil, unread
		}
		trees := map[repository.ID]bool{}
		missing := v.lostPins(snapshots)
		for _, p := range missing {
			if tree, err := repository.ParseID(p.Tree); err == nil && strings.HasPrefix(p.ID, strings.ToLower(reference)) {
				trees[tree] = true
			}
		}
		for _, s := range snapshots {
			if _, isPoint := tag(s, tagSystem); (isPoint || isPin(s)) && strings.HasPrefix(s.ID.String(), strings.ToLower(reference)) {
				trees[*s.Tree] = true
			}
		}
		if len(trees) > 1 {
			return nil, fmt.Errorf("%w: %s; give more of the id", ErrAmbiguous, reference)
		}
		var ids []repository.ID
		for _, s := range snapshots {
			if isPin(s) && trees[*s.Tree] {
				ids, removed = append(ids, s.ID), append(removed, pinOf(s))
			}
		}
		for _, p := range missing {
			tree, err := repository.ParseID(p.Tree)
			if err != nil || !trees[tree] {
				continue
			}
			removed = append(removed, &Pin{Tree: tree, System: p.System, Time: p.Time, Note: p.Note})
			if i := slices.IndexFunc(repository.Unread(unread), func(d *repository.DamageError) bool { return d.ID.String() == p.ID }); i >= 0 {
				ids = append(ids, repository.Unread(unread)[i].ID)
			} else {
				lost = append(lost, p.ID)
			}
		}
		if len(removed) == 0 {
			return nil, fmt.Errorf("%w that is pinned: %s (lifeboat list shows what is)", ErrNoPoint, reference)
		}
		return ids, nil
	})
	if err == nil && len(lost) > 0 {
		err = v.head.Forgotten(v.headOf(), lost, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("unpin: %w", err)
	}
	return removed, nil
}

// newestPins gives each tree the pin that was made last.
func newestPins(snapshots []*repository.Snapshot) map[repository.ID]*Pin {
	pins := map[repository.ID]*Pin{}
	for _, s := range snapshots {
		if !isPin(s) {
			continue
		}
		p := pinOf(s)
		if old := pins[p.Tree]; old == nil || !p.Time.Before(old.Time) {
			pins[p.Tree] = p
		}
	}
	return pins
}
