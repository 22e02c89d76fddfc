package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
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

// foreign are ways to pack that opsi-backup does not know, as names end with them.
var foreign = []string{"xz", "txz", "lzma", "zst", "zstd", "tzst", "lz4", "lz", "7z", "zip", "rar", "bzip2", "gzip"}

// Packs tells whether a word names a way to pack, be it one that is not written.
func Packs(word string) bool {
	_, err := ParseCompression(word)
	return err == nil || slices.Contains(foreign, word)
}

// Choose says how a file is packed: as asked, else as the ending of its name says,
// else as opsi-backup does. A name that says something else than what is asked for,
// or than can be written, is an error.
func Choose(name, asked string) (Compression, error) {
	var named Compression
	if end := strings.ToLower(strings.TrimPrefix(path.Ext(name), ".")); slices.Contains(foreign, end) {
		return "", fmt.Errorf("the name %s says %s, and archives are packed with bz2, gz or not at all: call it .tar.bz2, .tar.gz or .tar", name, end)
	}
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

// others are beginnings of what people take for an archive of opsi-backup. One with
// a command may hold one.
var others = []struct{ magic, what, command string }{
	{"\xfd7zXZ\x00", "packed with xz", "unxz -k"},
	{"\x5d\x00\x00", "packed with lzma", "unlzma -k"},
	{"\x28\xb5\x2f\xfd", "packed with zstd", "zstd -d"},
	{"LZIP", "packed with lzip", "lzip -dk"},
	{"\x1f\x9d", "packed with compress", "uncompress"},
	{"PK\x03\x04", "a zip archive", "unzip"},
	{"7z\xbc\xaf", "a 7z archive", "7z x"},
	{"Rar!", "a rar archive", "unrar x"},
	{"\x04\x22\x4d\x18", "packed with lz4, as opsiconfd backup does", ""},
	{"{aes", "encrypted, as opsiconfd backup does", ""},
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
	case bytes.HasPrefix(head, []byte(gzipHead)):
		return Gzip, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return Bzip2, nil
	}
	for _, o := range others {
		if !bytes.HasPrefix(head, []byte(o.magic)) {
			continue
		}
		if o.command == "" {
			return "", fmt.Errorf("it is %s: %w", o.what, ErrForeign)
		}
		return "", fmt.Errorf("it is %s: %w (%s does that)", o.what, ErrWrapped, o.command)
	}
	return None, nil
}

// gzipHead begins a stream of gzip.
const gzipHead = "\x1f\x8b"

// unpacked returns the tar stream of r, bounded by limits.
func unpacked(ctx context.Context, r io.Reader, limits Limits) (*bounded, Compression, error) {
	raw := &counter{r: r}
	b := bufio.NewReaderSize(raw, 64<<10)
	c, err := detect(b)
	if err != nil {
		return nil, "", err
	}
	u := &bounded{ctx: ctx, r: b, raw: raw, limits: limits}
	switch c {
	case Gzip:
		if u.packed, err = newGzip(ctx, b); err != nil {
			return nil, "", err
		}
		u.r = u.packed
	case Bzip2:
		u.packed = newBzip2(ctx, b)
		u.r = u.packed
	}
	return u, c, nil
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
	packed *padded // nil is not packed
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
