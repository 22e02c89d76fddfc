package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// What writes to tapes, and dd with conv=sync, fills the last block with zeros. GNU
// gzip and tar read on as if these were not there; the libraries take them for the
// beginning of another stream.

// padded reads a packed stream, or several, and the zeros behind them.
type padded struct {
	ctx    context.Context
	source *bufio.Reader // what the unpacking reads from, and nothing beyond its end
	read   func(p []byte) (n int, end bool, err error)
	behind bool
	zeros  bool // stood behind the stream, and nothing else
}

// Read returns io.EOF at the end of what was packed.
func (p *padded) Read(buf []byte) (int, error) {
	if !p.behind {
		n, end, err := p.read(buf)
		if !end {
			return n, err
		}
		if p.behind = true; n > 0 {
			return n, nil
		}
	}
	return 0, p.rest()
}

// rest reads what follows, which may be large.
func (p *padded) rest() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := p.source.Read(buf)
		switch {
		case p.ctx.Err() != nil:
			return p.ctx.Err()
		case len(bytes.Trim(buf[:n], "\x00")) > 0:
			return errors.New("something that is not packed follows its packed stream")
		}
		p.zeros = p.zeros || n > 0
		if err != nil {
			return err
		}
	}
}

func newGzip(ctx context.Context, b *bufio.Reader) (*padded, error) {
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w: %w", ErrDamaged, err)
	}
	z.Multistream(false) // or it would take the zeros for a stream
	p := &padded{ctx: ctx, source: b}
	p.read = func(buf []byte) (int, bool, error) {
		n, err := z.Read(buf)
		if !errors.Is(err, io.EOF) {
			return n, false, err
		}
		if next, _ := b.Peek(2); string(next) != gzipHead {
			return n, true, nil
		}
		if err := z.Reset(b); err != nil {
			return n, false, err
		}
		z.Multistream(false)
		return n, false, nil
	}
	return p, nil
}

// errNoStream is what the library says when something else than a stream follows
// one; it has read two bytes of it then.
const errNoStream = bzip2.StructuralError("bad magic value in continuation file")

func newBzip2(ctx context.Context, b *bufio.Reader) *padded {
	last := &lastBytes{Reader: b}
	z := bzip2.NewReader(last)
	p := &padded{ctx: ctx, source: b}
	p.read = func(buf []byte) (int, bool, error) {
		n, err := z.Read(buf)
		if errors.Is(err, errNoStream) && last.two == 0 {
			p.zeros = true
			return n, true, nil
		}
		return n, false, err
	}
	return p
}

// lastBytes knows the last two bytes that were read one by one.
type lastBytes struct {
	*bufio.Reader
	two uint16
}

// ReadByte is how the library reads.
func (l *lastBytes) ReadByte() (byte, error) {
	c, err := l.Reader.ReadByte()
	if err == nil {
		l.two = l.two<<8 | uint16(c)
	}
	return c, err
}
