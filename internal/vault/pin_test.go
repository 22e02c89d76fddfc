package vault_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

func backUp(t *testing.T, s *backuptest.Site) *vault.Point {
	t.Helper()
	b, _, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	return b.Point()
}

func pointsOf(t *testing.T, v *vault.Vault) []*vault.Point {
	t.Helper()
	points, err := v.Points(t.Context(), vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return points
}

func TestPin(t *testing.T) {
	s := backuptest.New(t, "")
	first, second := backUp(t, s), backUp(t, s)
	note := "the audit, and what it's for"
	if _, err := s.Vault.Pin(t.Context(), first, note); err != nil {
		t.Fatal(err)
	}
	points := pointsOf(t, s.Vault)
	if len(points) != 2 || points[0].Pin == nil || points[0].Pin.Note != note || points[0].Pin.System != "app" || points[0].Pin.Time.IsZero() || points[1].Pin != nil {
		t.Fatalf("%+v", points)
	}
	all := func(s *vault.Survey) ([]*vault.Point, error) { return s.Points, nil }
	if err := s.Vault.Forget(t.Context(), all); !errors.Is(err, vault.ErrPinned) || !strings.Contains(err.Error(), "lifeboat unpin "+first.Short()) {
		t.Errorf("forget a pinned point: %v", err)
	}
	if points := pointsOf(t, s.Vault); len(points) != 2 {
		t.Errorf("%d points are left", len(points))
	}
	// A later pin's note counts, and all of them go together.
	if _, err := s.Vault.Pin(t.Context(), first, ""); err != nil {
		t.Fatal(err)
	}
	if p := pointsOf(t, s.Vault)[0]; p.Pin.Note != "" {
		t.Errorf("note %q", p.Pin.Note)
	}
	if _, err := s.Vault.Unpin(t.Context(), second.Short()); !errors.Is(err, vault.ErrNoPoint) {
		t.Errorf("unpin what is not pinned: %v", err)
	}
	if _, err := s.Vault.Unpin(t.Context(), ""); err == nil || errors.Is(err, vault.ErrNoPoint) {
		t.Errorf("unpin anything: %v", err)
	}
	if removed, err := s.Vault.Unpin(t.Context(), first.Short()); err != nil || len(removed) != 2 {
		t.Errorf("removed %d, %v", len(removed), err)
	}
	if err := s.Vault.Forget(t.Context(), all); err != nil {
		t.Error(err)
	}
	if points := pointsOf(t, s.Vault); len(points) != 0 {
		t.Errorf("%d points are left", len(points))
	}
	for _, bad := range []string{"two\nlines", strings.Repeat("x", 1000)} {
		if _, err := s.Vault.Pin(t.Context(), first, bad); err == nil {
			t.Errorf("note %.20q was taken", bad)
		}
	}
}

// Stock restic shows a pin and keeps what it holds, even when it forgets the
// point; "latest" stays the latest.
func TestPinAndRestic(t *testing.T) {
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("needs restic: it prunes beside our pins")
	}
	s := backuptest.New(t, "")
	restic := func(args ...string) string {
		t.Helper()
		command := exec.Command("restic", append([]string{"--no-cache", "-r", filepath.Join(s.Dir, "repository")}, args...)...)
		command.Env = append(os.Environ(), "RESTIC_PASSWORD=secret")
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("restic %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	s.Write(t, "data/a", "before")
	first := backUp(t, s)
	s.Write(t, "data/a", "after")
	backUp(t, s)
	pin, err := s.Vault.Pin(t.Context(), first, "audit")
	if err != nil {
		t.Fatal(err)
	}
	if out := restic("snapshots"); !strings.Contains(out, "lifeboat-pin") || !strings.Contains(out, "3 snapshots") {
		t.Error(out)
	}
	if out := restic("snapshots", "--tag", "system:app"); !strings.Contains(out, "2 snapshots") {
		t.Errorf("a pin looks like a point:\n%s", out)
	}
	if out := restic("dump", "latest", filepath.Join(s.Dir, "data", "a")); out != "after" {
		t.Errorf("latest holds %q", out)
	}
	restic("forget", first.ID())
	restic("prune", "--max-unused", "0")
	if out := restic("check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Error(out)
	}
	if out := restic("dump", pin.ID.String(), filepath.Join(s.Dir, "data", "a")); out != "before" {
		t.Errorf("the pin holds %q", out)
	}
	pins, err := s.Vault.Pins(t.Context())
	if err != nil || len(pins) != 1 || pins[0].ID != pin.ID || pins[0].Tree != first.Tree() {
		t.Errorf("%+v, %v", pins, err)
	}
	if removed, err := s.Vault.Unpin(t.Context(), pin.ID.String()[:8]); err != nil || len(removed) != 1 {
		t.Errorf("unpin by the pin's own id: %v, %v", removed, err)
	}
}

// A damaged point is named once, not again through its pin.
func TestVerifyPinned(t *testing.T) {
	s := backuptest.New(t, "")
	p := backUp(t, s)
	if _, err := s.Vault.Pin(t.Context(), p, ""); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(s.Dir, "repository", "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	for _, pack := range packs {
		if err := os.Chmod(pack, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(pack, 0); err != nil {
			t.Fatal(err)
		}
	}
	result, err := s.Vault.Verify(t.Context(), vault.VerifyOptions{Check: repository.CheckOptions{ReadData: true}})
	if err != nil || len(result.Points) != 1 || len(result.Points[0].Problems) == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, problem := range result.Problems {
		for _, told := range result.Points[0].Problems {
			if problem == told {
				t.Errorf("told twice: %s", problem)
			}
		}
	}
}
