package recovery

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// only is a task that has a directory and nothing else.
type only struct {
	runbook.Task
	dir  string
	kept any
}

func (o *only) Dir() string                    { return o.dir }
func (*only) RunID() string                    { return "run1" }
func (o *only) Kept(string, any) (bool, error) { return false, nil }
func (o *only) Keep(_ string, value any) error { o.kept = value; return nil }
func (*only) Logf(string, ...any)              {}
func (*only) Warnf(string, ...any)             {}
func (*only) Check(runbook.Check)              {}

// A part in the machine's own files is renamed, and is as it was after the undo.
func TestRenameBack(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "etc/hostname")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("old\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	p := &product.Product{Rename: func(_ context.Context, env product.RenameEnv) (*product.Rename, error) {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), env.From) {
			return &product.Rename{}, err
		}
		return &product.Rename{Changes: []string{"one"}, Apply: func(_ context.Context, aside string) error {
			return env.Host.WriteFile("/etc/hostname", []byte("new\n"), host.WriteOptions{Mode: 0o644, UID: -1, GID: -1, Aside: filepath.Join(aside, "/etc/hostname")})
		}}, nil
	}}
	r := &Recovery{Options: Options{Host: h, Profile: &profile.Profile{}, Manifest: &vault.Manifest{}, Catalog: &Catalog{}}}
	opts := &RenameOptions{From: "old", To: "new", Part: "host name", Own: true}
	task := &only{dir: t.TempDir()}
	look := func(want string) {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil || string(text) != want {
			t.Fatalf("the file holds %q, %v", text, err)
		}
	}
	plan := func(ctx context.Context) error {
		plan, err := p.Rename(ctx, product.RenameEnv{Host: h, From: "old"})
		if err != nil {
			return err
		}
		return plan.Apply(ctx, asideOf(task, opts))
	}
	if err := plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	look("new\n")
	for range 2 { // also when it was killed after it
		if err := r.renameBack(t.Context(), task, opts); err != nil {
			t.Fatal(err)
		}
		look("old\n")
	}
	// What somebody has made of it since is kept, and named.
	if err := plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.since = time.Now().Add(-time.Hour) // any later change counts
	if err := os.WriteFile(file, []byte("edited\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(root, "etc/.lifeboat-found-run1.written/hostname")
	for range 2 {
		if err := r.renameBack(t.Context(), task, opts); err != nil {
			t.Fatal(err)
		}
		look("old\n")
		if text, err := os.ReadFile(kept); err != nil || string(text) != "edited\n" {
			t.Errorf("kept: %q, %v", text, err)
		}
	}
	if found, ok := task.kept.(map[string][]string); !ok || !slices.Equal(found["renamed host name"], []string{kept}) {
		t.Errorf("noted: %v", task.kept)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
}
