package guard

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKilledWhileStopping: what stops the services must not outlive the start.
func TestKilledWhileStopping(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "slow"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	v := start(t, dir, nil, nil)
	v.reaches(t, "begin")
	until(t, func() bool { return notes(dir) == "stopping" })
	v.kill(unix.SIGKILL)
	v.gone()
	settle(t, dir)
	wantNotes(t, dir, "stopping start")
	if all := records(t, dir); len(all) != 0 {
		t.Errorf("records left: %+v", all)
	}
}

func TestStopIsCancelled(t *testing.T) {
	dir := t.TempDir()
	g, err := Protect(t.Context(), options(dir, started(dir)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "slow"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for notes(dir) != "stopping" {
			time.Sleep(time.Millisecond)
		}
	}()
	if err := g.Stop(ctx, []string{"sh", "-c", stopped(dir)}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := g.Stop(ctx, []string{"sh", "-c", stopped(dir)}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := g.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNotes(t, dir, "stopping start")
}

func TestFailingStop(t *testing.T) {
	dir := t.TempDir()
	g, err := Protect(t.Context(), options(dir, started(dir)))
	if err != nil {
		t.Fatal(err)
	}
	err = g.Stop(t.Context(), []string{"sh", "-c", "echo no such service >&2; exit 5"})
	if err == nil || !strings.Contains(err.Error(), "no such service") || !strings.Contains(err.Error(), "exit status 5") {
		t.Errorf("%v", err)
	}
	if err := g.Stop(t.Context(), []string{"sh", "-c", stopped(dir)}); err != nil {
		t.Error(err)
	}
	if err := g.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNotes(t, dir, "stop start")
	if err := g.Stop(t.Context(), []string{"true"}); err == nil {
		t.Error("stopped without a guard")
	}
}
