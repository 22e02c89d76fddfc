package limit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestFile writes and reads a file slowly. The clock is the test's own.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const speed, total = 100_000, 1_000_000
		data := bytes.Repeat([]byte("0123456789"), total/10)
		l := New(speed, 2*speed)
		begin := time.Now()
		var file bytes.Buffer
		if n, err := l.Writer(t.Context(), &file).Write(data); n != total || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if took := time.Since(begin); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("writing took %v", took)
		}
		begin = time.Now()
		back, err := io.ReadAll(l.Reader(t.Context(), io.NopCloser(&file)))
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%d bytes, %v", len(back), err)
		}
		if took := time.Since(begin); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("reading took %v", took)
		}
	})
}

func TestFileInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, nil)
		defer cancel()
		var file bytes.Buffer
		n, err := New(100_000, 0).Writer(ctx, &file).Write(make([]byte, 1_000_000))
		if err == nil || errors.Is(err, io.ErrShortWrite) || n != file.Len() || n > 510_000 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

func TestFileWithout(t *testing.T) {
	var l *Limit
	var w bytes.Buffer
	if l.Writer(t.Context(), &w) != io.Writer(&w) || New(100_000, 0).Writer(t.Context(), &w) == io.Writer(&w) {
		t.Error("a writer without a limit is not the same")
	}
}
