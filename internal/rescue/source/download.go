package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Download opens what may be large, from http(s) or a file, for reading at most so
// many bytes. A server that sends nothing for a minute is given up. The address has no
// variables.
func (c *Client) Download(ctx context.Context, address string, most int64) (io.ReadCloser, error) {
	t, err := parse(address)
	if err != nil {
		return nil, err
	}
	switch t.scheme {
	case "file":
		f, err := os.OpenFile(t.path, os.O_RDONLY|nonblock, 0)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return nil, errors.Join(fmt.Errorf("%s: %w", t.path, ErrNoFile), err, f.Close())
		}
		return &bounded{from: f, left: most}, nil
	case "nfs":
		return nil, fmt.Errorf("%w: mount the NFS share and give a path", ErrAddress)
	}
	if strings.Contains(address, "$") {
		return nil, fmt.Errorf("%w: the address of a bundle has no variables", ErrAddress)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newWatch(cancel, c.Limit)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		watch.stop()
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	request.Header.Set("Accept-Encoding", "identity")
	response, err := c.http.Do(request)
	if err != nil {
		watch.stop()
		if context.Cause(ctx) == errLimit {
			return nil, ErrEndless
		}
		return nil, untrusted(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Encoding") != "" {
		watch.stop()
		err := fmt.Errorf("%w: it says %d %s", ErrAnswer, response.StatusCode, http.StatusText(response.StatusCode))
		if response.StatusCode == http.StatusOK {
			err = ErrEncoded
		}
		return nil, errors.Join(err, response.Body.Close())
	}
	return &bounded{from: response.Body, left: most, watch: watch, ctx: ctx}, nil
}

// watch ends a request that stands still.
type watch struct {
	moved atomic.Bool
	done  chan struct{}
}

func newWatch(cancel context.CancelCauseFunc, limit time.Duration) *watch {
	if limit == 0 {
		limit = time.Minute
	}
	w := &watch{done: make(chan struct{})}
	go func() {
		ticks := time.NewTicker(limit)
		defer ticks.Stop()
		for {
			select {
			case <-w.done:
				cancel(nil)
				return
			case <-ticks.C:
				if !w.moved.Swap(false) {
					cancel(errLimit)
				}
			}
		}
	}()
	return w
}

func (w *watch) stop() { close(w.done) }

// bounded is a stream of at most so many bytes.
type bounded struct {
	from  io.ReadCloser
	left  int64
	watch *watch          // nil for a file
	ctx   context.Context //nolint:containedctx // that of the request
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.watch != nil && n > 0 {
		b.watch.moved.Store(true)
	}
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrLarge
	}
	if err != nil && err != io.EOF && b.ctx != nil && context.Cause(b.ctx) == errLimit {
		err = ErrEndless
	}
	return n, err
}

func (b *bounded) Close() error {
	if b.watch != nil {
		b.watch.stop()
	}
	return b.from.Close()
}
