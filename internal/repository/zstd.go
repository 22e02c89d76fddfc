package repository

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Limits on what a file or blob may grow to when it is read, in bytes. Only
// who knows the password can write beyond them.
const (
	maxDataBlob = 128 << 20 // other writers cut at 8 MiB
	maxTreeBlob = 1 << 30   // a directory of some million entries
	maxUnpacked = 512 << 20 // index, snapshot, lock
	maxStored   = 256 << 20 // the same as stored
	maxKeyFile  = 64 << 10
)

var errTooLarge = errors.New("larger than this program accepts")

// decoder decompresses blobs, whose size is known, and bounds them by it.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	return newDecoder(maxTreeBlob, zstd.WithDecodeAllCapLimit(true))
})

// unpackedDecoder decompresses files, whose size is not known.
var unpackedDecoder = sync.OnceValue(func() *zstd.Decoder {
	return newDecoder(maxUnpacked)
})

// unpackedEncoder compresses files.
var unpackedEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return newEncoder(CompressionFastest, 1)
})

func newDecoder(limit uint64, opts ...zstd.DOption) *zstd.Decoder {
	opts = append(opts, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderMaxMemory(limit))
	d, err := zstd.NewReader(nil, opts...)
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

// decompress returns exactly size bytes, or an error.
func decompress(dst, compressed []byte, size int) ([]byte, error) {
	if cap(dst) < size {
		dst = make([]byte, 0, size)
	}
	plain, err := decoder().DecodeAll(compressed, dst[:0:size])
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(plain) != size {
		return nil, fmt.Errorf("decompress: %d bytes, %d were expected", len(plain), size)
	}
	return plain, nil
}

// newEncoder returns an encoder that several goroutines may use at once.
// The frame's own checksum is left out: every blob has a MAC and a hash.
func newEncoder(c Compression, workers int) (*zstd.Encoder, error) {
	level := zstd.SpeedFastest
	switch c {
	case CompressionDefault:
		level = zstd.SpeedDefault
	case CompressionMax:
		level = zstd.SpeedBestCompression
	}
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithEncoderConcurrency(workers),
		zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(4<<20),
		zstd.WithLowerEncoderMem(false),
	)
	if err != nil {
		return nil, fmt.Errorf("set up compression: %w", err)
	}
	return e, nil
}
