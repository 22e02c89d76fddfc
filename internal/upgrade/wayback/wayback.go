// Package wayback is how a root goes back to exactly what it was before an
// upgrade: by exchanging btrfs subvolumes, or from a recovery point. It records
// what the root was, and proves that it is so again. What an upgrade does, and
// when it has to go back, must not enter here.
package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
)

// Means is one way back for one root. The methods act on what a Baseline names, so
// that a later process with an equal Means goes on where one was killed; every one
// of them may be repeated. Not safe for concurrent use.
type Means interface {
	// Name is how a person asks for it: "btrfs", "point".
	Name() string
	// Suits tells whether this root can go back so. It changes nothing. The error
	// is for what could not be found out.
	Suits(ctx context.Context) (Fit, error)
	// Prepare makes the way back before the point of no return, records what the
	// root is, and verifies both. Repeated, it begins anew and removes what an
	// earlier attempt of the same run has left.
	Prepare(ctx context.Context, task runbook.Task) (Baseline, error)
	// Verify checks again that the way back is there and whole, without looking at
	// the root that would go back.
	Verify(ctx context.Context, task runbook.Task, b Baseline) error
	// Back takes the root back and proves that it equals the baseline. Where that
	// takes a restart of this machine the error is a *RestartError; called again
	// after it, Back proves what the restart has done. ErrNoSpace says that nothing
	// was changed for want of room, or that it can be repeated with more.
	Back(ctx context.Context, task runbook.Task, b Baseline) error
	// Look compares the root with the baseline and changes nothing; the error is an
	// *UnequalError when it differs.
	Look(ctx context.Context, task runbook.Task, b Baseline) error
	// Written visits what was written to the root since a moment, and would go when it
	// goes back.
	Written(ctx context.Context, b Baseline, since time.Time, visit func(tree string, d inventory.Difference) error) error
	// Drop removes the way back: after an upgrade that is to stay, or after Back.
	Drop(ctx context.Context, task runbook.Task, b Baseline) error
}

// Fit says whether a means suits a root.
type Fit struct {
	OK  bool   `json:"ok"`
	Why string `json:"why,omitempty"` // when it does not
	// Left are places of the root that would not go back.
	Left []Left `json:"left,omitempty"`
}

// Left is a place that does not go back with the root.
type Left struct {
	Path string `json:"path"` // absolute, on the machine
	Why  string `json:"why"`
}

// Baseline is what a root was, and where its way back is. It is kept in the run's
// journal, as JSON; nothing in it is secret.
type Baseline struct {
	Format int       `json:"format"` // 1
	Means  string    `json:"means"`
	Root   string    `json:"root"` // where the root stands for this process; "/" is this machine's
	Made   time.Time `json:"made"`
	// Point is the id of the recovery point, if that is the way back.
	Point string `json:"point,omitempty"`
	// List is the file with what the root was, entry by entry, and Digest its
	// SHA-256 in hexadecimal. It lies in the run's directory.
	List    string `json:"list"`
	Digest  string `json:"digest"`
	Entries int64  `json:"entries"`
	Bytes   int64  `json:"bytes"` // of content
	Left    []Left `json:"left,omitempty"`
	// Detail is the means' own.
	Detail json.RawMessage `json:"detail,omitempty"`
}

// Format is that of the baselines made here.
const Format = 1

// RestartError says that a root goes back, or is seen to have, with the next start
// of the machine. It is a runbook.ErrWaiting.
type RestartError struct{ Text string }

func (e *RestartError) Error() string { return e.Text }

// Is makes the error a runbook.ErrWaiting.
func (e *RestartError) Is(target error) bool { return target == runbook.ErrWaiting }

// ErrNoSpace says that a disk has no room for the way back.
var ErrNoSpace = errors.New("no space for the way back")

// Auto asks Choose for the first means that suits.
const Auto = "auto"

// unfit are what people ask for and what is no way back.
var unfit = map[string]string{
	"hardlink": "a copy made of hard links is no way back: what is written in place is written in the copy too, and the package database is. " +
		"After an upgrade such a copy has the old files with the new database",
	"downgrade": "installing the old packages again is no way back: what the upgrade has added stays, and configuration that it changed stays changed",
}

var alias = map[string]string{
	"hard-link": "hardlink", "hard-links": "hardlink", "hardlinks": "hardlink", "hard-link-copy": "hardlink",
	"cp-al": "hardlink", "cp -al": "hardlink", "link-copy": "hardlink", "snapshot": "btrfs", "recovery-point": "point",
}

// Choose returns the means with the given name, or for "" and Auto the first one that
// suits. When none does, or the one asked for does not, the error is a refusal that
// tells why; so it is for what only looks like a way back.
func Choose(ctx context.Context, all []Means, name string) (Means, Fit, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if same, ok := alias[name]; ok {
		name = same
	}
	if why, ok := unfit[name]; ok {
		return nil, Fit{}, runbook.Refuse("", "%s; use %s", why, names(all))
	}
	var whys []string
	for _, m := range all {
		if name != "" && name != Auto && name != m.Name() {
			continue
		}
		fit, err := m.Suits(ctx)
		if err != nil {
			return nil, Fit{}, fmt.Errorf("way back by %s: %w", m.Name(), err)
		}
		if fit.OK {
			return m, fit, nil
		}
		whys = append(whys, fmt.Sprintf("%s: %s", m.Name(), fit.Why))
	}
	if len(whys) == 0 {
		return nil, Fit{}, runbook.Refuse("", "%q is no way back that there is; use %s", name, names(all))
	}
	return nil, Fit{}, runbook.Refuse("", "there is no way back for this root (%s)", strings.Join(whys, "; "))
}

// Of returns the means that made a baseline.
func Of(all []Means, b Baseline) (Means, error) {
	if b.Format != Format {
		return nil, fmt.Errorf("the way back was recorded in format %d, and this program knows %d; use the program that has made it", b.Format, Format)
	}
	for _, m := range all {
		if m.Name() == b.Means {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no way back by %q", b.Means)
}

func names(all []Means) string {
	list := []string{Auto}
	for _, m := range all {
		list = append(list, m.Name())
	}
	return strings.Join(list, ", ")
}
