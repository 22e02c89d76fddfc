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

// Limit is how patient a store under RunRemote should be: long enough for a very
// busy machine, short enough for a test.
var Limit = stall.Limit{Window: 4 * time.Second, Bytes: 16 << 10}

// Policy is how a store under RunRemote should repeat.
var Policy = retry.Policy{Attempts: 6, First: 10 * time.Millisecond, Most: 50 * time.Millisecond}

// Remote is a store behind a network, for RunRemote.
type Remote struct {
	// HTTP tells whether the proxies understand the kind Status.
	HTTP bool
	// Start returns a fresh store, which reaches its server through a proxy of
	// its own, with Limit, and repeats with Policy.
	Start func(t *testing.T) (*Proxy, storage.Store)
}

// network is what one test of RunRemote plays with.
type network struct {
	*Proxy
	http bool
}

// RunRemote tests what a store makes of a bad network and a bad server.
func RunRemote(t *testing.T, r Remote) {
	tests := []struct {
		name string
		run  func(t *testing.T, n network, s storage.Store)
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
			t.Parallel() // most of the time is spent waiting
			proxy, s := r.Start(t)
			defer s.Close()
			defer proxy.Fail(None, 0, 0)
			test.run(t, network{proxy, r.HTTP}, s)
		})
	}
}

func noise(size int) []byte {
	data := make([]byte, size)
	src := rand.NewChaCha8([32]byte{byte(size)})
	src.Read(data)
	return data
}

func (n network) wantHits(t *testing.T, least int) {
	t.Helper()
	if got := n.Hits(); got < least {
		t.Errorf("the fault struck %d times, want at least %d: nothing was tested", got, least)
	}
}

func testTruncated(t *testing.T, n network, s storage.Store) {
	data := noise(3 << 20)
	h := save(t, s, storage.Data, data)
	for i := range 12 {
		save(t, s, storage.Index, []byte{byte(i)})
	}
	for _, after := range []int64{0, 100_000, 1 << 20} {
		n.Fail(Cut, 2, after)
		if got := load(t, s, h); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d", len(data), len(got))
		}
		n.wantHits(t, 1)
		n.Fail(Cut, 1, after)
		part := make([]byte, 2<<20)
		if err := storage.ReadRange(t.Context(), s, h, part, 1000); err != nil || !bytes.Equal(part, data[1000:1000+len(part)]) {
			t.Errorf("a range: %v", err)
		}
		n.wantHits(t, 1)
	}
	for _, after := range []int64{1, 80, 700} {
		n.Fail(Cut, 2, after)
		if got := list(t, s, storage.Index); len(got) != 12 {
			t.Errorf("a list of 12 cut after %d bytes has %d files", after, len(got))
		}
		n.wantHits(t, 1)
	}
}

func testLost(t *testing.T, n network, s storage.Store) {
	for i := range 3 {
		data := noise(1000 + i)
		h := storage.Handle{Type: storage.Snapshot, Name: name(data)}
		n.Fail(Lost, 1+i%2, 0)
		if err := s.Save(t.Context(), h, data); err != nil {
			t.Errorf("save: %v", err)
		}
		n.wantHits(t, 1)
		if got := load(t, s, h); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d", len(data), len(got))
		}
		if err := retry.Strict(s).Save(t.Context(), h, data); !errors.Is(err, storage.ErrExists) {
			t.Errorf("save again: %v", err)
		}
		n.Fail(Lost, 1+i%2, 0)
		if err := s.Remove(t.Context(), h); err != nil {
			t.Errorf("remove: %v", err)
		}
		n.wantHits(t, 1)
		wantNotFound(t, s, h)
	}
}

func testStorm(t *testing.T, n network, s storage.Store) {
	data := noise(1000)
	h := save(t, s, storage.Data, data)
	kinds := []Kind{Lost}
	if n.http {
		kinds = []Kind{Status, Refuse}
	}
	for _, kind := range kinds {
		n.Fail(kind, Policy.Attempts-2, 0)
		if got := load(t, s, h); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d", len(data), len(got))
		}
		n.Fail(kind, Policy.Attempts-2, 0)
		save(t, s, storage.Key, fmt.Appendf(nil, "in a storm %d", kind))
		n.wantHits(t, Policy.Attempts-2)

		// One that does not end must not be taken for an answer about the file.
		n.Fail(kind, 1<<20, 0)
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
		n.Fail(None, 0, 0)
		if got := load(t, s, h); !bytes.Equal(got, data) && kind != Lost {
			t.Errorf("after the storm: %d bytes came back as %d", len(data), len(got))
		}
	}
}

func testHang(t *testing.T, n network, s storage.Store) {
	data := noise(1 << 20)
	h := save(t, s, storage.Data, data)
	n.Fail(Hang, 1, 0)
	if got := load(t, s, h); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back as %d", len(data), len(got))
	}
	n.wantHits(t, 1)
	n.Fail(Hang, 1, 0)
	save(t, s, storage.Snapshot, noise(100))
	n.wantHits(t, 1)
}

func testDrip(t *testing.T, n network, s storage.Store) {
	data := noise(1 << 20)
	h := save(t, s, storage.Data, data)
	n.Fail(Drip, 1, 0)
	if got := load(t, s, h); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back as %d", len(data), len(got))
	}
	n.wantHits(t, 1)
}

func testCancelHanging(t *testing.T, n network, s storage.Store) {
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
		n.Fail(Hang, 1<<20, 0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for n.Hits() == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if err := fn(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", op, err)
		}
		n.Fail(None, 0, 0)
	}
}

func testFaultsInParallel(t *testing.T, n network, s storage.Store) {
	n.Fail(Cut, 25, 50)
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
	n.Fail(None, 0, 0)
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
