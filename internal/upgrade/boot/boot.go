// Package boot makes the boot entry that starts an installation system for an upgrade
// once: kernel and initrd of an installation medium in /boot, a section of the menu of
// GRUB legacy or GRUB 2 with upgrade=1, and the choice of it for the next start; and it
// takes all of that away again, so that not a byte differs. What the installation
// system does, and where a medium comes from, must not enter here.
//
// The procedure is that of the SUSE Linux Enterprise 12 manual, "Automated Migration
// from SUSE Linux Enterprise 11 SP3", which does not say how to get rid of the section.
package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/upgrade/choice"
)

// Dir is where, on the machine, it is kept what is to be taken away.
const Dir = "/var/lib/lifeboat/boot-entry"

// What stands in the menu, and below which names the files are in /boot.
const (
	Title  = "Linux Upgrade Kernel"
	kernel = "linux.upgrade"
	initrd = "initrd.upgrade"
	boot   = "/boot"
)

var (
	// ErrPresent says that there is an entry already.
	ErrPresent = errors.New("there is a boot entry already")
	// ErrLoader says that no way is known to add an entry to the machine's boot loader.
	ErrLoader = errors.New("no entry can be made for this boot loader")
)

// Request says what to add.
type Request struct {
	From   string   // directory on this process's machine: a mounted medium, or one with linux and initrd in it
	Arch   string   // of the machine, as of uname(2); "" is what its facts say
	Auto   bool     // autoupgrade=1: nobody is asked
	Append []string // more parameters, of linuxrc or the kernel
	// Control is the control file of an automatic upgrade, written to choice.ControlFile;
	// nil leaves what is there.
	Control []byte
}

// Selection says whether the next start takes the entry.
type Selection string

// The selections.
const (
	Selected Selection = "selected" // the next start takes it, and only that
	Taken    Selection = "taken"    // a start has taken it
	Gone     Selection = "gone"     // the menu it stood in is not there any more
	Manual   Selection = "manual"   // somebody has to choose it in the menu; Entry.Why says why
)

// Entry is an entry that was made.
type Entry struct {
	Loader     string    `json:"loader"` // grub or grub2
	Config     string    `json:"config"` // the file that has the section
	Title      string    `json:"title"`
	Section    string    `json:"section"`
	Parameters []string  `json:"parameters"`
	Like       string    `json:"like"` // title of the entry that it is made after
	Selection  Selection `json:"selection"`
	Why        string    `json:"why,omitempty"`
	Files      []File    `json:"files"`
	Control    string    `json:"control,omitempty"` // the control file of the automatic upgrade
	Added      time.Time `json:"added"`
	// Complete is false for one that was killed while it was made.
	Complete bool `json:"complete"`
}

// File is a file that was put into /boot.
type File struct {
	Path   string `json:"path"`
	From   string `json:"from"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Menu is the boot menu of a machine. Its methods must not run at the same time.
type Menu struct {
	Host *host.Host
	// Dir is where, on this process's machine, it is kept what is to be taken away, and
	// nothing else; "" is
	// Dir on the machine itself. It has to outlast a restart.
	Dir string

	at       func(point string)               // what a test does between effects
	writable func(dir string) (string, error) // default: Menu.loaderWrites
	now      func() time.Time                 // default: time.Now
}

// Add makes the entry and selects it for the next start. It is there wholly, or an
// error says what was in the way, and everything is as it was; of one that was killed
// half-way the rest is taken away first. ErrPresent says that there is one, ErrLoader
// that there is no way.
func (m *Menu) Add(ctx context.Context, r Request) (*Entry, error) {
	have, err := m.load()
	if err != nil {
		return nil, err
	}
	switch {
	case have == nil:
	case have.Complete:
		return nil, fmt.Errorf("%w, of %s; remove it first", ErrPresent, have.Added.Local().Format(time.DateTime))
	default:
		if _, err := m.Remove(ctx); err != nil {
			return nil, fmt.Errorf("take away what a killed one has left: %w", err)
		}
	}
	rec, err := m.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := m.make(ctx, rec); err != nil {
		_, undo := m.Remove(context.WithoutCancel(ctx))
		return nil, errors.Join(err, undo)
	}
	return &rec.Entry, nil
}

// Try tells whether an entry could be made, and changes nothing.
func (m *Menu) Try(ctx context.Context, r Request) error {
	_, err := m.plan(ctx, r)
	return err
}

// plan looks at everything and changes nothing.
func (m *Menu) plan(ctx context.Context, r Request) (*record, error) {
	if err := m.mounted(); err != nil {
		return nil, err
	}
	arch := r.Arch
	if arch == "" {
		facts, err := m.Host.Facts(ctx)
		if err != nil {
			return nil, err
		}
		arch = facts.Arch
	}
	src, err := findSource(r.From, arch)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{kernel, initrd} {
		if path := filepath.Join(boot, name); m.Host.Exists(path) {
			return nil, fmt.Errorf("%s is there already, and is not of an entry made here: take it away, and what the menu says of it", path)
		}
	}
	if err := m.room(src); err != nil {
		return nil, err
	}
	if err := checkAppended(r.Append); err != nil {
		return nil, err
	}
	if r.Control != nil && !r.Auto {
		return nil, errors.New("a control file is read by an automatic upgrade only")
	}
	loader, err := m.loader()
	if err != nil {
		return nil, err
	}
	rec := &record{Format: format, Entry: Entry{Loader: loader, Title: Title, Selection: Selected}}
	rec.Files = []File{{Path: filepath.Join(boot, kernel), From: src.kernel}, {Path: filepath.Join(boot, initrd), From: src.initrd}}
	rec.Added = time.Now().UTC().Truncate(time.Second)
	if m.now != nil {
		rec.Added = m.now()
	}
	if loader == legacyName {
		err = m.planLegacy(ctx, r, rec)
	} else {
		err = m.planGRUB2(ctx, r, rec)
	}
	if err != nil {
		return nil, err
	}
	return rec, m.planControl(r, rec)
}

// planControl puts the control file before all else: no entry is there without it. What
// was in its place comes back with the rest.
func (m *Menu) planControl(r Request, rec *record) error {
	if r.Control == nil {
		return nil
	}
	path, err := m.resolve(choice.ControlFile)
	if err != nil {
		return err
	}
	target, err := m.Host.Path(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Dir(target)); err != nil || !info.IsDir() {
		return errors.Join(fmt.Errorf("the machine has no directory %s for the control file", filepath.Dir(path)), err)
	}
	e := edit{Path: path, Kind: control, After: r.Control}
	if e.before, err = read(target, maxConfig); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the control file: %w", err)
	}
	rec.Control, rec.Edits = path, slices.Insert(rec.Edits, 0, e)
	return nil
}

// make has the effects that the record names, after it was written.
func (m *Menu) make(ctx context.Context, rec *record) error {
	if err := m.save(rec); err != nil {
		return err
	}
	m.point("recorded")
	for i, f := range rec.Files {
		got, err := m.copy(ctx, f)
		if err != nil {
			return err
		}
		rec.Files[i] = got
		m.point("copied " + f.Path)
	}
	if err := m.save(rec); err != nil {
		return err
	}
	for i, e := range rec.Edits {
		if err := m.Host.KeepFile(e.Path, m.aside(i)); err != nil {
			return err
		}
		m.point("kept " + e.Path)
		if err := m.edit(ctx, e, m.aside(i)); err != nil {
			return err
		}
		m.point("edited " + e.Path)
	}
	rec.Complete = true
	return m.save(rec)
}

// Show returns the entry that there is, or nil.
func (m *Menu) Show(ctx context.Context) (*Entry, error) {
	rec, err := m.load()
	if rec == nil || err != nil {
		return nil, err
	}
	if err := m.mounted(); err != nil {
		return nil, err
	}
	if rec.Complete && m.gone(rec.Config) {
		rec.Selection = Gone
	}
	if rec.Selection == Selected && rec.Complete && !slices.ContainsFunc(rec.Edits, func(e edit) bool { return m.selected(ctx, e) }) {
		rec.Selection = Taken
	}
	return &rec.Entry, nil
}

// Removed says what became of an entry.
type Removed struct {
	Entry Entry `json:"entry"`
	// Changed names files that somebody else has changed meanwhile: what was added to
	// them was taken out of them, and the rest left as it is.
	Changed []string `json:"changed,omitempty"`
}

// Remove takes the entry away; nil means that there is none. It may be repeated, and
// takes away what a killed Add or Remove has left.
func (m *Menu) Remove(ctx context.Context) (*Removed, error) {
	rec, err := m.load()
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, m.sweep() // a record that was killed while it was written, or removed
	}
	if err := m.mounted(); err != nil {
		return nil, err
	}
	out := &Removed{Entry: rec.Entry}
	// The choice goes first, and the files last: at no time does the menu name what is
	// not there.
	for i, e := range slices.Backward(rec.Edits) {
		changed, err := m.takeBack(ctx, rec, e, m.aside(i))
		if err != nil {
			return nil, err
		}
		if changed {
			out.Changed = append(out.Changed, e.Path)
		}
		m.point("taken back " + e.Path)
	}
	for _, f := range rec.Files {
		if err := m.delete(f); err != nil {
			return nil, err
		}
		m.point("deleted " + f.Path)
	}
	return out, m.forget()
}

// gone tells whether a file's directory is not there, as when another boot loader was
// installed in the place of one.
func (m *Menu) gone(path string) bool {
	target, err := m.Host.Path(path)
	if err != nil {
		return false
	}
	_, err = os.Lstat(filepath.Dir(target))
	return errors.Is(err, fs.ErrNotExist)
}

func (m *Menu) point(name string) {
	if m.at != nil {
		m.at(name)
	}
}
