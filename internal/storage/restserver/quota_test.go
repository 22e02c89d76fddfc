package restserver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/storage"
)

// TestQuotaMeasuresAgain has somebody remove files behind the server's back.
func TestQuotaMeasuresAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there, measured := int64(100), 0
		q := &quota{limit: 100, usage: func(context.Context, string) (int64, error) { measured++; return there, nil }}
		reserve := func(n int64, lock bool) func(bool) {
			t.Helper()
			done, err := q.reserve(t.Context(), "a", n, lock)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		full := func(n int64) {
			t.Helper()
			if _, err := q.reserve(t.Context(), "a", n, false); !errors.Is(err, storage.ErrNoSpace) {
				t.Fatal(err)
			}
		}
		full(1)
		there = 0
		full(1) // not measured with every request
		if measured != 1 {
			t.Errorf("measured %d times", measured)
		}
		time.Sleep(remeasure)
		upload := reserve(60, false)
		// Under way, and not on the disk yet: it counts all the same.
		time.Sleep(remeasure)
		full(50)
		if measured != 3 {
			t.Errorf("measured %d times", measured)
		}
		upload(false)
		reserve(100, false)(true)
		full(1)
		// Locks have room of their own, which is bounded too.
		reserve(lockRoom, true)(false)
		reserve(lockRoom, true)(true)
		if _, err := q.reserve(t.Context(), "a", 1, true); !errors.Is(err, storage.ErrNoSpace) {
			t.Error(err)
		}
		q.free("a", lockRoom, true)
		reserve(lockRoom, true)(true)
	})
}
