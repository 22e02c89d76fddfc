package changelog

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	rpm "github.com/sassoftware/go-rpmutils"
	"github.com/ulikunitz/xz/lzma"
	"github.com/xi2/xz"
)

// Bounds on a package file, in bytes. The library's own reader of the content takes
// whatever lengths a file names, so only its reader of headers is used, once the
// lengths there were looked at.
const (
	maxHeader     = 64 << 20
	maxContent    = 4 << 30 // unpacked
	maxDictionary = 64 << 20
	maxFileName   = 4096
)

// headers looks whether the lengths of a package file's two headers are what they can
// be. The format: https://rpm-software-management.github.io/rpm/manual/format_v4.html
func headers(r io.ReaderAt) error {
	at := int64(96) // behind the lead
	for range 2 {
		var intro [16]byte
		if _, err := r.ReadAt(intro[:], at); err != nil {
			return fmt.Errorf("it ends before its header: %w", err)
		}
		entries, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
		length := int64(entries)*16 + int64(size)
		if length > maxHeader {
			return fmt.Errorf("its header has %d bytes, which is too many", length)
		}
		// What is named must be there, or memory is taken for nothing.
		if n, err := r.ReadAt(make([]byte, 1), at+16+max(length, 1)-1); n == 0 {
			return fmt.Errorf("it ends in its header: %w", err)
		}
		at += 16 + (length+7)/8*8
	}
	return nil
}

// unpack gives the content of a package, a cpio archive, as a bounded stream.
func unpack(h *rpm.RpmHeader, in io.Reader) (io.Reader, error) {
	packing := "gzip"
	if h.HasTag(rpm.PAYLOADCOMPRESSOR) {
		var err error
		if packing, err = h.GetString(rpm.PAYLOADCOMPRESSOR); err != nil {
			return nil, err
		}
	}
	var out io.Reader
	var err error
	switch packing {
	case "gzip":
		out, err = gzip.NewReader(in)
	case "bzip2":
		out = bzip2.NewReader(in)
	case "xz":
		out, err = xz.NewReader(in, maxDictionary)
	case "zstd":
		var d *zstd.Decoder
		d, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderMaxMemory(2*maxDictionary))
		if err == nil {
			out = d.IOReadCloser()
		}
	case "lzma":
		buffered := bufio.NewReader(in)
		head, peekErr := buffered.Peek(5)
		if peekErr != nil {
			return nil, peekErr
		}
		if binary.LittleEndian.Uint32(head[1:]) > maxDictionary {
			return nil, errors.New("it needs more memory to unpack than it may have")
		}
		out, err = lzma.NewReader(buffered)
	case "uncompressed":
		out = in
	default:
		err = fmt.Errorf("it is packed with %q, which is not known", packing)
	}
	if err != nil {
		return nil, err
	}
	return &io.LimitedReader{R: out, N: maxContent}, nil
}

// member reads the next head of a cpio archive in the form that rpm writes (newc, see
// cpio(5)). io.EOF is the archive's end; the body is size bytes, filled up to four.
func member(in io.Reader) (name string, regular bool, size int64, err error) {
	var head [110]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", false, 0, fmt.Errorf("its content is cut off: %w", err)
	}
	if magic := string(head[:6]); magic != "070701" && magic != "070702" {
		if magic == "07070X" { // files of more than 4 GiB; nothing in it is for us
			return "", false, 0, io.EOF
		}
		return "", false, 0, errors.New("its content is no archive of cpio")
	}
	number := func(n int) int64 {
		v, parseErr := strconv.ParseUint(string(head[6+8*n:14+8*n]), 16, 32)
		err = errors.Join(err, parseErr)
		return int64(v)
	}
	mode, length := number(1), number(11)
	if size = number(6); err != nil {
		return "", false, 0, err
	}
	if length < 1 || length > maxFileName {
		return "", false, 0, fmt.Errorf("a file's name has %d bytes", length)
	}
	text := make([]byte, length+(4-(110+length)%4)%4)
	if _, err := io.ReadFull(in, text); err != nil {
		return "", false, 0, fmt.Errorf("its content is cut off: %w", err)
	}
	if name = strings.TrimRight(string(text), "\x00"); name == "TRAILER!!!" {
		return "", false, 0, io.EOF
	}
	return name, mode&0o170000 == 0o100000, size, nil
}
