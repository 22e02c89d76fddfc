package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/dsnet/compress/bzip2"
)

// A bzip2 stream is "BZh9", blocks that know nothing of each other, and an end of
// 48 bits of magic and 32 of a sum over the blocks' sums; only the whole is padded
// to bytes. So blocks are packed side by side and joined bit by bit into ONE stream:
// readers of opsi's older versions stop after the first.
const (
	// bzipChunk always fits one block of 900,000 bytes: the run-length coding
	// before it grows a run of four to five.
	bzipChunk  = 700_000
	bzipHead   = "BZh9"
	bzipEnd    = 0x177245385090
	bzipEndLen = 80 // bits
)

// bzipWriter packs on all processors.
type bzipWriter struct {
	w     io.Writer
	chunk []byte
	queue chan chan packed // in order
	done  chan error
}

type packed struct {
	data []byte // the block, from its first bit
	bits int
	sum  uint32
	err  error
}

func newBzipWriter(w io.Writer) *bzipWriter {
	b := &bzipWriter{w: w, queue: make(chan chan packed, runtime.GOMAXPROCS(0)), done: make(chan error, 1)}
	go b.join()
	return b
}

func (b *bzipWriter) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 {
		if b.chunk == nil {
			b.chunk = make([]byte, 0, bzipChunk)
		}
		k := min(len(p), bzipChunk-len(b.chunk))
		b.chunk = append(b.chunk, p[:k]...)
		p, n = p[k:], n+k
		if len(b.chunk) == bzipChunk {
			b.send()
		}
	}
	return n, nil
}

func (b *bzipWriter) send() {
	chunk, out := b.chunk, make(chan packed, 1)
	b.chunk = nil
	b.queue <- out
	go func() { out <- packBlock(chunk) }()
}

// Close ends the stream; errors of writing are told here.
func (b *bzipWriter) Close() error {
	if len(b.chunk) > 0 {
		b.send()
	}
	close(b.queue)
	return <-b.done
}

// join writes the blocks one after the other.
func (b *bzipWriter) join() {
	out := bits{w: b.w}
	out.bytes([]byte(bzipHead), 32)
	var sum uint32
	for next := range b.queue {
		p := <-next
		if out.err = errors.Join(out.err, p.err); out.err != nil {
			continue // the others are waited for
		}
		out.bytes(p.data, p.bits)
		sum = (sum<<1 | sum>>31) ^ p.sum
	}
	end := binary.BigEndian.AppendUint64(nil, bzipEnd<<16)
	out.bytes(end, 48)
	out.bytes(binary.BigEndian.AppendUint32(nil, sum), 32)
	b.done <- out.close()
}

// packBlock packs a chunk as a stream of its own and cuts out the block.
func packBlock(chunk []byte) packed {
	var buf bytes.Buffer
	z, err := bzip2.NewWriter(&buf, &bzip2.WriterConfig{Level: 9})
	if err == nil {
		_, err = z.Write(chunk)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return packed{err: fmt.Errorf("pack with bzip2: %w", err)}
	}
	data := buf.Bytes()
	if len(data) < len(bzipHead)+bzipEndLen/8 || string(data[:4]) != bzipHead {
		return packed{err: errors.New("pack with bzip2: the stream is not known")}
	}
	data = data[len(bzipHead):]
	// The end stands before 0 to 7 bits of padding.
	for pad := range 8 {
		at := len(data)*8 - pad - bzipEndLen
		if at > 0 && read(data, at, 48) == bzipEnd {
			sum := uint32(read(data, at+48, 32)) //nolint:gosec // 32 bits
			// One block's sum is that of the stream; more would not be joined right.
			if uint32(read(data, 48, 32)) != sum { //nolint:gosec // 32 bits
				return packed{err: errors.New("pack with bzip2: a chunk became more than one block")}
			}
			return packed{data: data, bits: at, sum: sum}
		}
	}
	return packed{err: errors.New("pack with bzip2: the stream has no end")}
}

// read returns n bits from a position, n at most 56.
func read(data []byte, at, n int) uint64 {
	var v uint64
	for i := at; i < at+n; i++ {
		v = v<<1 | uint64(data[i/8]>>(7-i%8)&1)
	}
	return v
}

// bits writes parts of bytes one after the other.
type bits struct {
	w    io.Writer
	last byte // begun, from the top
	used int  // bits of last
	err  error
}

// bytes writes the first n bits of data.
func (b *bits) bytes(data []byte, n int) {
	if b.err != nil {
		return
	}
	whole, rest := n/8, n%8
	out := make([]byte, 0, whole+2)
	for _, c := range data[:whole] {
		out = append(out, b.last|c>>b.used)
		b.last = c << (8 - b.used)
	}
	if rest > 0 {
		c := data[whole] &^ (0xff >> rest)
		b.last |= c >> b.used
		if b.used+rest >= 8 {
			out = append(out, b.last)
			b.last = c << (8 - b.used)
			b.used -= 8
		}
		b.used += rest
	}
	_, b.err = b.w.Write(out)
}

func (b *bits) close() error {
	if b.err == nil && b.used > 0 {
		_, b.err = b.w.Write([]byte{b.last})
	}
	return b.err
}
