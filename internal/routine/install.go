package routine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// Installer tells a machine when to call lifeboat: timers of systemd, or files for
// cron.
type Installer struct {
	Host    *host.Host
	Program Program
	Book    Book
	Cron    bool // in spite of systemd
	// Force writes over files of its own that somebody has changed; what they were
	// is kept beside them.
	Force bool
}

// Forms in which a schedule is on.
const (
	BySystemd = "systemd"
	ByCron    = "cron"
)

// Form is how this machine is told.
func (i Installer) Form() string {
	if i.Host.HasSystemd() && !i.Cron {
		return BySystemd
	}
	return ByCron
}

const (
	unitDir  = "/etc/systemd/system/"
	wantsDir = unitDir + "timers.target.wants/"
	cronDir  = "/etc/cron.d/"
	stampDir = "/var/lib/systemd/timers/" // of persistent timers
)

// Entry is a file that was put on the machine.
type Entry struct {
	Path   string `json:"path"`
	Config string `json:"config"` // of the system
	System string `json:"system"`
	Sum    string `json:"sum"`            // SHA-256 of its text
	Link   string `json:"link,omitempty"` // where it leads, if it is a link
	// Off says that the schedule needs it no longer, and that it is still there, as
	// somebody has changed it.
	Off bool `json:"off,omitempty"`
	// Waiting says that systemd was not told of it yet.
	Waiting bool `json:"waiting,omitempty"`

	text string
}

// Changes are what became of the files of a machine.
type Changes struct {
	Written []string
	Removed []string
	Kept    []string // changed by somebody since, and so left
	Aside   []string // what somebody had made of files that were written over
}

// ErrForeign says that a file is there which this program did not write, and
// ErrChanged that somebody has changed one which it did.
var (
	ErrForeign = errors.New("it is there already, and not by lifeboat schedule")
	ErrChanged = errors.New("somebody has changed it since it was written")
	// ErrLedger says that nobody knows what was written: its record cannot be read.
	ErrLedger = errors.New("which schedules are on is not known")
)

const ledger = "installed.json"

// files are what a system needs.
func (i Installer) files(system string, tasks []Task) []Entry {
	entry := func(path, text, link string) Entry {
		sum := sha256.Sum256([]byte(text))
		return Entry{Path: path, Config: i.Program.Config, System: system, Sum: hex.EncodeToString(sum[:]), Link: link, text: text}
	}
	if len(tasks) == 0 {
		return nil
	}
	if i.Form() == ByCron {
		return []Entry{entry(cronDir+i.Program.cronName(system), i.Program.cron(system), "")}
	}
	var files []Entry
	for _, t := range tasks {
		unit := i.Program.unitName(t)
		files = append(files, entry(unitDir+unit+".service", i.Program.service(t), ""), entry(unitDir+unit+".timer", i.Program.timer(t), ""),
			entry(wantsDir+unit+".timer", "", unitDir+unit+".timer"))
	}
	return files
}

// On writes what a system's tasks need and removes what they need no longer. It may
// be repeated. What is about to be written is noted first, so Off finds all of it
// whenever this process dies.
func (i Installer) On(ctx context.Context, system string, tasks []Task) (changes Changes, err error) {
	if err := i.Program.Validate(); err != nil {
		return changes, err
	}
	if i.Form() == ByCron && !i.Host.Exists(cronDir) {
		return changes, fmt.Errorf("there is neither systemd nor %s on this machine; have something call `lifeboat schedule run %s --due` every few minutes", cronDir, system)
	}
	err = i.Book.locked(func() error {
		known, err := i.known()
		if err != nil {
			return err
		}
		files := i.files(system, tasks)
		for _, f := range files {
			if err := i.ours(f, known); err != nil {
				return err
			}
		}
		wanted := func(e Entry) bool {
			return i.of(e, system) && slices.ContainsFunc(files, func(f Entry) bool { return f.Path == e.Path })
		}
		waiting := slices.ContainsFunc(known, func(e Entry) bool { return wanted(e) && e.Waiting })
		both := slices.Clone(known)
		for n := range both {
			both[n].Off = both[n].Off && !wanted(both[n])
		}
		for _, f := range files {
			if !slices.ContainsFunc(known, f.same) {
				f.Waiting = i.Host.RunsSystemd()
				both = append(both, f)
			}
		}
		if err := i.Book.write(ledger, both); err != nil {
			return err
		}
		for _, f := range files {
			kept, err := i.setAside(f, known)
			if err != nil {
				return err
			}
			if kept != "" {
				changes.Aside = append(changes.Aside, kept)
			}
			written, err := i.put(f)
			if err != nil {
				return err
			}
			if written {
				changes.Written = append(changes.Written, f.Path)
			}
		}
		needless := func(e Entry) bool { return i.of(e, system) && !wanted(e) }
		if err := i.remove(ctx, known, needless, &changes); err != nil {
			return err
		}
		started := changes.Written
		if waiting {
			started = paths(files)
		}
		rest := i.left(known, system, changes.Kept)
		for n := range files {
			files[n].Waiting = i.Host.RunsSystemd() && (waiting || len(changes.Written) > 0)
		}
		if err := i.Book.write(ledger, append(slices.Clone(rest), files...)); err != nil {
			return err
		}
		if len(started)+len(changes.Removed) == 0 {
			return nil
		}
		if err := i.reload(ctx, timers(started)); err != nil {
			return err
		}
		for n := range files {
			files[n].Waiting = false
		}
		return i.Book.write(ledger, append(rest, files...))
	})
	if err != nil {
		err = fmt.Errorf("switch the schedule of %s on: %w", system, err)
	}
	return changes, err
}

// left is the ledger without a system, but for its files that were kept: they are
// still there, and cron goes on reading them.
func (i Installer) left(known []Entry, system string, kept []string) []Entry {
	var rest []Entry
	for _, e := range known {
		own := i.of(e, system)
		if own && !slices.Contains(kept, e.Path) {
			continue
		}
		e.Off = e.Off || own
		rest = append(rest, e)
	}
	return rest
}

// Off removes what On has written for a system. What somebody has changed since is
// left, and not forgotten.
func (i Installer) Off(ctx context.Context, system string) (changes Changes, err error) {
	err = i.Book.locked(func() error {
		known, err := i.known()
		if err != nil || len(known) == 0 {
			return err
		}
		own := func(e Entry) bool { return i.of(e, system) }
		if err := i.remove(ctx, known, own, &changes); err != nil {
			return err
		}
		return i.Book.write(ledger, i.left(known, system, changes.Kept))
	})
	if err == nil && len(changes.Removed) > 0 {
		err = i.reload(ctx, nil)
	}
	if err != nil {
		err = fmt.Errorf("switch the schedule of %s off: %w", system, err)
	}
	return changes, err
}

// known is what was written on this machine; an error wraps ErrLedger.
func (i Installer) known() (known []Entry, err error) {
	err = i.Book.read(ledger, &known)
	if errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("%w: %s %w; remove it, then lifeboat schedule on writes it anew", ErrLedger, filepath.Join(i.Book.dir, ledger), ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return known, nil
}

// Systems lists the systems of this configuration whose schedule is on, or was and
// has left files.
func (i Installer) Systems() ([]string, error) {
	known, err := i.known()
	var systems []string
	for _, e := range known {
		if e.Config == i.Program.Config && !slices.Contains(systems, e.System) {
			systems = append(systems, e.System)
		}
	}
	slices.Sort(systems)
	return systems, err
}

func (i Installer) of(e Entry, system string) bool {
	return e.System == system && e.Config == i.Program.Config
}

func (e Entry) same(other Entry) bool {
	return e.Path == other.Path && e.Sum == other.Sum && e.Link == other.Link
}

// ours refuses to write over a file that On has not written, or that somebody has
// changed since.
func (i Installer) ours(f Entry, known []Entry) error {
	if i.foundAs(f) != changed || i.unchanged(f.Path, known) {
		return nil
	}
	if !slices.ContainsFunc(known, func(e Entry) bool { return e.Path == f.Path && i.of(e, f.System) }) && !i.signed(f) {
		return fmt.Errorf("%s: %w; remove it, or give the system another name", f.Path, ErrForeign)
	}
	if i.Force {
		return nil
	}
	// What is set in a drop-in stays whatever is written here; cron has none.
	hint := "the schedule in the configuration says what it holds"
	if strings.HasPrefix(f.Path, unitDir) {
		hint = "settings of your own belong into a drop-in, `systemctl edit " + path.Base(f.Path) + "`"
	}
	return fmt.Errorf("%s: %w; %s; --force writes over it and keeps a copy beside", f.Path, ErrChanged, hint)
}

// signed tells whether a file begins as those that On writes for this configuration:
// the ledger may have been lost.
func (i Installer) signed(f Entry) bool {
	at, err := i.Host.Entry(f.Path)
	if err != nil {
		return false
	}
	file, err := os.OpenFile(at, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	header := i.Program.header()
	begin := make([]byte, len(header))
	_, err = io.ReadFull(file, begin)
	return err == nil && string(begin) == header
}

// unchanged tells whether a file is as it was written at some time. It stands twice
// in the ledger when a change of it was cut short.
func (i Installer) unchanged(at string, known []Entry) bool {
	return slices.ContainsFunc(known, func(e Entry) bool { return e.Path == at && i.foundAs(e) == asWritten })
}

// maxCopies bounds how many copies of one file are kept.
const maxCopies = 100

// setAside renames a file that somebody has changed, and says what it is now: neither
// systemd nor cron reads a name that ends in a tilde.
func (i Installer) setAside(f Entry, known []Entry) (kept string, err error) {
	if i.foundAs(f) != changed || i.unchanged(f.Path, known) {
		return "", nil
	}
	from, err := i.Host.Entry(f.Path)
	if err != nil {
		return "", err
	}
	for n := 1; n <= maxCopies; n++ {
		kept = fmt.Sprintf("%s.~%d~", f.Path, n)
		to, err := i.Host.Entry(kept)
		if err != nil {
			return "", err
		}
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			return kept, os.Rename(from, to)
		}
	}
	return "", fmt.Errorf("%s: there are %d copies of it beside it already; remove some", f.Path, maxCopies)
}

func (i Installer) put(f Entry) (written bool, err error) {
	if i.foundAs(f) == asWritten {
		return false, nil
	}
	if f.Link != "" {
		return true, i.Host.InstallLink(f.Link, f.Path)
	}
	return true, i.Host.InstallFile(f.Path, f.text, 0o644)
}

func (i Installer) remove(ctx context.Context, known []Entry, which func(Entry) bool, changes *Changes) error {
	for _, e := range known {
		if !which(e) {
			continue
		}
		at, err := i.Host.Entry(e.Path)
		if err != nil {
			return err
		}
		switch state := i.foundAs(e); {
		case state == missing:
			continue
		case state == changed && !i.unchanged(e.Path, known):
			if !slices.Contains(changes.Kept, e.Path) {
				changes.Kept = append(changes.Kept, e.Path)
			}
			continue
		}
		if unit := path.Base(e.Path); e.Link != "" {
			if i.Host.RunsSystemd() {
				// It may not be running; what counts is that the file goes.
				_ = i.Host.Run(ctx, host.Command{Args: []string{"systemctl", "stop", "--", unit}})
			}
			if stamp, err := i.Host.Entry(stampDir + "stamp-" + unit); err == nil {
				_ = os.Remove(stamp) // or the next `on` would begin with a run that was missed
			}
		}
		if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		changes.Removed = append(changes.Removed, e.Path)
		if e.Link != "" {
			_ = os.Remove(path.Dir(at)) // empty, it says nothing
		}
	}
	return nil
}

// reload has a running systemd read its units again, and starts timers anew.
func (i Installer) reload(ctx context.Context, timers []string) error {
	if !i.Host.RunsSystemd() || i.Form() != BySystemd {
		return nil
	}
	if err := i.Host.Run(ctx, host.Command{Args: []string{"systemctl", "daemon-reload"}}); err != nil {
		return fmt.Errorf("have systemd read its units: %w", err)
	}
	for _, timer := range timers {
		if err := i.Host.Run(ctx, host.Command{Args: []string{"systemctl", "restart", "--", timer}}); err != nil {
			return fmt.Errorf("start %s: %w", timer, err)
		}
	}
	return nil
}

func paths(files []Entry) []string {
	var list []string
	for _, f := range files {
		list = append(list, f.Path)
	}
	return list
}

func timers(files []string) []string {
	var units []string
	for _, f := range files {
		if unit := path.Base(f); strings.HasSuffix(unit, ".timer") && !slices.Contains(units, unit) {
			units = append(units, unit)
		}
	}
	return units
}
