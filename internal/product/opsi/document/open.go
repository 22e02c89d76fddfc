package document

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/pierrec/lz4/v4"
)

// An encrypted document is the mark, then salt, tag and nonce, then the
// ciphertext: AES-256-GCM with a nonce of 16 bytes; the key is PBKDF2 with
// HMAC-SHA-256 and 200,000 rounds.
const (
	encryptedMark = "{aes-256-gcm-sha256}"
	saltSize      = 32
	tagSize       = 16
	nonceSize     = 16
	rounds        = 200_000
	keySize       = 32
)

const (
	lz4Magic  = "\x04\x22\x4d\x18"
	gzipMagic = "\x1f\x8b"
)

// look is how many bytes are looked at to recognise a document.
const look = 64 << 10

// Detect tells from the first bytes of a file whether it may be a document.
// Names and suffixes are not looked at.
func Detect(r io.Reader) bool {
	b := bufio.NewReaderSize(r, look)
	head, _ := b.Peek(len(encryptedMark))
	if string(head) == encryptedMark {
		return true
	}
	plain, end, err := unpack(b)
	if err != nil {
		return false
	}
	start := make([]byte, 256)
	n, err := io.ReadFull(plain, start)
	if n == 0 && err != nil && end.compression == "lz4" {
		return true // cut off in its first block; reading it says so
	}
	return begins(start[:n])
}

// begins: a document is a map whose first key is one of four.
func begins(head []byte) bool {
	var key []byte
	switch {
	case len(head) == 0:
		return false
	case head[0] == '{':
		rest := bytes.TrimLeft(head[1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' {
			return false
		}
		key, _, _ = bytes.Cut(rest[1:], []byte(`"`))
	case head[0]&0xf0 == 0x80 && len(head) > 1: // a small map
		if head[1]&0xe0 != 0xa0 || len(head) < 2+int(head[1]&0x1f) {
			return false
		}
		key = head[2 : 2+int(head[1]&0x1f)]
	}
	return slices.Contains([]string{"meta", "objects", "config_files", "redis"}, string(key))
}

// open peels encryption and compression off. The password may be nil.
func open(r io.Reader, password []byte) (*bufio.Reader, Form, func() error, error) {
	form := Form{}
	b := bufio.NewReaderSize(r, look)
	head, err := b.Peek(len(encryptedMark))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, form, nil, err
	}
	if len(head) == 0 {
		return nil, form, nil, fmt.Errorf("the file is empty: %w", ErrForeign)
	}
	if bytes.HasPrefix(head, []byte("{aes")) {
		form.Encrypted = true
		plain, err := decrypt(b, password)
		if err != nil {
			return nil, form, nil, err
		}
		b = bufio.NewReaderSize(bytes.NewReader(plain), look)
	}
	unpacked, end, err := unpack(b)
	if err != nil {
		return nil, form, nil, err
	}
	form.Compression, form.Checked = end.compression, end.checked || form.Encrypted
	plain := bufio.NewReaderSize(&bounded{r: unpacked, left: maxPlain}, look)
	first, err := plain.Peek(1)
	switch {
	case err != nil:
		return nil, form, nil, mend(err)
	case first[0] == '{':
		form.Encoding = "json"
	default:
		form.Encoding = "msgpack"
	}
	return plain, form, end.check, nil
}

func decrypt(r io.Reader, password []byte) ([]byte, error) {
	file, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(file) > maxFile:
		return nil, fmt.Errorf("an encrypted file of more than %d bytes: %w", maxFile, ErrTooLarge)
	case !bytes.HasPrefix(file, []byte(encryptedMark)):
		return nil, fmt.Errorf("it is encrypted in a way that is not known: %w", ErrForeign)
	case len(file) < len(encryptedMark)+saltSize+tagSize+nonceSize+1:
		return nil, ErrCut
	case len(password) == 0:
		return nil, ErrEncrypted
	}
	rest := file[len(encryptedMark):]
	salt, rest := rest[:saltSize], rest[saltSize:]
	tag, rest := rest[:tagSize], rest[tagSize:]
	nonce, text := rest[:nonceSize], rest[nonceSize:]
	key, err := pbkdf2.Key(sha256.New, string(password), salt, rounds, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive the key: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, nonceSize)
	if err != nil {
		return nil, err
	}
	sealed := append(text[:len(text):len(text)], tag...) // Go wants the tag last
	plain, err := gcm.Open(sealed[:0], nonce, sealed, nil)
	if err != nil {
		return nil, ErrPassword
	}
	return plain, nil
}

// ending is what is known about a compression once all was read.
type ending struct {
	compression string
	checked     bool
	check       func() error
}

func unpack(b *bufio.Reader) (io.Reader, ending, error) {
	head, err := b.Peek(14) // the longest lz4 head that is looked at
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, ending{}, err
	}
	none := func() error { return nil }
	switch {
	case bytes.HasPrefix(head, []byte(gzipMagic)):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, ending{}, mend(err)
		}
		return z, ending{"gz", true, none}, nil
	case bytes.HasPrefix(head, []byte(lz4Magic)):
		if len(head) < 7 {
			return nil, ending{}, ErrCut
		}
		// The flags: bit 2 says that a sum of the content follows, bit 4 that each
		// block has one, bit 3 that the size stands in the head (lz4 frame format 1.6).
		flags := head[4]
		c := &counted{r: lz4.NewReader(b)}
		e := ending{"lz4", flags&(1<<2|1<<4) != 0, none}
		if flags&(1<<3) != 0 && len(head) >= 14 {
			size := binary.LittleEndian.Uint64(head[6:])
			e.check = func() error {
				if size != 0 && c.n != size {
					return fmt.Errorf("%d bytes were packed, %d came out: %w", size, c.n, ErrDamaged)
				}
				return nil
			}
		}
		return c, e, nil
	}
	return b, ending{"none", false, none}, nil
}

// counted knows how many bytes came out.
type counted struct {
	r io.Reader
	n uint64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += uint64(n)
	return n, err
}

// bounded fails, instead of ending, at its limit.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// obedient ends with its context.
type obedient struct {
	ctx context.Context
	r   io.Reader
}

func (o obedient) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.r.Read(p)
}

// mend gives the errors of libraries the words of this package.
func mend(err error) error {
	var known bool
	for _, k := range []error{ErrForeign, ErrEncrypted, ErrPassword, ErrCut, ErrDamaged, ErrTooLarge, context.Canceled, context.DeadlineExceeded} {
		known = known || errors.Is(err, k)
	}
	switch {
	case err == nil, known:
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrCut
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
