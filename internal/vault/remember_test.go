package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/backup/backuptest"
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
	oldest := func(points []*vault.Point) ([]*vault.Point, error) { return points[:1], nil }
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
	err := s.Vault.Forget(t.Context(), func(points []*vault.Point) ([]*vault.Point, error) {
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
