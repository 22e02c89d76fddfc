package configuration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/component/files"
	"lifeboat/internal/repository"
)

// Action is what becomes of one file.
type Action string

// The actions.
const (
	Add       Action = "add"        // the target does not have it: the saved file
	KeepFresh Action = "keep fresh" // nothing was changed in the saved one
	Saved     Action = "saved"      // the saved file replaces the fresh one
	Merge     Action = "merge"      // saved settings go into the fresh file
	Same      Action = "same"       // both have the same content
)

// Change is what Restore would do with one file.
type Change struct {
	Path      aside.Name  `json:"path"`
	Action    Action      `json:"action"`
	Why       string      `json:"why"`
	Keys      []KeyChange `json:"keys,omitempty"`
	Diff      string      `json:"diff,omitempty"`       // from the fresh to the saved file, secrets masked
	KeptFresh aside.Name  `json:"kept_fresh,omitempty"` // where the fresh file is kept
	// Through is where a link of the target leads, which stays, as this process sees it.
	Through aside.Name `json:"through,omitempty"`
	// Sum is the SHA-256 of the file as it will be, "" when it is no regular file.
	Sum string `json:"sum,omitempty"`

	content []byte // with Merge
}

// wasLink begins why a file takes the place of a link of the target.
const wasLink = "it was a symbolic link"

// Conflicts lists the settings that both sides changed.
func (c Change) Conflicts() []KeyChange {
	return slices.DeleteFunc(slices.Clone(c.Keys), func(k KeyChange) bool { return !k.Conflict })
}

// String tells a change in one line.
func (c Change) String() string {
	text := fmt.Sprintf("%s: %s, %s", files.Shown(string(c.Path)), c.Action, c.Why)
	if n := len(c.Conflicts()); n > 0 {
		text += fmt.Sprintf(", %d settings changed on both sides", n)
	}
	if c.Through != "" {
		text += "; it is a symbolic link on this machine, which stays, to " + files.Shown(string(c.Through))
	}
	if c.KeptFresh != "" {
		text += "; the fresh file is kept as " + filepath.Base(string(c.KeptFresh))
	}
	return text
}

// Plan tells what Restore would change, in lines for people.
func (c *Component) Plan(ctx context.Context, source component.Source, record component.Record) ([]string, error) {
	changes, err := c.Changes(ctx, source, record)
	var lines []string
	for _, change := range changes {
		if change.Action == Same {
			continue
		}
		lines = append(lines, change.String())
		for _, k := range change.Keys {
			line := fmt.Sprintf("    %s: saved %q, fresh %q: %s (%s)", k.Key, k.Saved, k.Fresh, k.Taken, k.Why)
			if k.Conflict {
				line += " CONFLICT"
			}
			lines = append(lines, line)
		}
		for line := range strings.Lines(change.Diff) {
			lines = append(lines, "    "+strings.TrimRight(line, "\n"))
		}
	}
	return lines, err
}

// Changes decides for every saved file, without changing anything.
func (c *Component) Changes(ctx context.Context, source component.Source, record component.Record) ([]Change, error) {
	detail, err := readDetail(record)
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	paths, plain, err := c.Recorded(ctx, source, component.RestoreOptions{Record: record})
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	d := &decider{Component: c, source: source, detail: detail, pristine: newPristine(c.env.Host)}
	if detail.Shipped != "" {
		if d.shippedThen, err = readShipped(ctx, source, detail.Shipped); err != nil {
			return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
	}
	f := c.Filter(plain)
	var changes []Change
	for _, path := range paths {
		err := source.Walk(ctx, path, func(at string, node *repository.Node) error {
			if node.Type == repository.Dir || node.Type == repository.Socket || f.ExcludedBelow(at, path) {
				return nil
			}
			change, err := d.decide(ctx, at, node)
			changes = append(changes, change)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
	}
	return changes, nil
}

func readDetail(record component.Record) (Detail, error) {
	var detail Detail
	if len(record.Detail) > 0 {
		if err := json.Unmarshal(record.Detail, &detail); err != nil {
			return detail, fmt.Errorf("read its record: %w", err)
		}
	}
	return detail, nil
}

func readShipped(ctx context.Context, source component.Source, name string) (map[string][]byte, error) {
	r, err := source.OpenStream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read the shipped files: %w", err)
	}
	defer r.Close()
	var shipped map[string][]byte
	if err := json.NewDecoder(io.LimitReader(r, 64<<20)).Decode(&shipped); err != nil {
		return nil, fmt.Errorf("read the shipped files: %w", err)
	}
	return shipped, nil
}

// decider looks at the saved, the fresh and the shipped file together.
type decider struct {
	*Component
	source      component.Source
	detail      Detail
	pristine    *pristine
	shippedThen map[string][]byte // when the point was made
}

func (d *decider) decide(ctx context.Context, path string, node *repository.Node) (Change, error) {
	change := Change{Path: aside.Name(path), Action: Add, Why: "the target does not have it", Sum: d.detail.saved(path).SHA256}
	real, through, why, err := d.Place(ctx, d.source, path, node)
	if err != nil {
		return change, err
	}
	if through {
		change.Through = aside.Name(real)
	}
	info, err := os.Lstat(real)
	if errors.Is(err, fs.ErrNotExist) {
		return change, nil
	}
	if err != nil {
		return change, err
	}
	if node.Type == repository.Symlink && info.Mode()&fs.ModeSymlink != 0 {
		if to, err := os.Readlink(real); err == nil && to == files.LinkTarget(node) {
			change.Action, change.Why = Same, "the same link"
			return change, nil
		}
	}
	change.Action, change.Why = Saved, "it is of another sort on the target"
	if why != "" {
		change.Why = "it was " + why
	}
	if node.Type != repository.File || !info.Mode().IsRegular() {
		if info.Mode().IsRegular() {
			change.KeptFresh = aside.Name(freshName(path))
		}
		return change, nil
	}
	freshSum, err := sumFile(real)
	if err != nil {
		return change, err
	}
	if node.Size > maxText {
		change.Why = "it is too large to be looked into"
		if freshSum == change.Sum {
			change.Action, change.Why = Same, "the same content"
			return change, nil
		}
		change.KeptFresh = aside.Name(freshName(path))
		return change, nil
	}
	saved, err := d.read(ctx, node)
	if err != nil {
		return change, fmt.Errorf("read %s from the recovery point: %w", path, err)
	}
	change.Sum = sumBytes(saved)
	if freshSum == change.Sum {
		change.Action, change.Why = Same, "the same content"
		return change, nil
	}
	return d.differ(ctx, change, saved, real, freshSum)
}

// differ decides between two regular files of different content.
func (d *decider) differ(ctx context.Context, change Change, saved []byte, real, freshSum string) (Change, error) {
	path := string(change.Path)
	shippedNow, hasNow := d.shipped(path)
	shippedThen, hasThen := d.shippedThen[path]
	if d.detail.saved(path).Unmodified {
		shippedThen, hasThen = saved, true
	}
	if !hasThen {
		shippedThen, hasThen = shippedNow, hasNow
	}
	if hasThen && sumBytes(shippedThen) == change.Sum {
		change.Action, change.Why, change.Sum = KeepFresh, "the saved file was as the package shipped it", freshSum
		return change, nil
	}
	freshIsShipped := hasNow && sumBytes(shippedNow) == freshSum
	if !freshIsShipped {
		var err error
		if freshIsShipped, err = d.pristine.unmodified(ctx, path, real); err != nil {
			return change, err
		}
	}
	fresh, isText, err := readText(real)
	if err != nil {
		return change, err
	}
	if !isText || !looksLikeText(saved) {
		change.Action, change.Why = Saved, "it is no text to be looked into"
		if !freshIsShipped {
			change.KeptFresh = aside.Name(freshName(path))
		}
		return change, nil
	}
	savedINI, ok1 := parseINI(saved)
	freshINI, ok2 := parseINI(fresh)
	if ok1 && ok2 {
		base, ok := parseINI(shippedThen)
		if !ok || !hasThen {
			base = nil
		}
		change.content, change.Keys = merge(savedINI, freshINI, base, d.options.PreferFresh)
		if d.spec.Secret {
			for i := range change.Keys {
				change.Keys[i].Saved, change.Keys[i].Fresh = masked, masked
			}
		}
		change.Action, change.Why, change.Sum = Merge, "saved settings are put into the fresh file", sumBytes(change.content)
		if change.Sum == freshSum {
			change.Action, change.Why = KeepFresh, "no saved setting is missing in it"
		}
	} else {
		change.Action, change.Why = Saved, "the fresh file is as the package ships it"
		if !freshIsShipped {
			change.Why = "both were changed"
			if !d.spec.Secret {
				change.Diff = maskDiff(string(diff.Diff(path+" (fresh)", fresh, path+" (saved)", saved)))
			}
		}
	}
	if !freshIsShipped && change.Action != KeepFresh {
		change.KeptFresh = aside.Name(freshName(path))
	}
	return change, nil
}

func (d *decider) read(ctx context.Context, node *repository.Node) ([]byte, error) {
	r, err := d.source.OpenFile(ctx, node)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxText))
}
