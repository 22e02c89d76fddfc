package backup_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup"
	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
)

// backUpFurther makes a point of a site that has further repositories.
func backUpFurther(ctx context.Context, t *testing.T, s *backuptest.Site, further ...backup.Further) (*backup.Backup, *runbook.Run, error) {
	t.Helper()
	state := filepath.Join(s.Dir, "state")
	b, err := backup.New(ctx, backup.Options{
		System: "app", Profile: s.Profile, Catalog: s.Catalog, Host: host.Local(), Vault: s.Vault,
		StateDir: state, Trigger: vault.Scheduled, Version: "test", Further: further,
	})
	if err != nil {
		t.Fatal(err)
	}
	run, err := runbook.New(runbook.Options{Dir: state}).Start(ctx, b.Runbook(), runbook.Meta{ID: b.RunID()})
	if closeErr := b.Close(context.WithoutCancel(ctx)); closeErr != nil {
		t.Error(closeErr)
	}
	return b, run, err
}

func otherVault(t *testing.T, s *backuptest.Site) *vault.Vault {
	t.Helper()
	store, err := storage.Open(t.Context(), filepath.Join(s.Dir, "other"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository.Create(t.Context(), store, []byte("other"), repository.Options{Scrypt: repository.ScryptParams{N: 2, R: 8, P: 1}, Like: s.Vault.Repository()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	return vault.New(repo)
}

func points(t *testing.T, v *vault.Vault) []*vault.Point {
	t.Helper()
	list, err := v.Points(t.Context(), vault.Filter{System: "app"})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A store that is lost costs a warning and no point; when it is back it gets all
// that it lacks, and what its own retention would remove stays away.
func TestFurtherRepository(t *testing.T) {
	s := backuptest.New(t, "")
	other := otherVault(t, s)
	var lost error = errors.New("no route to host")
	opened, closed := 0, 0
	further := backup.Further{Name: "second", Open: func(context.Context) (*vault.Vault, func(), error) {
		if s.Read("running") != "content of running" {
			t.Error("the system is not running again")
		}
		if lost != nil {
			return nil, nil, lost
		}
		opened++
		return other, func() { closed++ }, nil
	}}
	b, run, err := backUpFurther(t.Context(), t, s, further)
	if err != nil || run.State != runbook.StateWarnings || b.Point() == nil || !errors.Is(b.Unreached("second"), lost) {
		t.Fatalf("run is %v, %v; unreached: %v", run.State, err, b.Unreached("second"))
	}
	if text := run.Warnings[0].Text; !strings.Contains(text, "no route to host") || !strings.Contains(text, "lifeboat copy app --to second") {
		t.Errorf("warning: %s", text)
	}
	lost = nil
	if b, run, err = backUpFurther(t.Context(), t, s, further); err != nil || run.State != runbook.StateDone || b.Unreached("second") != nil {
		t.Fatalf("run is %v, %v", run.State, err)
	}
	if list := points(t, other); len(list) != 2 || list[1].Tree() != b.Point().Tree() || list[1].ID() == b.Point().ID() {
		t.Errorf("%d points were copied", len(list))
	}
	further.Retention = config.Retention{Last: 1}
	err = other.Forget(t.Context(), func(there *vault.Survey) ([]*vault.Point, error) { return there.Points[:1], nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := backUpFurther(t.Context(), t, s, further); err != nil {
		t.Fatal(err)
	}
	if list := points(t, other); len(list) != 2 || list[0].Tree() != b.Point().Tree() {
		t.Errorf("%d points are there; what was forgotten came back", len(list))
	}
	if opened != 2 || closed != 2 {
		t.Errorf("opened %d times, closed %d times", opened, closed)
	}
}

// An interruption while copying leaves a point.
func TestInterruptedCopy(t *testing.T) {
	s := backuptest.New(t, "")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	b, run, err := backUpFurther(ctx, t, s, backup.Further{Name: "second", Open: func(context.Context) (*vault.Vault, func(), error) {
		interrupt()
		return nil, nil, ctx.Err()
	}})
	if !errors.Is(err, runbook.ErrInterrupted) || run.State != runbook.StateInterrupted || b.Point() == nil {
		t.Errorf("run is %v, %v", run.State, err)
	}
	if list := points(t, s.Vault); len(list) != 1 || s.Read("running") != "content of running" {
		t.Errorf("%d points; running: %s", len(list), s.Read("running"))
	}
}
