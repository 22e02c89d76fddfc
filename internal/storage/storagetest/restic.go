package storagetest

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Restic is stock restic with a repository.
type Restic struct {
	program string
	url     string
	env     []string
	args    []string
	dir     string
}

// NewRestic prepares stock restic for a repository; env and args (global
// options) say how it is reached.
func NewRestic(t *testing.T, url string, env []string, args ...string) *Restic {
	t.Helper()
	r := &Restic{program: Need(t, "restic", "restic"), url: url, args: args, dir: t.TempDir()}
	r.env = append(os.Environ(), "RESTIC_PASSWORD=a password of the test", "RESTIC_REPOSITORY="+url,
		"RESTIC_CACHE_DIR="+filepath.Join(r.dir, "cache"), "RESTIC_PROGRESS_FPS=0")
	r.env = append(r.env, env...)
	return r
}

// Try runs a command of restic until ctx ends and returns what it says.
func (r *Restic) Try(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.program, append(append([]string{"--quiet"}, r.args...), args...)...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Run runs a command of restic that must succeed.
func (r *Restic) Run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.Try(t.Context(), args...)
	if err != nil {
		t.Fatalf("restic %v: %v\n%s", args, err, out)
	}
	return out
}

// Story has restic make a repository, back up twice, check every byte and
// restore; what comes back must be what went in.
func (r *Restic) Story(t *testing.T) {
	t.Helper()
	source := filepath.Join(r.dir, "source")
	files := map[string][]byte{
		"one":          []byte("one"),
		"deep/er/two":  noise(3 << 20),
		"deep/er/copy": noise(3 << 20),
		"empty":        nil,
	}
	for name, data := range files {
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.Run(t, "init", "--repository-version", "2")
	r.Run(t, "backup", source)
	if err := os.WriteFile(filepath.Join(source, "later"), noise(100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	files["later"] = noise(100_000)
	r.Run(t, "backup", source)
	r.Run(t, "check", "--read-data")
	target := filepath.Join(r.dir, "target")
	r.Run(t, "restore", "latest", "--target", target)
	restored := 0
	err := filepath.WalkDir(filepath.Join(target, source), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(filepath.Join(target, source), path)
		got, err := os.ReadFile(path)
		if want, known := files[name]; !known || !bytes.Equal(got, want) {
			t.Errorf("%s came back with %d bytes", name, len(got))
		}
		restored++
		return err
	})
	if err != nil || restored != len(files) {
		t.Errorf("%d files of %d came back: %v", restored, len(files), err)
	}
}
