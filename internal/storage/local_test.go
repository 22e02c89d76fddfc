package storage_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/limit"
	"lifeboat/internal/storage/storagetest"
)

func open(t *testing.T, url string) storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), url, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLocalConformance(t *testing.T) {
	storagetest.Run(t, open, func(t *testing.T) string { return filepath.Join(t.TempDir(), "a", "store") })
}

// A directory may lie on a disk or a share that others need, too. The clock is the
// test's own.
func TestLocalLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const speed, size = 1 << 20, 10 << 20
		s, err := storage.OpenLocal(t.TempDir(), storage.Options{Limit: limit.New(speed, speed)})
		if err != nil {
			t.Fatal(err)
		}
		h := storage.Handle{Type: storage.Data, Name: strings.Repeat("a1", 32)}
		begin := time.Now()
		if err := s.Save(t.Context(), h, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("saved in %v", took)
		}
		begin = time.Now()
		if err := storage.ReadRange(t.Context(), s, h, make([]byte, size/2), 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("read in %v", took)
		}
	})
}

// Where the file system has no unnamed files, as over NFS and on old kernels.
func TestNamedTemporaryConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T, location string) storage.Store {
		s, err := storage.OpenLocal(location, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		storage.UseNamedTemporaries(s)
		return s
	}, func(t *testing.T) string { return filepath.Join(t.TempDir(), "store") })
}

const hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func TestLayoutAndModes(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "repo")
	s := open(t, "local:"+dir)
	for _, h := range []storage.Handle{{Type: storage.Config}, {Type: storage.Data, Name: hash}, {Type: storage.Key, Name: hash}} {
		if err := s.Save(t.Context(), h, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"config", "data/00/" + hash, "keys/" + hash, "locks", "snapshots", "index", "data/ff"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700 | os.ModeDir
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Foreign names in the directories, leftovers among them, are not listed.
func TestListIgnoresOthers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Save(t.Context(), storage.Handle{Type: storage.Data, Name: hash}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data/00/" + hash + "-tmp-1234", "data/00/README", "data/notes.txt", "data/zzz/x", "data/11/" + hash, "data/22/sub/x"} {
		p := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(p), 0o700)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "data/33"), 0o700)
	os.Mkdir(filepath.Join(dir, "data/33", "33"+hash[2:]), 0o700)
	n := 0
	err := s.List(t.Context(), storage.Data, func(storage.Info) error { n++; return nil })
	if err != nil || n != 1 {
		t.Errorf("%d files, %v", n, err)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	h := storage.Handle{Type: storage.Config}
	if err := open(t, dir).Save(t.Context(), h, []byte("x")); err != nil {
		t.Fatal(err)
	}
	s, err := storage.Open(t.Context(), dir, storage.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), storage.Handle{Type: storage.Key, Name: hash}, nil); !errors.Is(err, storage.ErrReadOnly) {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), h); !errors.Is(err, storage.ErrReadOnly) {
		t.Error(err)
	}
	if _, err := s.Stat(t.Context(), h); err != nil {
		t.Error(err)
	}
}

func TestOpenURLs(t *testing.T) {
	t.Chdir(t.TempDir())
	for url, want := range map[string]string{
		"/srv/repo":       "/srv/repo",
		"local:/srv/repo": "/srv/repo",
		"/srv/a:b":        "/srv/a:b",
		"local:s3:x":      "s3:x",
		"./s3:x":          "s3:x",
		"c:repo":          "c:repo",
	} {
		s, err := storage.Open(t.Context(), url, storage.Options{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := s.Location(); got != want && !strings.HasSuffix(got, "/"+want) {
			t.Errorf("%s lies at %s", url, got)
		}
	}
	for _, url := range []string{"s3:host/bucket", "sftp:user@host:/x", "rest:https://host/", "rclone:x:y", "https://host/x"} {
		_, err := storage.Open(t.Context(), url, storage.Options{})
		var unsupported *storage.UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "local:") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "local:"} {
		if _, err := storage.Open(t.Context(), url, storage.Options{}); err == nil {
			t.Errorf("%q was opened", url)
		}
	}
}

// A file system that is really full: nothing half-written stays.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs to mount a tmpfs: %s", out)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	s := open(t, dir)
	err := s.Save(t.Context(), storage.Handle{Type: storage.Data, Name: hash}, bytes.Repeat([]byte("x"), 2<<20))
	if !errors.Is(err, storage.ErrNoSpace) {
		t.Fatal(err)
	}
	n := 0
	if err := s.List(t.Context(), storage.Data, func(storage.Info) error { n++; return nil }); err != nil || n != 0 {
		t.Errorf("%d files, %v", n, err)
	}
	if err := s.Save(t.Context(), storage.Handle{Type: storage.Data, Name: hash}, bytes.Repeat([]byte("x"), 1<<19)); err != nil {
		t.Errorf("the failed file kept its space: %v", err)
	}
}
