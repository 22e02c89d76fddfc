package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/upgrade/wayback/subvolume"
)

// Btrfs goes back by exchanging the root's subvolume with a snapshot of it. Both have
// the same place in the file system before and after, so that fstab, boot loader and
// snapper find it. Subvolumes inside the root go back with it; what is mounted from
// other subvolumes does not.
type Btrfs struct{ Target }

// NewBtrfs returns the means for a root.
func NewBtrfs(t Target) *Btrfs { return &Btrfs{t} }

var _ Means = (*Btrfs)(nil)

// Name is "btrfs".
func (m *Btrfs) Name() string { return "btrfs" }

// places is the directory of the top-level subvolume with what the ways back consist of.
const places = "/.lifeboat-wayback"

// exchange is what Back has to know.
type exchange struct {
	UUID string `json:"uuid"` // of the file system
	Root string `json:"root"` // path of the root's subvolume
	ID   uint64 `json:"id"`   // of the subvolume that is upgraded
	Dir  string `json:"dir"`  // with the snapshot, and later with what was exchanged
	Base uint64 `json:"base"` // id of the snapshot
	// Carried are subvolumes inside the root that move over and do not go back.
	Carried []subvolume.Nested `json:"carried,omitempty"`
	// Default says that the root is found by being the default subvolume.
	Default bool `json:"default,omitempty"`
}

func (e exchange) base() string { return e.Dir + "/base" }
func (e exchange) next() string { return e.Dir + "/next" }

// carries tells which subvolumes inside the root do not go back: the journals, and
// the snapshots of others.
func (m *Btrfs) carries(n subvolume.Nested, state string) (Left, bool) {
	path := "/" + n.Path
	switch {
	case path == state:
		return Left{path, "the journals of runs stay as they are"}, true
	case filepath.Base(path) == ".snapshots":
		return Left{path, "snapshots of other programs stay as they are"}, true
	}
	return Left{}, false
}

// found is a root on btrfs.
type found struct {
	mount  host.Mount
	path   string // in the top-level subvolume
	id     uint64
	nested []subvolume.Nested
	state  string // the state directory's path in the root; "" outside
}

// find looks at the root. Why is not empty when it cannot be exchanged.
func (m *Btrfs) find() (f found, why string, err error) {
	root, err := filepath.EvalSymlinks(m.Root)
	if err != nil {
		return f, "", err
	}
	if f.mount, err = host.MountAt(root); err != nil {
		return f, "", err
	}
	if f.mount.Type != "btrfs" {
		return f, fmt.Sprintf("the root is on %s, not on btrfs", f.mount.Type), nil
	}
	if is, err := subvolume.Is(root); err != nil || !is {
		return f, root + " is no subvolume by itself", err
	}
	rest := strings.TrimPrefix(root, strings.TrimSuffix(f.mount.Point, "/"))
	f.path = filepath.Join(f.mount.Root, rest)
	if f.id, err = subvolume.ID(root); err != nil {
		return f, "", err
	}
	if f.id == subvolume.TopLevel || f.path == "/" {
		return f, "the root is the top-level subvolume, which nothing can be exchanged with", nil
	}
	if on, err := subvolume.ReadOnly(root); err != nil || on {
		return f, "the root's subvolume is read-only", err
	}
	if f.nested, err = subvolume.Inside(root); err != nil {
		return f, "", err
	}
	if why, err := m.byNumber(); why != "" || err != nil {
		return f, why, err
	}
	state, in, err := m.within()
	if err != nil || !in {
		return f, "", err
	}
	// Behind another mount it is no part of the root.
	if at, err := host.MountAt(m.State); err != nil || at.Point != f.mount.Point {
		return f, "", err
	}
	f.state = state
	if !slices.ContainsFunc(f.nested, func(n subvolume.Nested) bool { return "/"+n.Path == state }) {
		return f, fmt.Sprintf("the journals in %s would go back with the root, because they are no subvolume of their own", state), nil
	}
	return f, "", nil
}

// byNumber tells whether the root is mounted by a subvolume's number, which goes with
// the subvolume and not with its place.
func (m *Btrfs) byNumber() (string, error) {
	lines, err := m.fstab()
	if err != nil {
		return "", err
	}
	for _, l := range lines {
		if _, number := l.option("subvolid"); number && l.point == "/" {
			return "/etc/fstab names the root's subvolume by its number (subvolid=); name it by its path (subvol=)", nil
		}
	}
	if m.live() {
		line, err := os.ReadFile("/proc/cmdline")
		if err != nil {
			return "", err
		}
		for field := range strings.FieldsSeq(string(line)) {
			if flags, ok := strings.CutPrefix(field, "rootflags="); ok && strings.Contains(flags, "subvolid=") {
				return "the boot loader names the root's subvolume by its number (rootflags=subvolid=); name it by its path (subvol=)", nil
			}
		}
	}
	return "", nil
}

// Suits tells whether the root is a subvolume that can be exchanged, with all that has
// to go back together in it.
func (m *Btrfs) Suits(context.Context) (Fit, error) {
	f, why, err := m.find()
	if err != nil || why != "" {
		return Fit{Why: why}, err
	}
	volumes, err := m.volumes()
	if err != nil {
		return Fit{}, err
	}
	if v, torn, err := m.torn(volumes); err != nil || torn {
		return Fit{Why: fmt.Sprintf("%s lies on %s (%s), which would not go back with the root", v.path, v.source, v.kind)}, err
	}
	fit := Fit{OK: true}
	for _, v := range volumes {
		if v.path != f.state {
			fit.Left = append(fit.Left, Left{v.path, fmt.Sprintf("it lies on %s (%s)", v.source, v.kind)})
		}
	}
	for _, n := range f.nested {
		if left, ok := m.carries(n, f.state); ok {
			fit.Left = append(fit.Left, left)
		}
	}
	return fit, nil
}

// Prepare makes the snapshot, writes down what is in it, and sees that it is what the
// root is.
func (m *Btrfs) Prepare(ctx context.Context, task runbook.Task) (Baseline, error) {
	fit, err := m.Suits(ctx)
	if err != nil {
		return Baseline{}, err
	}
	if !fit.OK {
		return Baseline{}, runbook.Refuse("", "no way back by btrfs: %s", fit.Why)
	}
	f, _, err := m.find()
	if err != nil {
		return Baseline{}, err
	}
	top, err := subvolume.OpenTop(f.mount.Source)
	if err != nil {
		return Baseline{}, err
	}
	defer top.Close()
	e := exchange{Root: f.path, ID: f.id, Dir: places + "/" + task.RunID()}
	if e.UUID, err = subvolume.UUID(top.Path("/")); err != nil {
		return Baseline{}, err
	}
	standard, err := subvolume.Default(top.Path("/"))
	if err != nil {
		return Baseline{}, err
	}
	e.Default = standard == f.id
	for _, n := range f.nested {
		if _, ok := m.carries(n, f.state); ok {
			e.Carried = append(e.Carried, n)
		}
	}
	b := Baseline{Format: Format, Means: m.Name(), Root: filepath.Clean(m.Root), Made: time.Now().UTC(), Left: fit.Left}
	if err := m.snapshot(ctx, task, top, &e, &b); err != nil {
		return Baseline{}, fmt.Errorf("make the way back by btrfs: %w", err)
	}
	if b.Detail, err = json.Marshal(e); err != nil {
		return Baseline{}, err
	}
	return b, nil
}

func (m *Btrfs) snapshot(ctx context.Context, task runbook.Task, top *subvolume.Top, e *exchange, b *Baseline) error {
	for _, dir := range []string{places, e.Dir} {
		if err := top.Make(dir); err != nil {
			return err
		}
	}
	for _, old := range []string{e.next(), e.base()} { // of an attempt that was killed
		if err := subvolume.DeleteAll(top.Path(old)); err != nil {
			return err
		}
	}
	if err := subvolume.Copy(ctx, top.Path(e.Root), top.Path(e.base()), e.carried); err != nil {
		return err
	}
	boundary.Reached(ctx, "snapshot made")
	if err := subvolume.Freeze(top.Path(e.base())); err != nil {
		return err
	}
	var err error
	if e.Base, err = subvolume.ID(top.Path(e.base())); err != nil {
		return err
	}
	if err := subvolume.Sync(top.Path(e.Dir)); err != nil {
		return err
	}
	boundary.Reached(ctx, "snapshot durable")
	if err := record(ctx, task, b, top.Path(e.base()), e.options()); err != nil {
		return err
	}
	if m.live() { // it goes on changing; the kernel has checked what was read
		return nil
	}
	var unequal *UnequalError
	if err := prove(ctx, task, *b, top.Path(e.Root), e.options()); errors.As(err, &unequal) {
		unequal.Tree = m.Root
		return fmt.Errorf("something writes to the root meanwhile; end that and try again: %w", unequal)
	} else if err != nil {
		return err
	}
	return nil
}

func (e exchange) carried(n subvolume.Nested) bool {
	return slices.ContainsFunc(e.Carried, func(c subvolume.Nested) bool { return c.ID == n.ID })
}

// options take out what is carried, empty directories in one tree and not in another.
func (e exchange) options() inventory.Options {
	return inventory.Options{Skip: func(path string) bool {
		return slices.ContainsFunc(e.Carried, func(c subvolume.Nested) bool { return "/"+c.Path == path })
	}}
}
