// Package chunker finds the content-defined places at which a stream is cut
// into blobs, so that an insertion changes only the blobs around it. It uses a
// gear hash with normalized chunking, after "FastCDC: a Fast and Efficient
// Content-Defined Chunking Approach for Data Deduplication" (USENIX ATC 2016).
// The table of the hash is derived from a secret of the repository: else the
// sizes of blobs would tell which known files it holds. Files, blobs and
// storage stay outside.
package chunker

import (
	"crypto/sha256"
	"encoding/binary"
)

// Sizes of chunks, in bytes. The last chunk of a stream may be smaller than
// Min. The average lies near 1.3 MiB.
const (
	Min    = 512 << 10
	Normal = 1 << 20
	Max    = 8 << 20
)

// Below Normal a cut is found every 2 MiB, above it every 512 KiB, on random
// data. The highest bits of the hash depend on the last 64 bytes.
const (
	strict = uint64(1<<21-1) << (64 - 21)
	loose  = uint64(1<<19-1) << (64 - 19)
	window = 64
)

// Table is the hash of one repository. It is immutable.
type Table [256]uint64

// NewTable derives the table from a secret.
func NewTable(secret []byte) *Table {
	t := new(Table)
	h := sha256.New()
	for i := 0; i < len(t); i += 4 {
		h.Reset()
		h.Write([]byte("lifeboat chunker 1"))
		h.Write([]byte{byte(i)})
		h.Write(secret)
		sum := h.Sum(nil)
		for j := range 4 {
			t[i+j] = binary.LittleEndian.Uint64(sum[8*j:])
		}
	}
	return t
}

// Cutter finds the cuts of one stream. The zero value with a Table is ready.
type Cutter struct {
	Table *Table

	hash uint64
	done int // bytes of the present chunk that were looked at
}

// Cut looks at data, which begins where the present chunk begins and holds at
// least what the call before was given. It returns the length of the chunk, or
// 0 when more data is needed. After a cut the next chunk begins.
func (c *Cutter) Cut(data []byte) int {
	if len(data) < Min {
		return 0
	}
	i := c.done
	h := c.hash
	if i < Min-window {
		i, h = Min-window, 0
	}
	// Fill the window before the first place that may be a cut.
	for ; i < Min; i++ {
		h = h<<1 + c.Table[data[i]]
	}
	if i < Normal {
		end := min(len(data), Normal)
		for _, b := range data[i:end] {
			i++
			h = h<<1 + c.Table[b]
			if h&strict == 0 {
				return c.cut(i)
			}
		}
	}
	if i < len(data) {
		end := min(len(data), Max)
		for _, b := range data[i:end] {
			i++
			h = h<<1 + c.Table[b]
			if h&loose == 0 {
				return c.cut(i)
			}
		}
	}
	if i >= Max {
		return c.cut(Max)
	}
	c.hash, c.done = h, i
	return 0
}

func (c *Cutter) cut(n int) int {
	c.hash, c.done = 0, 0
	return n
}
