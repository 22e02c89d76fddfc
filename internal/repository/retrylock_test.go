package repository

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"lifeboat/internal/storage"
)

// A lock of others is waited for as long as is asked for, and by nobody who could only
// wait for himself.
func TestRetryLock(t *testing.T) {
	t.Parallel()
	_, dir := newRepo(t)
	opts := cheap
	opts.RetryLock = time.Hour
	told := make(chan string, 9)
	ctx, cancel := context.WithCancel(t.Context())
	var r *Repository
	var id ID
	end := func() error { return r.removeFile(ctx, storage.Lock, id) }
	opts.Waiting = func(l *LockedError, _ time.Time) {
		told <- l.Lock.Hostname
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	store, err := storage.Open(ctx, dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err = Open(ctx, store, testPassword, opts); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	other := Lock{Time: time.Now(), Hostname: "other", PID: 1, Exclusive: true}
	if id, err = r.saveJSON(ctx, storage.Lock, other); err != nil {
		t.Fatal(err)
	}
	l, err := r.Lock(ctx, false)
	if err != nil || len(told) != 1 || <-told != "other" {
		t.Fatalf("after the other lock was given up: %v", err)
	}
	// Ours: there is no use in waiting for it.
	if _, err := r.Lock(ctx, true); !errors.Is(err, ErrLocked) || len(told) != 0 {
		t.Errorf("beside a lock of process %d: %v", os.Getpid(), err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	// An interruption ends the wait.
	if id, err = r.saveJSON(ctx, storage.Lock, other); err != nil {
		t.Fatal(err)
	}
	end = func() error { cancel(); return nil }
	if _, err := r.Lock(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
