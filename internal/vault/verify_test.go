package vault_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/guard"
	"lifeboat/internal/vault"
)

func TestMain(m *testing.M) {
	guard.Main()
	os.Exit(m.Run())
}

// A snapshot that cannot be read any more is damage, and the points beside it
// are still found.
func TestUnreadableSnapshot(t *testing.T) {
	s := backuptest.New(t, "")
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	whole, err := s.Vault.Find(t.Context(), "", vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.Dir, "repository", "snapshots", b.Point().ID())
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 10); err != nil {
		t.Fatal(err)
	}
	points, err := s.Vault.Points(t.Context(), vault.Filter{})
	if err == nil || len(points) != 1 {
		t.Errorf("%d points, error %v", len(points), err)
	}
	if p, err := s.Vault.Find(t.Context(), "latest", vault.Filter{System: "app"}); err != nil || p.ID() != whole.ID() {
		t.Errorf("latest is %v, %v", p, err)
	}
	result, err := s.Vault.Verify(t.Context(), vault.VerifyOptions{})
	if err != nil || result.OK() || !strings.Contains(strings.Join(result.Problems, "\n"), "snapshot") {
		t.Errorf("verify: %+v, %v", result, err)
	}
	if len(result.Points) != 1 || len(result.Points[0].Problems) != 0 {
		t.Errorf("the whole point is judged %+v", result.Points)
	}
}
