package retry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/storagetest"
)

// flaky fails as often as it is told to, before or after it has done its work.
type flaky struct {
	storage.Store
	before, after int
	err           error
	calls         int
	cut           int64 // answers of Load break off after so many bytes
}

func (f *flaky) fail(do func() error) error {
	f.calls++
	if f.before > 0 {
		f.before--
		return f.err
	}
	err := do()
	if f.after > 0 && err == nil {
		f.after--
		return f.err
	}
	return err
}

func (f *flaky) Save(ctx context.Context, h storage.Handle, data []byte) error {
	return f.fail(func() error { return f.Store.Save(ctx, h, data) })
}

func (f *flaky) Remove(ctx context.Context, h storage.Handle) error {
	return f.fail(func() error { return f.Store.Remove(ctx, h) })
}

func (f *flaky) Stat(ctx context.Context, h storage.Handle) (info storage.Info, err error) {
	err = f.fail(func() error { info, err = f.Store.Stat(ctx, h); return err })
	return info, err
}

func (f *flaky) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	return f.fail(func() error { return f.Store.List(ctx, t, visit) })
}

func (f *flaky) Load(ctx context.Context, h storage.Handle, offset, length int64) (r io.ReadCloser, err error) {
	err = f.fail(func() error { r, err = f.Store.Load(ctx, h, offset, length); return err })
	if err != nil {
		return nil, err
	}
	if f.cut > 0 {
		return &cutReader{ReadCloser: r, left: f.cut}, nil
	}
	return r, nil
}

type cutReader struct {
	io.ReadCloser
	left int64
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, storage.ErrTruncated
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func local(t *testing.T) storage.Store {
	t.Helper()
	s, err := storage.OpenLocal(filepath.Join(t.TempDir(), "store"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func handle(data []byte) storage.Handle {
	sum := sha256.Sum256(data)
	return storage.Handle{Type: storage.Data, Name: hex.EncodeToString(sum[:])}
}

var errBroken = errors.New("connection reset")

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T, location string) storage.Store {
		s, err := storage.OpenLocal(location, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return retry.Strict(retry.New(s, retry.Policy{}))
	}, func(t *testing.T) string { return filepath.Join(t.TempDir(), "store") })
}

func TestLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: local(t), after: 1, err: errBroken}
		s := retry.New(f, retry.Policy{})
		data := []byte("content")
		h := handle(data)
		if err := s.Save(t.Context(), h, data); err != nil || f.calls < 2 {
			t.Errorf("save whose answer was lost: %v", err)
		}
		if err := retry.Strict(s).Save(t.Context(), h, data); !errors.Is(err, storage.ErrExists) {
			t.Errorf("save of what was there before: %v", err)
		}
		f.after = 1
		if err := s.Remove(t.Context(), h); err != nil {
			t.Errorf("remove whose answer was lost: %v", err)
		}
		if err := s.Remove(t.Context(), h); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("remove of nothing: %v", err)
		}
		// Somebody else was first, and wrote something else of the same length.
		config := storage.Handle{Type: storage.Config}
		if err := f.Store.Save(t.Context(), config, []byte("theirs")); err != nil {
			t.Fatal(err)
		}
		f.before = 1
		if err := s.Save(t.Context(), config, []byte("mine!!")); !errors.Is(err, storage.ErrExists) {
			t.Errorf("another's file: %v", err)
		}
	})
}

// What repeats requests below us answers once for two: the first attempt finds what
// it has just written itself.
func TestDoubledAnswer(t *testing.T) {
	l := local(t)
	f := &flaky{Store: l, err: errBroken}
	s := retry.New(f, retry.Policy{Attempts: 1})
	data := []byte("content")
	for _, kind := range storage.Types {
		h := storage.Handle{Type: kind, Name: handle(data).Name}
		if err := l.Save(t.Context(), h, data); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(t.Context(), h, data); err != nil {
			t.Errorf("%s with our content: %v", h, err)
		}
		for _, other := range []string{"", "contents", "CONTENT"} {
			if err := s.Save(t.Context(), h, []byte(other)); !errors.Is(err, storage.ErrExists) {
				t.Errorf("%s with other content: %v", h, err)
			}
		}
	}
	// A config names nobody's content: who makes a repository must be the first.
	config := storage.Handle{Type: storage.Config}
	if err := l.Save(t.Context(), config, data); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), config, data); !errors.Is(err, storage.ErrExists) {
		t.Errorf("a config that is there: %v", err)
	}
}

func TestStorms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: local(t), err: errBroken}
		var pauses []time.Duration
		s := retry.New(f, retry.Policy{Attempts: 5, Notify: func(f retry.Failure) { pauses = append(pauses, f.Pause) }})
		data := []byte("content")
		h := handle(data)
		for _, op := range []func() error{
			func() error { return s.Save(t.Context(), h, data) },
			func() error { _, err := s.Stat(t.Context(), h); return err },
			func() error { return s.List(t.Context(), storage.Data, func(storage.Info) error { return nil }) },
			func() error { _, err := storage.ReadAll(t.Context(), s, h, 100); return err },
			func() error { return s.Remove(t.Context(), h) },
		} {
			pauses = nil
			f.before = 5
			if err := op(); !errors.Is(err, errBroken) || len(pauses) != 4 {
				t.Errorf("too long a storm: %v after %v", err, pauses)
			}
			f.before = 4
			if err := op(); err != nil {
				t.Errorf("a storm: %v", err)
			}
			for i := 1; i < 4; i++ {
				if first := retry.Default.First << i; pauses[i] < first/2 || pauses[i] > first {
					t.Errorf("pauses %v", pauses)
				}
			}
		}
	})
}

func TestReadGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: local(t), cut: 1 << 20}
		data := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
		h := handle(data)
		if err := f.Store.Save(t.Context(), h, data); err != nil {
			t.Fatal(err)
		}
		s := retry.New(f, retry.Policy{Attempts: 3})
		got, err := storage.ReadAll(t.Context(), s, h, 100<<20)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		part := make([]byte, 3<<20)
		if err := storage.ReadRange(t.Context(), s, h, part, 7); err != nil || !bytes.Equal(part, data[7:7+len(part)]) {
			t.Error(err)
		}
		f.cut = 10
		f.calls = 0
		if err := storage.ReadRange(t.Context(), s, h, part, 7); !errors.Is(err, storage.ErrTruncated) || errors.Is(err, storage.ErrShort) || f.calls != 3 {
			t.Errorf("a server that sends ten bytes a request: %v after %d calls", err, f.calls)
		}
	})
}

func TestListOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: local(t), err: errBroken}
		s := retry.New(f, retry.Policy{})
		for i := range 10 {
			data := []byte{byte(i)}
			if err := s.Save(t.Context(), handle(data), data); err != nil {
				t.Fatal(err)
			}
		}
		f.after = 2
		visits := 0
		if err := s.List(t.Context(), storage.Data, func(storage.Info) error { visits++; return nil }); err != nil || visits != 10 {
			t.Errorf("%d visits, %v", visits, err)
		}
		calls := f.calls
		if err := s.List(t.Context(), storage.Data, func(storage.Info) error { return errBroken }); err != errBroken || f.calls != calls+1 {
			t.Errorf("an error of visit: %v", err)
		}
	})
}

type asking struct{ error }

func (asking) RetryAfter() time.Duration { return 20 * time.Second }

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: local(t), before: 1, err: asking{errBroken}}
		var got time.Duration
		s := retry.New(f, retry.Policy{Notify: func(f retry.Failure) { got = f.Pause }})
		if _, err := s.Stat(t.Context(), handle(nil)); !errors.Is(err, storage.ErrNotFound) || got != 20*time.Second {
			t.Errorf("%v after %v", err, got)
		}
	})
}

func TestCancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := &flaky{Store: local(t), before: 1 << 20, err: errBroken}
		_, err := retry.New(f, retry.Policy{}).Stat(ctx, handle(nil))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errBroken) {
			t.Errorf("%v", err)
		}
	})
}

func TestTransient(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errBroken, true},
		{storage.ErrTruncated, true},
		{fmt.Errorf("x: %w", storage.ErrNotFound), false},
		{storage.ErrShort, false},
		{fs.ErrPermission, false},
		{context.Canceled, false},
		{retry.Permanent(errBroken), false},
		{&net.DNSError{IsNotFound: true}, false},
		{&net.DNSError{IsTimeout: true}, true},
	} {
		if got := retry.Transient(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
