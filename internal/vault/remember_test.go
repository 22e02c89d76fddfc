package vault_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// remembered makes a site with n points that its machine remembers.
func remembered(t *testing.T, n int) *backuptest.Site {
	t.Helper()
	s := backuptest.New(t, "")
	s.Vault.Remember(head.New(filepath.Join(s.Dir, "state")))
	for range n {
		if b, _, err := s.Backup(t); err != nil || b.Point().Unnoted != nil {
			t.Fatal(err, b.Point())
		}
	}
	return s
}

func untouched(t *testing.T, v *vault.Vault) bool {
	t.Helper()
	r, err := v.Verify(t.Context(), vault.VerifyOptions{})
	if err != nil || r.HeadError != "" || r.Head.First {
		t.Fatalf("%+v, %v", r, err)
	}
	return r.Untouched()
}

// What this machine seals and forgets is no news to it; what others remove is.
func TestOwnChanges(t *testing.T) {
	s := remembered(t, 3)
	if !untouched(t, s.Vault) {
		t.Error("backups of this machine are taken for others'")
	}
	oldest := func(s *vault.Survey) ([]*vault.Point, error) { return s.Points[:1], nil }
	if err := s.Vault.Forget(t.Context(), oldest); err != nil {
		t.Fatal(err)
	}
	if !untouched(t, s.Vault) {
		t.Error("a point that this machine forgot is missed")
	}
	points, err := s.Vault.Points(t.Context(), vault.Filter{})
	if err != nil || len(points) != 2 {
		t.Fatal(len(points), err)
	}
	if err := s.Vault.Repository().Forget(t.Context(), points[0].Snapshot.ID); err != nil {
		t.Fatal(err)
	}
	if untouched(t, s.Vault) {
		t.Error("a point that others removed is not missed")
	}
	if err := s.Vault.Accept(t.Context()); err != nil || !untouched(t, s.Vault) {
		t.Errorf("accepted: %v", err)
	}
}

// A forget that the store refuses half-way is not taken for somebody else's, nor
// is what it left.
func TestForgetCutShort(t *testing.T) {
	s := remembered(t, 3)
	err := s.Vault.Forget(t.Context(), func(survey *vault.Survey) ([]*vault.Point, error) {
		points := survey.Points
		// The first goes as if it had been reached before the cut.
		gone := storage.Handle{Type: storage.Snapshot, Name: points[0].ID()}
		if err := os.Remove(filepath.Join(s.Dir, "repository", gone.Path())); err != nil {
			t.Error(err)
		}
		return points[:2], nil
	})
	if !errors.Is(err, repository.ErrNoSnapshot) {
		t.Errorf("%v", err)
	}
	if !untouched(t, s.Vault) {
		t.Error("what was half forgotten is taken for others' work")
	}
	if points, err := s.Vault.Points(t.Context(), vault.Filter{}); err != nil || len(points) != 2 {
		t.Errorf("%d points, %v", len(points), err)
	}
}

// refusing is a store that lets nothing but locks be removed, or does not say.
type refusing struct {
	storage.Store
	err error
}

func (r refusing) Remove(ctx context.Context, h storage.Handle) error {
	if h.Type == storage.Lock {
		return r.Store.Remove(ctx, h)
	}
	return r.err
}

func remove(t *testing.T, s *backuptest.Site, id string) {
	t.Helper()
	gone := storage.Handle{Type: storage.Snapshot, Name: id}
	if err := os.Remove(filepath.Join(s.Dir, "repository", gone.Path())); err != nil {
		t.Fatal(err)
	}
}

// A forget that the store refuses leaves the record as it was: whoever removes the
// point afterwards is noticed. One that got no answer is in doubt until the next
// look, which a backup is, too.
func TestForgetRefused(t *testing.T) {
	s := remembered(t, 3)
	keeper := head.New(filepath.Join(s.Dir, "state"))
	oldest := func(found *vault.Survey) ([]*vault.Point, error) { return found.Points[:1], nil }
	through := func(err error) *vault.Vault {
		store, openErr := storage.Open(t.Context(), filepath.Join(s.Dir, "repository"), storage.Options{})
		if openErr != nil {
			t.Fatal(openErr)
		}
		repo, openErr := repository.Open(t.Context(), refusing{store, err}, []byte("secret"), repository.Options{})
		if openErr != nil {
			t.Fatal(openErr)
		}
		t.Cleanup(func() { repo.Close() })
		v := vault.New(repo)
		v.Remember(keeper)
		return v
	}
	for _, refusal := range []error{storage.ErrAppendOnly, storage.ErrReadOnly, storage.ErrRetained} {
		if err := through(refusal).Forget(t.Context(), oldest); !errors.Is(err, refusal) {
			t.Fatal(err)
		}
	}
	points := pointsOf(t, s.Vault)
	remove(t, s, points[0].ID())
	if untouched(t, s.Vault) {
		t.Error("a point whose removal was refused is not missed")
	}
	lost := errors.New("connection reset")
	if err := through(lost).Forget(t.Context(), oldest); !errors.Is(err, lost) {
		t.Fatal(err)
	}
	backUp(t, s) // and looks
	remove(t, s, points[1].ID())
	r, err := s.Vault.Verify(t.Context(), vault.VerifyOptions{})
	if err != nil || len(r.Head.Problems) != 2 || !r.Missed() {
		t.Errorf("%+v, %v", r.Head, err)
	}
}

// A pin that somebody removes keeps its point all the same, until a person says
// what is right.
func TestPinVanishes(t *testing.T) {
	s := remembered(t, 2)
	first := pointsOf(t, s.Vault)[0]
	unpinned := func(note string) {
		t.Helper()
		pin, err := s.Vault.Pin(t.Context(), first, note)
		if err != nil || pin.Unnoted != nil {
			t.Fatal(err, pin)
		}
		remove(t, s, pin.ID.String())
	}
	lost := func() bool { return pointsOf(t, s.Vault)[0].LostPin != nil }
	all := func(found *vault.Survey) ([]*vault.Point, error) { return found.Points, nil }

	unpinned("audit")
	points := pointsOf(t, s.Vault)
	for _, p := range points {
		p.Snapshot.Tags = append(slices.Clone(p.Snapshot.Tags)[:2], "trigger:scheduled")
	}
	verdicts, err := vault.Retain(points, config.Retention{Last: 1}, time.Now().Add(time.Hour))
	if err != nil || !verdicts[0].Keep || verdicts[0].Reasons[0] != "its pin vanished" {
		t.Errorf("%+v, %v", verdicts, err)
	}
	if err := s.Vault.Forget(t.Context(), all); !errors.Is(err, vault.ErrUnpinned) || len(pointsOf(t, s.Vault)) != 2 {
		t.Errorf("%v", err)
	}
	r, err := s.Vault.Verify(t.Context(), vault.VerifyOptions{})
	if err != nil || r.Untouched() || r.Missed() || !strings.Contains(r.Head.Problems[0].Text, "audit") {
		t.Errorf("%+v, %v", r.Head, err)
	}
	// It is settled by pinning it again, by unpinning it, or by accepting.
	if _, err := s.Vault.Pin(t.Context(), first, "again"); err != nil || lost() || !untouched(t, s.Vault) {
		t.Errorf("pinned again: %v", err)
	}
	if removed, err := s.Vault.Unpin(t.Context(), first.Short()); err != nil || len(removed) != 1 || lost() || !untouched(t, s.Vault) {
		t.Errorf("unpinned by this machine: %v, %v", removed, err)
	}
	unpinned("")
	if removed, err := s.Vault.Unpin(t.Context(), first.Short()); err != nil || len(removed) != 1 || lost() || !untouched(t, s.Vault) {
		t.Errorf("that it vanished is right: %v, %v", removed, err)
	}
	// So is one that cannot be read, which is not given up as just any file.
	pin, err := s.Vault.Pin(t.Context(), first, "")
	if err != nil {
		t.Fatal(err)
	}
	remove(t, s, pin.ID.String())
	file := filepath.Join(s.Dir, "repository", "snapshots", pin.ID.String())
	if err := os.WriteFile(file, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	unread := func(found *vault.Survey) ([]*vault.Point, error) {
		points, err := found.All()
		return points[2:], err
	}
	if points, _ := s.Vault.Points(t.Context(), vault.Filter{}); len(points) != 2 || points[0].LostPin == nil {
		t.Error("a pin that cannot be read keeps nothing")
	}
	if err := s.Vault.Forget(t.Context(), unread); !errors.Is(err, vault.ErrUnpinned) {
		t.Errorf("%v", err)
	}
	if removed, err := s.Vault.Unpin(t.Context(), pin.ID.String()[:8]); err != nil || len(removed) != 1 || lost() || !untouched(t, s.Vault) {
		t.Errorf("unpinned: %v, %v", removed, err)
	}
	unpinned("")
	if err := s.Vault.Accept(t.Context()); err != nil || lost() || !untouched(t, s.Vault) {
		t.Errorf("accepted: %v", err)
	}
	if err := s.Vault.Forget(t.Context(), all); err != nil {
		t.Error(err)
	}
}

// A backup into an older state of the repository, and one that finds the record gone,
// say so.
func TestBackupLooks(t *testing.T) {
	s := remembered(t, 3)
	told := func() string {
		t.Helper()
		b, run, err := s.Backup(t)
		if err != nil || b.Point() == nil {
			t.Fatal(err)
		}
		var texts []string
		for _, w := range run.Warnings {
			texts = append(texts, w.Text)
		}
		return strings.Join(texts, "\n")
	}
	points := pointsOf(t, s.Vault)
	remove(t, s, points[0].ID())
	if got := told(); got != "" {
		t.Errorf("a retention elsewhere may have done that: %s", got)
	}
	remove(t, s, pointsOf(t, s.Vault)[2].ID())
	for range 2 {
		if got := told(); !strings.Contains(got, "rolled-back: all points of app after ") || !strings.Contains(got, "lifeboat verify --accept") {
			t.Errorf("%q", got)
		}
	}
	records, err := filepath.Glob(filepath.Join(s.Dir, "state", "head", "*.json"))
	if err != nil || len(records) != 1 || os.Remove(records[0]) != nil {
		t.Fatal(records, err)
	}
	if got := told(); !strings.Contains(got, "record-lost: ") {
		t.Errorf("%q", got)
	}
	if got := told(); got != "" {
		t.Errorf("said again: %q", got)
	}
}
