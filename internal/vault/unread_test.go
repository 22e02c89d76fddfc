package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

// A snapshot that nobody can read keeps nobody from the others: not a pin, not a
// retention, not a copy. It goes when it is named, and nothing else does then.
func TestUnread(t *testing.T) {
	s := backuptest.New(t, "")
	first, second := backUp(t, s), backUp(t, s)
	if _, err := s.Vault.Pin(t.Context(), first, ""); err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("ab", 32)
	file := filepath.Join(s.Dir, "repository", "snapshots", name)
	if err := os.WriteFile(file, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	points, err := s.Vault.Points(t.Context(), vault.Filter{})
	unread := vault.Unread(err)
	if len(points) != 2 || len(unread) != 1 || unread[0].ID() != name || !unread[0].Unread() || !errors.Is(unread[0].Damage, repository.ErrDamaged) || points[0].Unread() {
		t.Fatalf("%d points, %v", len(points), err)
	}
	if vault.Unread(errors.Join(err, errors.New("and the line is cut"))) != nil {
		t.Error("an error of the line is taken for damage")
	}
	if _, err := s.Vault.Pin(t.Context(), second, ""); err != nil {
		t.Error(err)
	}
	if pins, err := s.Vault.Pins(t.Context()); len(pins) != 2 || vault.Unread(err) == nil {
		t.Errorf("%d pins, %v", len(pins), err)
	}
	for _, p := range []*vault.Point{first, second} {
		if _, err := s.Vault.Unpin(t.Context(), p.Short()); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Vault.Find(t.Context(), name[:8], vault.Filter{}); !errors.Is(err, repository.ErrDamaged) {
		t.Errorf("%v", err)
	}
	if _, err := s.Vault.Repository().Prune(t.Context(), repository.PruneOptions{}); !errors.Is(err, repository.ErrDamaged) || !strings.Contains(err.Error(), "snapshots/"+name) || !strings.Contains(err.Error(), "lifeboat forget --point "+name[:8]) {
		t.Errorf("%v", err)
	}
	last := func(found *vault.Survey) ([]*vault.Point, error) {
		points, err := found.All()
		return points[len(points)-1:], err
	}
	if err := s.Vault.Forget(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is there yet")
	}
	if points := pointsOf(t, s.Vault); len(points) != 2 {
		t.Errorf("%d points", len(points))
	}
}
