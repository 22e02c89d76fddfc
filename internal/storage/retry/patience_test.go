package retry_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
)

// hanging is a store that answers nothing until it is told not to wait.
type hanging struct{ storage.Store }

func (hanging) Stat(ctx context.Context, _ storage.Handle) (storage.Info, error) {
	<-ctx.Done()
	return storage.Info{}, ctx.Err()
}

func (hanging) Load(ctx context.Context, _ storage.Handle, _, _ int64) (io.ReadCloser, error) {
	return &hangingReader{ctx}, nil
}

type hangingReader struct{ ctx context.Context } //nolint:containedctx // it is what is waited for

func (r *hangingReader) Read([]byte) (int, error) { <-r.ctx.Done(); return 0, r.ctx.Err() }
func (r *hangingReader) Close() error             { return nil }

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: local(t), before: 1 << 20, err: errBroken}
		var told []retry.Failure
		s := retry.New(f, retry.Policy{For: time.Minute, Notify: func(f retry.Failure) { told = append(told, f) }})
		begin := time.Now()
		_, err := s.Stat(t.Context(), handle(nil))
		var given *retry.GivenUpError
		if !errors.As(err, &given) || !errors.Is(err, errBroken) || given.Store != s.Location() || given.Attempts != f.calls {
			t.Fatalf("%v after %d calls", err, f.calls)
		}
		// Only the clock of the test has passed.
		if took := time.Since(begin); took > time.Minute || took < 30*time.Second {
			t.Errorf("it took %v", took)
		}
		for i, f := range told {
			if f.Attempt != i+2 || f.Err != errBroken || f.Pause <= 0 || f.Store != s.Location() {
				t.Errorf("told %+v", f)
			}
		}
		if len(told) != f.calls-1 {
			t.Errorf("told %d times of %d calls", len(told), f.calls)
		}
	})
}

func TestInterruptEndsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		f := &flaky{Store: local(t), before: 1 << 20, err: errBroken}
		s := retry.New(f, retry.Policy{Interrupt: ctx, Notify: func(f retry.Failure) {
			if f.Attempt == 4 {
				interrupt()
			}
		}})
		defer s.Close()
		// The caller's own context does not end: it tidies up.
		if _, err := s.Stat(t.Context(), handle(nil)); err != errBroken || f.calls != 3 {
			t.Errorf("while waiting: %v after %d calls", err, f.calls)
		}
		f.calls = 0
		if _, err := s.Stat(t.Context(), handle(nil)); err != errBroken || f.calls != 1 {
			t.Errorf("afterwards: %v after %d calls", err, f.calls)
		}
		f.before = 0
		if _, err := s.Stat(t.Context(), handle(nil)); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a store that works again: %v", err)
		}
	})
}

func TestGraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		s := retry.New(hanging{local(t)}, retry.Policy{Interrupt: ctx, Grace: 10 * time.Second})
		defer s.Close()
		time.AfterFunc(time.Hour, interrupt)
		begin := time.Now()
		if _, err := s.Stat(t.Context(), handle(nil)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Hour+10*time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := storage.ReadAll(t.Context(), s, handle(nil), 10); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Hour+10*time.Second {
			t.Errorf("after the grace nothing is waited for: %v", took)
		}
	})
}
