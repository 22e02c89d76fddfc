package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Compression is how an archive is packed, named as opsi-backup's option has it.
type Compression string

// The compressions of opsi-backup.
const (
	Bzip2 Compression = "bz2"
	Gzip  Compression = "gz"
	None  Compression = "none"
)

// Suffix is what a file name ends with after .tar.
func (c Compression) Suffix() string {
	if c == None {
		return ""
	}
	return "." + string(c)
}

// ParseCompression reads the value of opsi-backup's option.
func ParseCompression(s string) (Compression, error) {
	switch c := Compression(s); c {
	case Bzip2, Gzip, None:
		return c, nil
	}
	return "", fmt.Errorf("compression %q is not known; there are bz2, gz and none", s)
}

// endings are those of file names, longest first.
var endings = []struct {
	end  string
	pack Compression
}{
	{".tbz2", Bzip2}, {".tbz", Bzip2}, {".bz2", Bzip2}, {".tgz", Gzip}, {".gz", Gzip}, {".tar", None},
}

// Choose says how a file is packed: as asked, else as the ending of its name says,
// else as opsi-backup does. A name that says something else than what is asked for
// is an error.
func Choose(name, asked string) (Compression, error) {
	var named Compression
	for _, e := range endings {
		if strings.HasSuffix(strings.ToLower(name), e.end) {
			named = e.pack
			break
		}
	}
	if asked == "" {
		return cmp.Or(named, Bzip2), nil
	}
	pack, err := ParseCompression(asked)
	if err == nil && named != "" && named != pack {
		return "", fmt.Errorf("the name %s says %s, and %s is asked for", name, named, pack)
	}
	return pack, err
}

// others are beginnings of what people take for an archive of opsi-backup.
var others = []struct{ magic, what string }{
	{"\xfd7zXZ\x00", "it is packed with xz, which opsi-backup does not read; unpack it with: unxz -k"},
	{"\x28\xb5\x2f\xfd", "it is packed with zstd, which opsi-backup does not read; unpack it with: zstd -d"},
	{"\x04\x22\x4d\x18", "it is packed with lz4, as opsiconfd backup does"},
	{"PK\x03\x04", "it is a zip archive"},
	{"7z\xbc\xaf", "it is a 7z archive"},
	{"LZIP", "it is packed with lzip, which opsi-backup does not read"},
	{"{aes", "it is encrypted, as opsiconfd backup does"},
}

// detect tells the compression by the first bytes; a name tells nothing.
func detect(b *bufio.Reader) (Compression, error) {
	head, err := b.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch {
	case len(head) == 0:
		return "", fmt.Errorf("it is empty: %w", ErrForeign)
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return Gzip, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return Bzip2, nil
	}
	for _, o := range others {
		if bytes.HasPrefix(head, []byte(o.magic)) {
			return "", fmt.Errorf("%s: %w", o.what, ErrForeign)
		}
	}
	return None, nil
}

// unpacked returns the tar stream of r, bounded by limits.
func unpacked(ctx context.Context, r io.Reader, limits Limits) (io.Reader, Compression, error) {
	raw := &counter{r: r}
	b := bufio.NewReaderSize(raw, 64<<10)
	c, err := detect(b)
	if err != nil {
		return nil, "", err
	}
	var plain io.Reader = b
	switch c {
	case Gzip:
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, "", fmt.Errorf("unpack gzip: %w: %w", ErrDamaged, err)
		}
		plain = z
	case Bzip2:
		plain = bzip2.NewReader(b)
	}
	return &bounded{ctx: ctx, r: plain, raw: raw, limits: limits}, c, nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bombFrom is how much of a stream is read before its ratio is looked at, in bytes.
const bombFrom = 64 << 20

// bounded fails, instead of ending, at its limits, and tells whether its source
// did: what is made of a cut stream differs from reader to reader.
type bounded struct {
	ctx    context.Context
	r      io.Reader
	raw    *counter
	limits Limits
	n      int64
	err    error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	switch {
	case b.ctx.Err() != nil:
		err = b.ctx.Err()
	case b.n > b.limits.Bytes:
		err = fmt.Errorf("unpacked it has more than %d bytes: %w", b.limits.Bytes, ErrLimit)
	case b.n > bombFrom && b.n/b.limits.Ratio > b.raw.n:
		err = fmt.Errorf("it unpacks to more than %d times its size, as a decompression bomb does: %w", b.limits.Ratio, ErrLimit)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("it is cut off: %w", ErrDamaged)
	case err != nil && !errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
		return 0, err
	}
	return n, err
}
