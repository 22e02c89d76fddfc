package limit

import (
	"context"
	"io"

	"golang.org/x/time/rate"
)

// Writer returns a writer that keeps to the limit, for stores that are files; ctx
// ends its waiting.
func (l *Limit) Writer(ctx context.Context, w io.Writer) io.Writer {
	if l == nil || l.up == nil {
		return w
	}
	return writer{ctx: ctx, limiter: l.up, w: w}
}

type writer struct {
	ctx     context.Context
	limiter *rate.Limiter
	w       io.Writer
}

// Write pays for every part before it writes it.
func (w writer) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		part := p[written:min(len(p), written+w.limiter.Burst())]
		if err := w.limiter.WaitN(w.ctx, len(part)); err != nil {
			return written, err
		}
		n, err := w.w.Write(part)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Reader returns a reader that keeps to the limit, for stores that are files; ctx
// ends its waiting.
func (l *Limit) Reader(ctx context.Context, r io.ReadCloser) io.ReadCloser {
	if l == nil || l.down == nil {
		return r
	}
	return reader{ReadCloser: r, ctx: ctx, limiter: l.down}
}

type reader struct {
	io.ReadCloser
	ctx     context.Context
	limiter *rate.Limiter
}

// Read pays for what was read before it hands it over.
func (r reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p[:min(len(p), r.limiter.Burst())])
	if n > 0 {
		if err := r.limiter.WaitN(r.ctx, n); err != nil {
			return 0, err
		}
	}
	return n, err
}
