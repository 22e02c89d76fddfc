package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	securejoin "github.com/cyphar/filepath-securejoin"

	"lifeboat/internal/backup"
	"lifeboat/internal/component"
	"lifeboat/internal/component/boundary"
	"lifeboat/internal/component/files"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/vault"
)

// PointOptions says which recovery point takes a root back.
type PointOptions struct {
	Target
	// System is the name under which the point is made.
	System  string
	Profile *profile.Profile
	Catalog *recovery.Catalog
	Vault   *vault.Vault
	// Settings are overrides from the site's configuration.
	Settings map[string]string
	Version  string // of this program, for the manifest
	// Component is what goes back, one of kind files; the others are only saved. ""
	// is "system".
	Component string
	// Program is this program's file, which acts at the next boot where the running
	// root goes back; "" is the one that runs.
	Program string
	// NextBoot has the root's machine go back at its next boot, by itself, although the
	// root could go back where it is mounted. A running root always goes back so.
	NextBoot bool
}

// later tells whether the next boot acts.
func (m *Point) later() bool { return m.NextBoot || m.live() }

// Point goes back from a recovery point of the whole root: what has changed is written
// anew, what came is removed. The root must not be in use: it is one that a rescue
// system has mounted, or goes back at the next boot, before anything starts.
type Point struct{ PointOptions }

// NewPoint returns the means for a root.
func NewPoint(o PointOptions) *Point {
	if o.Component == "" {
		o.Component = "system"
	}
	return &Point{o}
}

var _ Means = (*Point)(nil)

// Name is "point".
func (m *Point) Name() string { return "point" }

// saved is what Back has to know.
type saved struct {
	System    string       `json:"system"`
	Component string       `json:"component"`
	Filter    files.Filter `json:"filter"` // what was left out
	State     string       `json:"state"`  // the journals' path in the root; "" outside
	Disks     []Disk       `json:"disks"`  // mounted in the root, and going back with it
	// Staged is where a copy lies that the next boot can use, without the
	// repository and what it takes to reach it; "" for a root that is not running.
	Staged string `json:"staged,omitempty"`
}

// spec is the component that goes back.
func (m *Point) spec() (profile.Component, *files.Options, error) {
	for _, c := range m.Profile.Components {
		if c.Name != m.Component {
			continue
		}
		if o, ok := c.Options.(*files.Options); ok {
			if !slices.Equal(o.Paths, []string{"/*"}) {
				// What the point does not have is removed: it must have all that there is.
				return c, nil, fmt.Errorf("component %s of profile %s is not the whole root (paths: [/*]); a part of it is no way back", c.Name, m.Profile.Name)
			}
			return c, o, nil
		}
		return c, nil, fmt.Errorf("component %s of profile %s is of kind %s; only files take a root back", c.Name, m.Profile.Name, c.Kind)
	}
	return profile.Component{}, nil, fmt.Errorf("profile %s has no component %s", m.Profile.Name, m.Component)
}

// Suits tells whether the root can go back from a recovery point.
func (m *Point) Suits(context.Context) (Fit, error) {
	if m.Profile == nil || m.Vault == nil {
		return Fit{Why: "there is no repository, or no system of a profile of whole hosts is configured"}, nil
	}
	_, options, err := m.spec()
	if err != nil {
		return Fit{Why: err.Error()}, nil
	}
	h, err := m.host()
	if err != nil {
		return Fit{}, err
	}
	if m.later() && !h.HasSystemd() {
		return Fit{Why: "the running root goes back at the next boot, which takes systemd; upgrade it from a rescue system, with --root"}, nil
	}
	fit := Fit{OK: true}
	for _, path := range m.stays() {
		fit.Left = append(fit.Left, Left{path, "it is saved in the recovery point and stays as it is"})
	}
	for _, path := range options.Exclude {
		fit.Left = append(fit.Left, Left{path, "profile " + m.Profile.Name + " leaves it out"})
	}
	if state, in, err := m.within(); err != nil {
		return Fit{}, err
	} else if in {
		fit.Left = append(fit.Left, Left{state, "the journals of runs stay as they are"})
	}
	return fit, nil
}

// dirName is the means' own directory in that of the run.
const dirName = "wayback"

// note marks the pin by which a point is kept as long as it is the way back.
func note(run string) string { return "way back of run " + run }

// Prepare makes the recovery point, compares it with the root, reads it back, and
// writes down what the root is.
func (m *Point) Prepare(ctx context.Context, task runbook.Task) (Baseline, error) {
	fit, err := m.Suits(ctx)
	if err != nil {
		return Baseline{}, err
	}
	if !fit.OK {
		return Baseline{}, runbook.Refuse("", "no way back from a recovery point: %s", fit.Why)
	}
	b := Baseline{Format: Format, Means: m.Name(), Root: filepath.Clean(m.Root), Made: time.Now().UTC(), Left: fit.Left}
	if err := m.prepare(ctx, task, &b); err != nil {
		if errors.Is(err, repository.ErrNoSpace) {
			err = fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		return Baseline{}, fmt.Errorf("make the way back from a recovery point: %w", err)
	}
	return b, nil
}

func (m *Point) prepare(ctx context.Context, task runbook.Task, b *Baseline) error {
	if !m.live() {
		if err := still(m.Target); err != nil {
			return err
		}
	}
	dir := filepath.Join(task.Dir(), dirName)
	if err := os.RemoveAll(dir); err != nil { // of an attempt that was killed
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	m.unpin(ctx, task)
	point, err := m.capture(ctx, task, filepath.Join(dir, "capture"))
	if err != nil {
		return err
	}
	boundary.Reached(ctx, "point sealed")
	if _, err := m.Vault.Pin(ctx, point, note(task.RunID())); err != nil {
		return err
	}
	boundary.Reached(ctx, "point pinned")
	d, err := m.describe(point)
	if err != nil {
		return err
	}
	if d.Disks, err = d.own(m.Root); err != nil {
		return err
	}
	b.Point = point.ID()
	if err := m.compare(ctx, task, point); err != nil {
		return err
	}
	o := d.options()
	if m.live() {
		o.Since = b.Made
	}
	if err := record(ctx, task, b, b.Root, o); err != nil {
		return err
	}
	boundary.Reached(ctx, "root written down")
	if m.later() {
		d.Staged = dir
		if err := m.stage(ctx, task, point, dir); err != nil {
			return fmt.Errorf("lay a copy ready for the next boot: %w", err)
		}
	} else if err := readBack(ctx, task, point, d); err != nil {
		return fmt.Errorf("read recovery point %s back: %w", point.Short(), err)
	}
	b.Detail, err = json.Marshal(d)
	return err
}

// capture makes the recovery point as every backup does, as a run of its own below this
// one's directory: the system's lock is this run's.
func (m *Point) capture(ctx context.Context, task runbook.Task, dir string) (*vault.Point, error) {
	h, err := m.host()
	if err != nil {
		return nil, err
	}
	return backup.Within(ctx, task, backup.Options{
		System: m.System, Profile: m.Profile, Catalog: m.Catalog, Host: h, Vault: m.Vault, Settings: m.Settings,
		StateDir: dir, Version: m.Version, Trigger: vault.BeforeUpgrade,
	})
}

// describe takes from a point's manifest what goes back.
func (m *Point) describe(point *vault.Point) (saved, error) {
	d := saved{System: m.System, Component: m.Component}
	state, in, err := m.within()
	if err != nil {
		return d, err
	}
	if in {
		d.State = state
	}
	for _, c := range point.Manifest.Components {
		if c.Name != m.Component {
			continue
		}
		if c.Status != component.StatusCaptured {
			return d, fmt.Errorf("component %s is %s: %s", c.Name, c.Status, c.Reason)
		}
		var detail files.Detail
		if err := json.Unmarshal(c.Detail, &detail); err != nil {
			return d, fmt.Errorf("read the record of component %s: %w", c.Name, err)
		}
		others, err := m.staying()
		d.Filter = files.Filter{Patterns: detail.Exclude, Others: append(others, detail.Others...)}
		slices.Sort(d.Filter.Others)
		d.Filter.Others = slices.Compact(d.Filter.Others)
		return d, err
	}
	return d, fmt.Errorf("recovery point %s has no component %s", point.Short(), m.Component)
}

// staying are the places of what stays: also what is not there yet, and where a link leads.
func (m *Point) staying() (places []string, err error) {
	root, err := filepath.EvalSymlinks(m.Root)
	if err != nil {
		return nil, err
	}
	for _, path := range m.stays() {
		if strings.ContainsAny(path, "*?[{\\") {
			continue // what it stands for is with the point's own
		}
		real, err := securejoin.SecureJoin(root, path)
		if err != nil {
			return nil, err
		}
		places = append(places, path)
		if target := strings.TrimPrefix(real, strings.TrimSuffix(root, "/")); target != "" && target != "/" {
			places = append(places, target)
		}
	}
	return places, nil
}

// stays are the paths that the profile's other components name.
func (m *Point) stays() (paths []string) {
	for _, c := range m.Profile.Components {
		if o, ok := c.Options.(*files.Options); ok && c.Name != m.Component {
			paths = append(paths, o.Paths...)
		}
	}
	return paths
}

// compare sees that the point holds what the root is. A root that runs goes on changing;
// what its times do not explain is an error there, too.
func (m *Point) compare(ctx context.Context, task runbook.Task, point *vault.Point) error {
	h, err := m.host()
	if err != nil {
		return err
	}
	r, err := recovery.New(recovery.Options{
		System: m.System, Profile: m.Profile, Catalog: m.Catalog, Host: h, Point: point, Settings: m.Settings, Only: []string{m.Component},
	})
	if err != nil {
		return err
	}
	all, err := r.Compare(ctx, recovery.CompareOptions{Limit: enough, Progress: func(_ string, done, total int64) { task.Progress(done, total) }})
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Failed != "" || c.Skipped != "" {
			return fmt.Errorf("recovery point %s could not be compared with the root: %s%s", point.Short(), c.Failed, c.Skipped)
		}
		groups := []recovery.Group{c.Suspicious, c.Unreadable}
		if !m.live() {
			groups = append(groups, c.Changed)
		}
		for _, g := range groups {
			for _, d := range g.List {
				return fmt.Errorf("recovery point %s is not what the root is: %d differences, the first one at %q (%s %s)", point.Short(), g.Count, d.Path, d.Kind, d.Note)
			}
		}
		if c.Changed.Count > 0 {
			task.Logf("%d entries have changed since the recovery point was made, as in a system that runs", c.Changed.Count)
		}
	}
	return nil
}

// readBack reads from the repository all that goes back. Every blob's hash is checked.
func readBack(ctx context.Context, task teller, point *vault.Point, d saved) error {
	in := d.include()
	tell := progress(task, 0)
	return point.Walk(ctx, "/", func(path string, node *repository.Node) error {
		if node.Type != repository.File || !in(path) {
			return nil
		}
		r, err := point.OpenFile(ctx, node)
		if err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		n, err := io.Copy(io.Discard, r)
		tell(n)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		return nil
	})
}

// unpin lets go of the points of a run. What cannot be let go stays, and is told.
func (m *Point) unpin(ctx context.Context, task runbook.Task) {
	pins, err := m.Vault.Pins(ctx)
	for _, pin := range pins {
		if pin.Note == note(task.RunID()) {
			if _, unpinErr := m.Vault.Unpin(ctx, pin.ID.String()); unpinErr != nil && !errors.Is(unpinErr, vault.ErrNoPoint) {
				err = errors.Join(err, unpinErr)
			}
		}
	}
	if err != nil {
		task.Warnf("the pin of a recovery point that is needed no more may be left: %v", err)
	}
}

// lifeboat is where a recovery point keeps what is no part of the root.
const lifeboat = vault.Dir

// options are how the root is looked at: without what was left out, and without the
// journals.
func (d saved) options(also ...string) inventory.Options {
	return inventory.Options{Skip: func(path string) bool {
		return d.Filter.Excluded(path) || path == lifeboat || path == d.State || slices.Contains(also, path)
	}}
}

// include tells of a path, with nothing known of what is above it, whether it goes back.
func (d saved) include(also ...string) func(path string) bool {
	skip := d.options(also...).Skip
	known := newMemo(func(path string, above func(string) bool) bool {
		return path == "/" || above(filepath.Dir(path)) && !skip(path)
	})
	return func(path string) bool {
		dir := filepath.Dir(path)
		return path == "/" || known.get(dir) && !skip(path)
	}
}
