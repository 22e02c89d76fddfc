package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/vault"
)

// BootCommand is the verb of the command line that the boot unit calls, with the
// directory of the copy; it calls Complete.
const BootCommand = "complete-rollback"

const (
	unitPath = "/etc/systemd/system/lifeboat-wayback.service"
	linkPath = "/etc/systemd/system/sysinit.target.wants/lifeboat-wayback.service"
)

// hooks are what the next boot is told with. They come after the baseline and go last.
var hooks = []string{unitPath, linkPath}

// bootUnit is the systemd unit that goes back: when the local file systems are mounted,
// and before anything that waits for sysinit.target, which all services do that do not
// say otherwise (systemd.special(7), bootup(7)). It stays until it has succeeded; when
// it fails, nothing is started on a root that is half-way back.
func bootUnit(program, dir string) string {
	return `[Unit]
Description=Take the system back to what it was before the upgrade (Lifeboat)
Documentation=man:lifeboat(8)
DefaultDependencies=no
Requires=local-fs.target
After=local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target
OnFailure=emergency.target
OnFailureJobMode=replace-irreversibly

[Service]
Type=oneshot
ExecStart=` + program + " " + BootCommand + " " + dir + `
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=0

[Install]
WantedBy=sysinit.target
`
}

// plain are paths that mean the same in a unit file as anywhere else.
var plain = regexp.MustCompile(`^[A-Za-z0-9/._+-]+$`)

// arm has the next boot of a root's machine go back from the copy in dir.
func arm(t Target, b Baseline, dir string) error {
	h, err := t.host()
	if err != nil {
		return err
	}
	at := dir
	if !t.live() {
		state, in, err := Target{Root: t.Root, State: dir}.within()
		if err != nil || !in {
			return errors.Join(fmt.Errorf("%s is not in the root", dir), err)
		}
		at = state
		b.Root, b.List = "/", filepath.Join(filepath.Dir(at), listName)
	}
	if !plain.MatchString(at) {
		return fmt.Errorf("a boot unit cannot name %q; have the state directory at a plain path", at)
	}
	if err := os.Remove(filepath.Join(dir, resultName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeJSON(filepath.Join(dir, jobName), job{Baseline: b}); err != nil {
		return err
	}
	if err := h.InstallFile(unitPath, bootUnit(filepath.Join(at, programName), at), 0o644); err != nil {
		return err
	}
	boundary.Reached(context.Background(), "unit written")
	if err := h.InstallLink(unitPath, linkPath); err != nil {
		return err
	}
	return durable(t.Root)
}

// disarm takes away what arm has installed. With exact set, the directories it was in
// are as they were written down again.
func disarm(b Baseline, exact bool) error {
	root := strings.TrimSuffix(filepath.Clean(b.Root), "/")
	dirs := map[string]*inventory.Entry{}
	for _, path := range []string{linkPath, unitPath} {
		err := os.Remove(root + path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return err
		}
		if err == nil || exact {
			for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
				dirs[dir] = nil
			}
		}
	}
	if !exact {
		return nil
	}
	f, err := os.Open(b.List)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := listed(b, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	_, err = inventory.Read(f, func(e inventory.Entry) error {
		if _, ok := dirs[string(e.Path)]; ok {
			dirs[string(e.Path)] = &e
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range []string{linkPath, unitPath} {
		for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
			if dirs[dir] == nil { // it came with the hook
				if err := os.Remove(root + dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
					return err
				}
			}
		}
	}
	for dir, e := range dirs {
		if e != nil {
			if err := set(root+dir, *e); err != nil {
				return err
			}
		}
	}
	return nil
}

// apart are the hooks, and the directories that came with them.
func apart(ctx context.Context, point *vault.Point) ([]string, error) {
	list := append([]string{}, hooks...)
	for _, path := range hooks {
		for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
			_, err := point.Find(ctx, dir)
			if err == nil {
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			list = append(list, dir)
		}
	}
	return list, nil
}

// Complete does what Back has put off to this boot, from the copy in dir. Restart says
// that the machine runs from what is no longer there, and has to be restarted. Killed
// anywhere, the next boot does it again.
func Complete(ctx context.Context, dir string, say func(text string)) (restart bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, jobName))
	if err != nil {
		return false, fmt.Errorf("read what is to be done: %w", err)
	}
	var j job
	if err := json.Unmarshal(text, &j); err != nil {
		return false, fmt.Errorf("read what is to be done: %w", err)
	}
	done, err := readResult(dir)
	if err != nil {
		return false, err
	}
	if done != nil && done.Equal { // killed after that was written
		return false, complete(ctx, j.Baseline)
	}
	if err := again(ctx, dir, j.Baseline, console{say}); err != nil {
		err = fmt.Errorf("go back to what was before the upgrade: %w", err)
		return false, errors.Join(err, writeJSON(filepath.Join(dir, resultName), result{Error: err.Error()}))
	}
	if err := writeJSON(filepath.Join(dir, resultName), result{Equal: true}); err != nil {
		return false, err
	}
	boundary.Reached(ctx, "result written")
	return true, complete(ctx, j.Baseline)
}

func complete(ctx context.Context, b Baseline) error {
	if err := disarm(b, true); err != nil {
		return fmt.Errorf("remove the boot unit: %w", err)
	}
	boundary.Reached(ctx, "unit removed")
	return durable(b.Root)
}

func again(ctx context.Context, dir string, b Baseline, say console) (err error) {
	var d saved
	if err := json.Unmarshal(b.Detail, &d); err != nil {
		return err
	}
	point, done, err := openStaged(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	r := &replay{root: b.Root, b: b, d: d, point: point}
	if r.also, err = apart(ctx, point); err != nil {
		return err
	}
	if err := r.foreign(); err != nil {
		return err
	}
	if err := r.room(ctx); err != nil {
		return err
	}
	say.Logf("going back to what was on %s", b.Made.Local().Format("2006-01-02 15:04"))
	return r.run(ctx, say)
}

// console tells a boot's console.
type console struct{ say func(string) }

// Logf implements teller.
func (c console) Logf(format string, args ...any) { c.say(fmt.Sprintf(format, args...)) }

// Progress implements teller: a console is told no bytes.
func (c console) Progress(int64, int64) {}
