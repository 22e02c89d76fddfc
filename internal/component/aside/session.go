// Package aside puts new files in the place of present ones so that the present
// ones can come back: they are renamed aside inside their mount, what is new is
// renamed in, and every move is journaled durably before it is made. After a
// kill or a power failure at any point the work is completed or reversed
// exactly. It knows nothing of recovery points or of component kinds: what is
// put in place stands in a staging directory already.
package aside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/host"
)

// Prefix begins the name of every directory that a session makes beside or
// inside what it replaces. Captures leave such entries out.
const Prefix = ".lifeboat-"

// ErrDiscarded says that what was set aside is gone, so that nothing can be
// rolled back.
var ErrDiscarded = errors.New("what was set aside has been discarded")

// Phase says how far a session is.
type Phase string

// The phases, in the order of a life.
const (
	Untouched   Phase = "untouched"    // nothing, or only staging, has happened; or all was rolled back
	Replacing   Phase = "replacing"    // the plan stands and is partly carried out
	Restored    Phase = "restored"     // all is in place, the former state is aside
	RollingBack Phase = "rolling back" // the reverse is partly carried out
	Discarded   Phase = "discarded"    // what was aside is being, or has been, removed
)

// Session is the replacing of some paths in one run. It is not safe for
// concurrent use; sessions of different names are independent of each other.
type Session struct {
	host *host.Host
	id   string
	log  *journal
	// known: Changed has seen all that others changed.
	known bool
}

// Place is where new content is staged and where present content goes: two
// directories of one mount.
type Place struct {
	New   string // empty directory of this process's view, 0700
	Aside string // not made before something is put there
}

// Open reads the state of the session called name of a run. It changes nothing
// besides cutting off a torn last line; dir is the directory of the journal and
// need not exist.
func Open(h *host.Host, dir, run, name string) (*Session, error) {
	id := run + "." + name
	if run == "" || name == "" || strings.ContainsAny(id, "/\x00") || len(id) > 200 {
		return nil, fmt.Errorf("run %q and component %q make no file name", run, name)
	}
	log, err := openJournal(filepath.Join(dir, "aside-"+name+".jsonl"))
	if err != nil {
		return nil, err
	}
	return &Session{host: h, id: id, log: log}, nil
}

// Phase says how far the session is.
func (s *Session) Phase() Phase {
	for _, r := range slices.Backward(s.log.records) {
		switch r.Do {
		case doPlanned:
			return Replacing
		case doRestored:
			return Restored
		case doRollback:
			return RollingBack
		case doRolledBack:
			return Untouched
		case doDiscard, doDiscarded:
			return Discarded
		}
	}
	return Untouched
}

// Begin makes the session ready for staging, when its phase is Untouched, by
// removing what an interrupted staging left. A rollback that was interrupted is
// completed first. In every other phase it does nothing.
func (s *Session) Begin(ctx context.Context) error {
	if s.Phase() == RollingBack {
		if err := s.Rollback(ctx); err != nil {
			return err
		}
	}
	if s.Phase() != Untouched || len(s.log.records) == 0 {
		return ctx.Err()
	}
	if s.log.records[len(s.log.records)-1].Do == doRolledBack {
		return s.log.clear()
	}
	if err := s.dropStaging(); err != nil {
		return err
	}
	return s.log.add(record{Do: doAgain})
}

// Abandon removes what was staged, after an error before Commit.
func (s *Session) Abandon() error {
	if s.Phase() != Untouched {
		return nil
	}
	return s.dropStaging()
}

// Stage makes the staging directory in dir, which exists and whose mount is
// that of what will be replaced.
func (s *Session) Stage(ctx context.Context, dir string) (Place, error) {
	place := Place{New: filepath.Join(dir, Prefix+"new-"+s.id), Aside: filepath.Join(dir, Prefix+"aside-"+s.id)}
	planned := s.log.has(doStage, s.inner(place.New))
	if !planned {
		if _, err := os.Lstat(place.New); err == nil {
			return place, fmt.Errorf("%s is there already and was not made by this run; remove it", place.New)
		}
		if err := s.touch(ctx, dir, record{Do: doStage, Path: s.inside(place.New), Aside: s.inside(place.Aside)}); err != nil {
			return place, err
		}
	}
	if err := os.Mkdir(place.New, 0o700); err != nil && (!planned || !errors.Is(err, fs.ErrExist)) {
		return place, fmt.Errorf("stage beside what is replaced: %w", err)
	}
	boundary.Reached(ctx, "staging directory made")
	return place, nil
}

// MakeParents makes the directories above path that are missing, 0700, and
// hands each to dress, which gives it its metadata. They are removed again by
// a rollback, when they are empty then.
func (s *Session) MakeParents(ctx context.Context, path string, dress func(dir, made string) error) error {
	dir := filepath.Dir(filepath.Clean("/" + path))
	made, err := s.host.Entry(dir)
	if err != nil {
		return err
	}
	there, err := s.host.Path(dir) // a link leads inside the machine's root
	if err != nil {
		return err
	}
	info, err := os.Stat(there)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is no directory, though %s belongs below it: %w", dir, path, syscall.ENOTDIR)
	case err == nil && !s.log.has(doMkdir, s.inner(made)):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if err := Dangling(made); err != nil {
		return err
	}
	if err := s.MakeParents(ctx, dir, dress); err != nil {
		return err
	}
	if err != nil {
		if err := s.touch(ctx, filepath.Dir(made), record{Do: doMkdir, Path: s.inside(made)}); err != nil {
			return err
		}
		// Another component may have made it meanwhile: then both remove it
		// when it is empty.
		if err := os.Mkdir(made, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		boundary.Reached(ctx, "parent made")
	}
	if err := dress(dir, made); err != nil {
		return err
	}
	m, err := metadataOf(made)
	if err != nil {
		return err
	}
	return s.add(ctx, record{Do: doDressed, Path: s.inside(made), Like: m})
}

// Made tells whether the directory, of this process's view, was made by this
// session.
func (s *Session) Made(dir string) bool { return s.log.has(doMkdir, s.inner(dir)) }

// touch journals records whose effects change the entries of dir, after how
// dir itself was, if that is not known yet.
func (s *Session) touch(ctx context.Context, dir string, more ...record) error {
	if !s.log.has(doTouch, s.inner(dir)) && !s.log.has(doMkdir, s.inner(dir)) {
		m, err := metadataOf(dir)
		if err != nil {
			return err
		}
		more = append([]record{{Do: doTouch, Path: s.inside(dir), Meta: m}}, more...)
	}
	if len(more) == 0 {
		return ctx.Err()
	}
	return s.add(ctx, more...)
}

func (s *Session) add(ctx context.Context, records ...record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	boundary.Reached(ctx, "before "+records[len(records)-1].Do)
	if err := s.log.add(records...); err != nil {
		return err
	}
	boundary.Reached(ctx, "after "+records[len(records)-1].Do)
	return nil
}

// inner is a path of this process as the machine sees it.
func (s *Session) inner(path string) string {
	if s.host.IsLocal() {
		return path
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, s.host.Root()), "/")
}

func (s *Session) inside(path string) Name { return Name(s.inner(path)) }

// outer is the reverse of inner.
func (s *Session) outer(n Name) string {
	if n == "" {
		return ""
	}
	return filepath.Join(s.host.Root(), string(n))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
