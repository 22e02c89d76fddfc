package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/stall"
)

// Limit is how patient a store under RunRemote should be: long enough for a
// busy machine, short enough for a test.
var Limit = stall.Limit{Window: time.Second, Bytes: 4 << 10}

// Policy is how a store under RunRemote should repeat.
var Policy = retry.Policy{Attempts: 6, First: 10 * time.Millisecond, Most: 50 * time.Millisecond}

// Remote is a store behind a network, for RunRemote.
type Remote struct {
	// Proxy stands before the server.
	Proxy *Proxy
	// HTTP tells whether it understands the kind Status.
	HTTP bool
	// Open returns the store at a location that Location returned, reached
	// through the proxy with Limit, and repeating with Policy.
	Open     func(t *testing.T, location string) storage.Store
	Location func(t *testing.T) string
}

// RunRemote tests what a store makes of a bad network and a bad server.
func RunRemote(t *testing.T, r Remote) {
	tests := []struct {
		name string
		run  func(t *testing.T, r Remote, s storage.Store)
	}{
		{"truncated answers", testTruncated},
		{"lost answers", testLost},
		{"a storm", testStorm},
		{"a hanging server", testHang},
		{"a dripping server", testDrip},
		{"cancelled while it hangs", testCancelHanging},
		{"faults while many use it", testFaultsInParallel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := r.Open(t, r.Location(t))
			defer s.Close()
			defer r.Proxy.Fail(None, 0, 0)
			test.run(t, r, s)
		})
	}
}

func noise(size int) []byte {
	data := make([]byte, size)
	src := rand.NewChaCha8([32]byte{byte(size)})
	src.Read(data)
	return data
}

func (r Remote) wantHits(t *testing.T, n int) {
	t.Helper()
	if got := r.Proxy.Hits(); got < n {
		t.Errorf("the fault struck %d times, want at least %d: nothing was tested", got, n)
	}
}

func testTruncated(t *testing.T, r Remote, s storage.Store) {
	data := noise(3 << 20)
	h := save(t, s, storage.Data, data)
	for i := range 12 {
		save(t, s, storage.Index, []byte{byte(i)})
	}
	for _, after := range []int64{0, 100_000, 1 << 20} {
		r.Proxy.Fail(Cut, 2, after)
		if got := load(t, s, h); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d", len(data), len(got))
		}
		r.wantHits(t, 1)
		r.Proxy.Fail(Cut, 1, after)
		part := make([]byte, 2<<20)
		if err := storage.ReadRange(t.Context(), s, h, part, 1000); err != nil || !bytes.Equal(part, data[1000:1000+len(part)]) {
			t.Errorf("a range: %v", err)
		}
		r.wantHits(t, 1)
	}
	for _, after := range []int64{1, 80, 700} {
		r.Proxy.Fail(Cut, 2, after)
		if got := list(t, s, storage.Index); len(got) != 12 {
			t.Errorf("a list of 12 cut after %d bytes has %d files", after, len(got))
		}
		r.wantHits(t, 1)
	}
}

func testLost(t *testing.T, r Remote, s storage.Store) {
	for i := range 3 {
		data := noise(1000 + i)
		h := storage.Handle{Type: storage.Snapshot, Name: name(data)}
		r.Proxy.Fail(Lost, 1+i%2, 0)
		if err := s.Save(t.Context(), h, data); err != nil {
			t.Errorf("save: %v", err)
		}
		r.wantHits(t, 1)
		if got := load(t, s, h); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d", len(data), len(got))
		}
		if err := s.Save(t.Context(), h, data); !errors.Is(err, storage.ErrExists) {
			t.Errorf("save again: %v", err)
		}
		r.Proxy.Fail(Lost, 1+i%2, 0)
		if err := s.Remove(t.Context(), h); err != nil {
			t.Errorf("remove: %v", err)
		}
		r.wantHits(t, 1)
		wantNotFound(t, s, h)
	}
}

func testStorm(t *testing.T, r Remote, s storage.Store) {
	data := noise(1000)
	h := save(t, s, storage.Data, data)
	kinds := []Kind{Lost}
	if r.HTTP {
		kinds = []Kind{Status, Refuse}
	}
	for _, kind := range kinds {
		r.Proxy.Fail(kind, Policy.Attempts-2, 0)
		if got := load(t, s, h); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d", len(data), len(got))
		}
		r.Proxy.Fail(kind, Policy.Attempts-2, 0)
		save(t, s, storage.Key, fmt.Appendf(nil, "in a storm %d", kind))
		r.wantHits(t, Policy.Attempts-2)

		// One that does not end must not be taken for an answer about the file.
		r.Proxy.Fail(kind, 1<<20, 0)
		_, statErr := s.Stat(t.Context(), h)
		_, loadErr := storage.ReadAll(t.Context(), s, h, 1<<20)
		listErr := s.List(t.Context(), storage.Data, func(storage.Info) error { return nil })
		saveErr := s.Save(t.Context(), storage.Handle{Type: storage.Data, Name: name([]byte("x"))}, []byte("x"))
		removeErr := s.Remove(t.Context(), h)
		for op, err := range map[string]error{"stat": statErr, "load": loadErr, "list": listErr, "save": saveErr, "remove": removeErr} {
			if err == nil || !retry.Transient(err) {
				t.Errorf("%s in an endless storm: %v", op, err)
			}
		}
		r.Proxy.Fail(None, 0, 0)
		if got := load(t, s, h); !bytes.Equal(got, data) && kind != Lost {
			t.Errorf("after the storm: %d bytes came back as %d", len(data), len(got))
		}
	}
}

func testHang(t *testing.T, r Remote, s storage.Store) {
	data := noise(1 << 20)
	h := save(t, s, storage.Data, data)
	r.Proxy.Fail(Hang, 1, 0)
	if got := load(t, s, h); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back as %d", len(data), len(got))
	}
	r.wantHits(t, 1)
	r.Proxy.Fail(Hang, 1, 0)
	save(t, s, storage.Snapshot, noise(100))
	r.wantHits(t, 1)
}

func testDrip(t *testing.T, r Remote, s storage.Store) {
	data := noise(1 << 20)
	h := save(t, s, storage.Data, data)
	r.Proxy.Fail(Drip, 1, 0)
	if got := load(t, s, h); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back as %d", len(data), len(got))
	}
	r.wantHits(t, 1)
}

func testCancelHanging(t *testing.T, r Remote, s storage.Store) {
	data := noise(1000)
	h := save(t, s, storage.Data, data)
	never := noise(999)
	for op, fn := range map[string]func(ctx context.Context) error{
		"save": func(ctx context.Context) error {
			return s.Save(ctx, storage.Handle{Type: storage.Data, Name: name(never)}, never)
		},
		"load":   func(ctx context.Context) error { _, err := storage.ReadAll(ctx, s, h, 1<<20); return err },
		"stat":   func(ctx context.Context) error { _, err := s.Stat(ctx, h); return err },
		"remove": func(ctx context.Context) error { return s.Remove(ctx, h) },
		"list": func(ctx context.Context) error {
			return s.List(ctx, storage.Data, func(storage.Info) error { return nil })
		},
	} {
		r.Proxy.Fail(Hang, 1<<20, 0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for r.Proxy.Hits() == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if err := fn(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", op, err)
		}
		r.Proxy.Fail(None, 0, 0)
	}
}

func testFaultsInParallel(t *testing.T, r Remote, s storage.Store) {
	r.Proxy.Fail(Cut, 25, 50)
	var g sync.WaitGroup
	for i := range 6 {
		g.Go(func() {
			for j := range 5 {
				data := noise(10_000 + 10*i + j)
				h := storage.Handle{Type: storage.Data, Name: name(data)}
				if err := retried(func() error { return s.Save(t.Context(), h, data) }, storage.ErrExists); err != nil {
					t.Errorf("save: %v", err)
					continue
				}
				var got []byte
				err := retried(func() (err error) { got, err = storage.ReadAll(t.Context(), s, h, 1<<20); return err }, nil)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("load: %v", err)
				}
			}
		})
	}
	g.Wait()
	r.Proxy.Fail(None, 0, 0)
	if got := list(t, s, storage.Data); len(got) != 30 {
		t.Errorf("%d files, want 30", len(got))
	}
}

// retried bears with faults that happened to strike one operation too often.
func retried(fn func() error, fine error) error {
	err := fn()
	for range 5 {
		if !retry.Transient(err) {
			break
		}
		err = fn()
	}
	if fine != nil && errors.Is(err, fine) {
		return nil
	}
	return err
}
