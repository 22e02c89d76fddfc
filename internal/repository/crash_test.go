package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/repository/cache"
	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// The test binary runs itself as a writer that is then killed.
const writerEnv = "LIFEBOAT_TEST_WRITER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(writerEnv); spec != "" {
		write := killedWriter
		if strings.HasPrefix(spec, changerSpec) {
			write = killedChanger
		}
		if err := write(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(cacheEnv); dir != "" {
		testCache = cache.Options{Dir: dir, Trees: true}
		cheap.Cache = testCache
	}
	os.Exit(m.Run())
}

// killedWriter backs up a tree and kills itself before the n-th operation on the store.
func killedWriter(spec string) error {
	part := strings.Split(spec, "|")
	dir, tree := part[0], part[1]
	n, err := strconv.Atoi(part[2])
	if err != nil {
		return err
	}
	ctx := context.Background()
	store, err := storage.Open(ctx, dir, storage.Options{})
	if err != nil {
		return err
	}
	f := faulty.Wrap(store)
	r, err := Open(ctx, f, testPassword, Options{PackSize: 256 << 10})
	if err != nil {
		return err
	}
	start := f.Calls()
	f.Before = func(call int, _ string, _ storage.Handle) error {
		if call-start == n {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	s, err := r.Begin(ctx, SessionOptions{})
	if err != nil {
		return err
	}
	if _, err := s.AddPath(ctx, tree, PathOptions{}); err != nil {
		return err
	}
	_, err = s.Commit(ctx, SnapshotInfo{})
	return err
}

func runWriter(t *testing.T, dir, tree string, n int) error {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", writerEnv, dir, tree, n))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
		t.Fatalf("the writer failed by itself: %v\n%s", err, out)
	}
	return err
}

// A backup killed before any operation on the store leaves a repository that
// stock restic and we find consistent, and the next backup completes.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for i := range 30 {
		write(t, filepath.Join(tree, fmt.Sprint(i%4), fmt.Sprint(i)), random(uint64(i), 50_000))
	}
	store, _ := storage.Open(t.Context(), filepath.Join(t.TempDir(), "repo"), storage.Options{})
	r, err := Create(t.Context(), store, testPassword, Options{Scrypt: cheap.Scrypt}) // under the real host name: stale locks are ours
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	dir := store.Location()
	for n := 1; ; n++ {
		// Every run has something new to store.
		write(t, filepath.Join(tree, "new"), random(uint64(1000+n), 400_000))
		err := runWriter(t, dir, tree, n)
		r := openRepo(t, dir)
		r.opts.NoLock = true
		report := check(t, r, CheckOptions{ReadData: n%8 == 0})
		if report.Err() != nil {
			t.Fatalf("killed at %d: %v", n, report.Findings)
		}
		if n%8 == 0 || err == nil {
			restic(t, dir, "unlock")
			resticCheck(t, dir)
		}
		if err == nil { // it had no n operations to do
			if n < 10 || report.Snapshots == 0 {
				t.Errorf("after %d operations there are %d snapshots", n, report.Snapshots)
			}
			return
		}
		if n > 100 {
			t.Fatal("the writer never ends")
		}
	}
}

// The same at moments that have nothing to do with the store.
func TestKilledAnytime(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for i := range 60 {
		write(t, filepath.Join(tree, fmt.Sprint(i)), random(uint64(i), 300_000))
	}
	store, _ := storage.Open(t.Context(), filepath.Join(t.TempDir(), "repo"), storage.Options{})
	r, err := Create(t.Context(), store, testPassword, Options{Scrypt: cheap.Scrypt})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	dir := store.Location()
	for i := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", writerEnv, dir, tree, 0))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(200+i*40) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		r := openRepo(t, dir)
		r.opts.NoLock = true
		if report := check(t, r, CheckOptions{ReadData: true}); report.Err() != nil {
			t.Fatalf("%v", report.Findings)
		}
	}
	restic(t, dir, "unlock")
	resticCheck(t, dir)
}

// The store fails at every single operation: the session reports it, holds no
// lock, and what is there stays sound.
func TestStoreFailsAnywhere(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for i := range 10 {
		write(t, filepath.Join(tree, fmt.Sprint(i)), random(uint64(i), 100_000))
	}
	broken := errors.New("the cable was pulled")
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "repo")
		createRepo(t, dir).Close()
		store, _ := storage.Open(t.Context(), dir, storage.Options{})
		f := faulty.Wrap(store)
		r, err := Open(t.Context(), f, testPassword, Options{PackSize: 200_000, NoLock: n > 3})
		if err != nil {
			t.Fatal(err)
		}
		start := f.Calls()
		f.Before = func(call int, op string, h storage.Handle) error {
			if call-start == n && op != "remove" {
				return broken
			}
			return nil
		}
		err = func() error {
			s, err := r.Begin(t.Context(), SessionOptions{})
			if err != nil {
				return err
			}
			if _, err := s.AddPath(t.Context(), tree, PathOptions{}); err != nil {
				return errors.Join(err, s.Abort(t.Context()))
			}
			_, err = s.Commit(t.Context(), SnapshotInfo{})
			return err
		}()
		if err != nil && !errors.Is(err, broken) {
			t.Errorf("failing at %d: %v", n, err)
		}
		f.Before = nil
		if locks, err := r.Locks(t.Context()); err != nil || len(locks) != 0 {
			t.Errorf("failing at %d: locks %v, %v", n, locks, err)
		}
		again := openRepo(t, dir)
		again.opts.NoLock = true
		report := check(t, again, CheckOptions{ReadData: true})
		if report.Err() != nil {
			t.Errorf("failing at %d: %v", n, report.Findings)
		}
		if done := f.Calls()-start < n; done {
			if err != nil || report.Snapshots != 1 || n < 8 {
				t.Errorf("after %d operations: %v", n, err)
			}
			break
		}
	}
}

// The store is full after so many bytes.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	write(t, filepath.Join(tree, "big"), random(1, 5<<20))
	for _, space := range []int64{0, 100, 100_000, 3 << 20, 5<<20 + 1000} {
		dir := filepath.Join(t.TempDir(), "repo")
		createRepo(t, dir).Close()
		store, _ := storage.Open(t.Context(), dir, storage.Options{})
		f := faulty.Wrap(store)
		r, err := Open(t.Context(), f, testPassword, Options{PackSize: 1 << 20, NoLock: true})
		if err != nil {
			t.Fatal(err)
		}
		s := begin(t, r, nil)
		f.Space(space)
		_, err = s.AddPath(t.Context(), tree, PathOptions{})
		if err == nil {
			_, err = s.Commit(t.Context(), SnapshotInfo{})
		} else {
			f.Space(-1)
			s.Abort(t.Context())
		}
		if !errors.Is(err, storage.ErrNoSpace) {
			t.Errorf("with %d bytes: %v", space, err)
		}
		f.Space(-1)
		if report := check(t, r, CheckOptions{ReadData: true}); report.Err() != nil || report.Snapshots != 0 {
			t.Errorf("with %d bytes: %+v", space, report)
		}
		backup(t, r, nil, tree)
	}
}

// What is read wrongly is never believed: bits turned over, ends cut off.
func TestStoreLies(t *testing.T) {
	t.Parallel()
	dir, tree := damagedRepo(t)
	for name, lie := range map[string]func(data []byte) []byte{
		"flipped": func(data []byte) []byte {
			if len(data) > 0 {
				data[len(data)/2] ^= 1
			}
			return data
		},
		"short": func(data []byte) []byte { return data[:len(data)/2] },
		"empty": func([]byte) []byte { return nil },
	} {
		for _, kind := range []storage.Type{storage.Config, storage.Key, storage.Snapshot, storage.Index, storage.Data} {
			t.Run(name+" "+kind.String(), func(t *testing.T) {
				store, _ := storage.Open(t.Context(), dir, storage.Options{})
				f := faulty.Wrap(store)
				f.OnLoad = func(h storage.Handle, _ int64, data []byte) []byte {
					if h.Type == kind {
						return lie(data)
					}
					return data
				}
				err := func() error {
					r, err := Open(t.Context(), f, testPassword, Options{NoLock: true})
					if err != nil {
						return err
					}
					snaps, err := r.Snapshots(t.Context())
					if err != nil {
						return err
					}
					_, err = r.Restore(t.Context(), snaps[0], tree, filepath.Join(t.TempDir(), "out"), RestoreOptions{})
					return err
				}()
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}
