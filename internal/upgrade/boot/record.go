package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/google/renameio/v2"

	"lifeboat/internal/host"
)

// format is the version of the record.
const format = 1

// maxConfig bounds a file of a boot loader, and maxRecord the record, in bytes.
const (
	maxConfig = 4 << 20
	maxRecord = 16 << 20
)

// record is what is written before anything is changed: what is to be taken back.
type record struct {
	Format int `json:"format"`
	Entry
	Edits []edit `json:"edits"`
}

// edit is one file that is changed. What it was is kept beside the record.
type edit struct {
	Path   string   `json:"path"` // on the machine, links followed
	Kind   editKind `json:"kind"`
	After  []byte   `json:"after,omitempty"`
	before []byte   // when it was planned; empty also for a file that was not there
}

type editKind string

const (
	menuLst editKind = "menu.lst"
	grubCfg editKind = "grub.cfg"
	saved   editKind = "default" // GRUB legacy's saved number
	block   editKind = "grubenv" // GRUB 2's environment block
	blockBy editKind = "editenv" // the same, by the machine's own program
	control editKind = "control" // of the automatic upgrade
)

func (m *Menu) dir() (string, error) {
	if m.Dir != "" {
		return m.Dir, nil
	}
	return m.Host.Path(Dir)
}

func (m *Menu) aside(i int) string {
	dir, _ := m.dir() // load was there before
	return filepath.Join(dir, fmt.Sprintf("file%d", i))
}

func (m *Menu) load() (*record, error) {
	dir, err := m.dir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "entry.json")
	data, err := read(path, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	rec := new(record)
	if err == nil {
		err = json.Unmarshal(data, rec)
	}
	if err == nil && rec.Format != format {
		err = fmt.Errorf("its format is %d, and %d is known", rec.Format, format)
	}
	if err != nil {
		return nil, fmt.Errorf("what is known of the boot entry (%s): %w", path, err)
	}
	return rec, nil
}

func (m *Menu) save(rec *record) error {
	dir, err := m.dir()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(rec, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = renameio.WriteFile(filepath.Join(dir, "entry.json"), data, 0o600, renameio.WithTempDir(dir))
	}
	if err == nil {
		err = errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
	}
	if err != nil {
		return fmt.Errorf("record the boot entry: %w", err)
	}
	return nil
}

// forget removes the record, last of all.
func (m *Menu) forget() error {
	dir, err := m.dir()
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "entry.json")); err != nil {
		return err
	}
	m.point("forgotten")
	return m.sweep()
}

// sweep removes the directory of the record, which has no record any more.
func (m *Menu) sweep() error {
	dir, err := m.dir()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(os.RemoveAll(dir), syncDir(filepath.Dir(dir)))
}

// edit has the effect of one edit, unless the file is no longer what was looked at.
func (m *Menu) edit(ctx context.Context, e edit, aside string) error {
	if before, _, err := readAside(aside); err != nil || !bytes.Equal(before, e.before) {
		return errors.Join(fmt.Errorf("%s was changed at this moment; try it again", e.Path), err)
	}
	if e.Kind == blockBy {
		return m.setByProgram(ctx, e.Path, entryID)
	}
	return m.write(e.Path, e.After)
}

// write replaces a file of a boot loader, and leaves it its owner and attributes.
func (m *Menu) write(path string, data []byte) error {
	o := host.WriteOptions{Mode: 0o600, UID: -1, GID: -1}
	target, err := m.Host.Path(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(target); err == nil {
		o.Mode, o.Attributes = info.Mode().Perm(), target
		o.UID, o.GID = owner(info)
	}
	if err := m.Host.WriteFile(path, data, o); err != nil {
		return err
	}
	return syncDir(filepath.Dir(target))
}

// takeBack makes a file what it was, or takes what was added out of it when somebody
// else has changed it meanwhile.
func (m *Menu) takeBack(ctx context.Context, rec *record, e edit, aside string) (changed bool, err error) {
	target, err := m.Host.Path(e.Path)
	if err != nil {
		return false, err
	}
	before, kept, err := readAside(aside)
	if err != nil {
		return false, fmt.Errorf("what %s was: %w", e.Path, err)
	}
	if !kept {
		return false, nil // killed before it was touched, or taken back already
	}
	if m.gone(e.Path) {
		return before != nil, dropAsides(aside)
	}
	if err := leftovers(target, before, e.After); err != nil {
		return false, err
	}
	if e.Kind == blockBy {
		if err := m.unsetByProgram(ctx, e.Path); err != nil {
			return false, err
		}
	}
	now, err := read(target, maxConfig)
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return false, err
	}
	if e.ours(rec, gone, now, before) {
		if err := m.Host.UnwriteFile(e.Path, aside); err != nil {
			return false, err
		}
		return false, syncDir(filepath.Dir(target))
	}
	if rest, found := e.without(rec, now); found && !gone {
		if before == nil && len(bytes.TrimSpace(rest)) == 0 {
			err = os.Remove(target)
		} else {
			err = m.write(e.Path, rest)
		}
		if err != nil {
			return true, err
		}
	}
	return true, dropAsides(aside)
}

// ours tells whether nobody but this program and the boot loader itself has changed
// the file.
func (e edit) ours(rec *record, gone bool, now, before []byte) bool {
	switch {
	case gone:
		return before == nil || e.Kind == control // which the installer may have taken away
	case bytes.Equal(now, e.After), before != nil && bytes.Equal(now, before):
		return true
	case e.Kind == saved:
		number, ok := savedNumber(now)
		mine, _ := savedNumber(e.After)
		return ok && number&^once == mine&^once
	case e.Kind == block, e.Kind == blockBy:
		return sameBut(now, before)
	}
	return false
}

// without is the file without what was added to it.
func (e edit) without(rec *record, now []byte) (rest []byte, found bool) {
	switch e.Kind {
	case menuLst:
		return cut(now, rec.Section, cutLegacy)
	case grubCfg:
		return cut(now, rec.Section, cutGRUB2)
	case block:
		env, err := parseBlock(now)
		if err != nil || env.get("next_entry") != entryID {
			return now, false
		}
		return env.with("next_entry", ""), true
	}
	return now, false
}

func cut(now []byte, section string, like func(string) (string, bool)) ([]byte, bool) {
	if before, after, ok := strings.Cut(string(now), section); ok {
		return []byte(before + after), true
	}
	rest, ok := like(string(now))
	return []byte(rest), ok
}

// selected tells whether an edit had the next start take the entry, and no start has
// done so.
func (m *Menu) selected(ctx context.Context, e edit) bool {
	target, err := m.Host.Path(e.Path)
	if err != nil {
		return false
	}
	now, err := read(target, maxConfig)
	if err != nil {
		return false
	}
	switch e.Kind {
	case saved:
		number, ok := savedNumber(now)
		return ok && number&once != 0
	case block:
		env, err := parseBlock(now)
		return err == nil && env.get("next_entry") == entryID
	case blockBy:
		program, err := m.editor()
		if err != nil {
			return false
		}
		out, err := m.Host.Output(ctx, program, e.Path, "list")
		return err == nil && slices.Contains(strings.Split(string(out), "\n"), "next_entry="+entryID)
	}
	return false
}

// asides are the two names below which host.KeepFile keeps what a file was: the file,
// or that there was none.
func asides(aside string) []string { return []string{aside, aside + ".absent"} }

func dropAsides(aside string) error {
	for _, name := range asides(aside) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readAside returns what a file was, nil when it was not there.
func readAside(aside string) (before []byte, kept bool, err error) {
	names := asides(aside)
	if before, err = read(names[0], maxConfig); err == nil {
		return append([]byte{}, before...), true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	_, err = os.Lstat(names[1])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return nil, err == nil, err
}

// leftovers removes what a killed write has left beside a file: a file with a number
// behind its name that begins as one of the texts does.
func leftovers(target string, texts ...[]byte) error {
	names, err := os.ReadDir(filepath.Dir(target))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	temporary := regexp.MustCompile(`^\.` + regexp.QuoteMeta(filepath.Base(target)) + `[0-9]+$`)
	for _, name := range names {
		if !temporary.MatchString(name.Name()) || !name.Type().IsRegular() {
			continue
		}
		path := filepath.Join(filepath.Dir(target), name.Name())
		data, err := read(path, maxConfig)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if bytes.HasPrefix(text, data) {
				if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				break
			}
		}
	}
	return nil
}

// resolve follows the symbolic links of a path of the machine.
func (m *Menu) resolve(path string) (string, error) {
	real, err := securejoin.SecureJoin(m.Host.Root(), path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return "/" + strings.TrimLeft(strings.TrimPrefix(real, strings.TrimSuffix(m.Host.Root(), "/")), "/"), nil
}

// text reads a file of the machine; "" when it is not there.
func (m *Menu) text(path string) (string, error) {
	target, err := m.Host.Path(path)
	if err != nil {
		return "", err
	}
	data, err := read(target, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, err
}
