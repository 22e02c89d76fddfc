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

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	odd := []byte("p#ss 'word' \"quoted\" ü")
	id, err := r.AddKey(t.Context(), odd)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := r.Keys(t.Context())
	if err != nil || len(keys) != 2 || !keys[0].Current || keys[1].ID != id || keys[1].Hostname != "testhost" {
		t.Errorf("%+v, %v", keys, err)
	}
	store, _ := storage.Open(t.Context(), dir, storage.Options{})
	other, err := Open(t.Context(), store, odd, cheap)
	if err != nil || other.ID() != r.ID() {
		t.Fatal(err)
	}
	if err := r.RemoveKey(t.Context(), keys[0].ID); err == nil {
		t.Error("the key in use was removed")
	}
	if err := other.RemoveKey(t.Context(), keys[0].ID); err != nil {
		t.Error(err)
	}
	if err := other.RemoveKey(t.Context(), id); !errors.Is(err, ErrLastKey) {
		t.Errorf("%v", err)
	}
	if err := other.RemoveKey(t.Context(), ID{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), store, testPassword, cheap); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("%v", err)
	}
}

// openWith opens a repository with a password.
func openWith(t *testing.T, dir, password string) (*Repository, error) {
	t.Helper()
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), store, []byte(password), Options{Scrypt: cheap.Scrypt, NoLock: true})
	if err == nil {
		t.Cleanup(func() { r.Close() })
	}
	return r, err
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	old := r.keyID
	if _, err := r.ChangePassword(t.Context(), testPassword); !errors.Is(err, ErrKeyExists) {
		t.Errorf("to the same: %v", err)
	}
	if _, err := r.ChangePassword(t.Context(), nil); err == nil {
		t.Error("to none")
	}
	if _, err := r.AddKey(t.Context(), testPassword); !errors.Is(err, ErrKeyExists) {
		t.Errorf("added twice: %v", err)
	}
	id, err := r.ChangePassword(t.Context(), []byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := r.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != id || !keys[0].Current || id == old {
		t.Errorf("%+v, %v", keys, err)
	}
	if _, err := openWith(t, dir, string(testPassword)); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := openWith(t, dir, "another"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if locks, err := r.Locks(t.Context()); err != nil || len(locks) != 0 {
		t.Errorf("locks %v, %v", locks, err)
	}
	// A name that begins no key, and one that begins it.
	if found, err := r.FindKey(t.Context(), id.Short()); err != nil || found != id {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := r.FindKey(t.Context(), ""); !errors.Is(err, ErrNoKey) {
		t.Errorf("%v", err)
	}
}

// A store that lets nothing be removed leaves both passwords, and says so.
func TestChangePasswordAppendOnly(t *testing.T) {
	t.Parallel()
	_, dir := newRepo(t)
	store, _ := storage.Open(t.Context(), dir, storage.Options{})
	f := faulty.Wrap(store)
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "remove" && h.Type != storage.Lock {
			return os.ErrPermission
		}
		return nil
	}
	r, err := Open(t.Context(), f, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.ChangePassword(t.Context(), []byte("another"))
	if id.IsZero() || !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "the old one still does") {
		t.Errorf("%v, %v", id, err)
	}
	for _, password := range []string{string(testPassword), "another"} {
		if _, err := openWith(t, dir, password); err != nil {
			t.Errorf("%s: %v", password, err)
		}
	}
}

// Nobody is locked out by two that remove each other's key.
func TestRemoveEachOther(t *testing.T) {
	t.Parallel()
	one, dir := newRepo(t)
	first := one.keyID
	second, err := one.AddKey(t.Context(), []byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.AddKey(t.Context(), []byte("third")); err != nil {
		t.Fatal(err)
	}
	other, err := openWith(t, dir, "second")
	if err != nil {
		t.Fatal(err)
	}
	if err := one.RemoveKey(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if err := other.RemoveKey(t.Context(), first); err == nil {
		t.Error("one who has no key any more removed the other's")
	}
	if _, err := openWith(t, dir, string(testPassword)); err != nil {
		t.Error(err)
	}
}

func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	for i := 1; i < maxKeys; i++ {
		if _, err := r.addKey(t.Context(), "", fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.AddKey(t.Context(), []byte("one more")); err == nil || !strings.Contains(err.Error(), "remove one first") {
		t.Errorf("%v", err)
	}
	for i := 1; i < maxKeys; i += 10 {
		if _, err := openWith(t, dir, strconv.Itoa(i)); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
}

// changerSpec begins what makes the test binary change a password and be killed.
const changerSpec = "password|"

// killedChanger changes the password and kills itself before the n-th operation
// on the store.
func killedChanger(spec string) error {
	part := strings.Split(spec, "|")
	n, err := strconv.Atoi(part[2])
	if err != nil {
		return err
	}
	ctx := context.Background()
	store, err := storage.Open(ctx, part[1], storage.Options{})
	if err != nil {
		return err
	}
	f := faulty.Wrap(store)
	r, err := Open(ctx, f, testPassword, Options{Scrypt: cheap.Scrypt})
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
	_, err = r.ChangePassword(ctx, []byte("another"))
	return err
}

// A change of the password that is killed at any moment leaves one that works,
// and the same call completes it.
func TestKilledChange(t *testing.T) {
	t.Parallel()
	saw := map[string]int{}
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "repo")
		createRepo(t, dir).Close()
		run := func(n int) error {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s%s|%d", writerEnv, changerSpec, dir, n))
			out, err := cmd.CombinedOutput()
			if err != nil && len(out) > 0 {
				return fmt.Errorf("%w: %s", err, out)
			}
			return err
		}
		killed := run(n)
		_, old := openWith(t, dir, string(testPassword))
		_, fresh := openWith(t, dir, "another")
		saw[fmt.Sprint("old ", old == nil, ", new ", fresh == nil)]++
		if old != nil && fresh != nil {
			t.Fatalf("killed at %d: %v, %v", n, old, fresh)
		}
		if killed == nil {
			if n < 8 || old == nil || fresh != nil {
				t.Errorf("after %d operations: old %v, new %v", n, old, fresh)
			}
			break
		}
		if n > 100 {
			t.Fatal("the change never ends")
		}
		if old == nil {
			if err := run(0); err != nil {
				t.Errorf("repeated after a kill at %d: %v", n, err)
			}
		}
		again, err := openWith(t, dir, "another")
		if err != nil {
			t.Fatalf("killed at %d and repeated: %v", n, err)
		}
		if keys, err := again.Keys(t.Context()); err != nil || len(keys) != 1 {
			t.Errorf("killed at %d and repeated: %d keys, %v", n, len(keys), err)
		}
	}
	for _, state := range []string{"old true, new false", "old true, new true", "old false, new true"} {
		if saw[state] == 0 {
			t.Errorf("no kill left %q: %v", state, saw)
		}
	}
}

// Stock restic opens with the keys that are added here, and the reverse.
func TestKeysAndRestic(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	backup(t, r, nil, t.TempDir())
	if _, err := r.AddKey(t.Context(), []byte("ours")); err != nil {
		t.Fatal(err)
	}
	as := func(password string, args ...string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "password")
		write(t, file, []byte(password+"\n"))
		return restic(t, dir, append([]string{"--password-file", file}, args...)...)
	}
	next := func(password string) string {
		file := filepath.Join(t.TempDir(), "new")
		write(t, file, []byte(password))
		return file
	}
	as("ours", "check")
	as("ours", "key", "add", "--new-password-file", next("theirs"))
	theirs, err := openWith(t, dir, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := theirs.Keys(t.Context()); err != nil || len(keys) != 3 {
		t.Errorf("%+v, %v", keys, err)
	}
	as("theirs", "key", "passwd", "--new-password-file", next("changed"))
	changed, err := openWith(t, dir, "changed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openWith(t, dir, "theirs"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("%v", err)
	}
	if _, err := changed.ChangePassword(t.Context(), []byte("once more")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddKeyFor(t.Context(), "recovery kit of 2026-11-21 (7F3K)", []byte("paper")); err != nil {
		t.Fatal(err)
	}
	if list := as("paper", "key", "list"); strings.Count(list, "testhost") < 2 || !strings.Contains(list, "recovery kit of 2026-11-21 (7F3K)") {
		t.Errorf("restic key list: %s", list)
	}
	as("once more", "check", "--read-data")
}
