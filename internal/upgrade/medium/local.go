package medium

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"golang.org/x/sys/unix"
)

// dir is a directory of this machine: a mounted medium, a stick, a copy.
type dir struct{ root *os.Root }

func openDir(name string) (tree, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return dir{root}, nil
}

func (d dir) open(_ context.Context, name string) (io.ReadCloser, error) {
	// A FIFO would be waited for, so it is opened without that.
	f, err := d.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.ENOTDIR) {
			err = missing(err)
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d dir) Close() error { return d.root.Close() }

// image is an ISO image, or a drive, that is read without being mounted.
type image struct {
	file *os.File
	fs   *iso9660.FileSystem
	has  int64 // bytes
	says int64 // how many it should have
}

// blockSize is that of ISO 9660, in bytes.
const blockSize = 2048

func openISO(name string) (_ tree, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	// The reader trusts what it reads; an image may be anything.
	defer caught(&err)
	image := image{file: f, has: size}
	image.fs, err = iso9660.Read(file.New(f, true), size, 0, blockSize)
	if err != nil {
		return nil, fmt.Errorf("it is no ISO image that can be read: %w", err)
	}
	image.says, err = volumeSize(f)
	return image, err
}

// volumeSize reads how long the volume is, in bytes, from the primary volume descriptor:
// ECMA-119, 8.4 (blocks at its byte 80, bytes of one at 128).
func volumeSize(f io.ReaderAt) (int64, error) {
	var d [130]byte
	if _, err := f.ReadAt(d[:], 16*blockSize); err != nil {
		return 0, fmt.Errorf("read the volume descriptor: %w", err)
	}
	return int64(binary.LittleEndian.Uint32(d[80:])) * int64(binary.LittleEndian.Uint16(d[128:])), nil
}

// cut says that the end of the image is missing; "" when it is there.
func (i image) cut() string {
	if i.has >= i.says {
		return ""
	}
	return fmt.Sprintf("the image is cut off: it should have %d bytes and has %d", i.says, i.has)
}

func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the image is broken: %v", p)
	}
}

func (i image) open(_ context.Context, name string) (_ io.ReadCloser, err error) {
	defer caught(&err)
	f, err := i.fs.Open(name)
	if err != nil {
		if strings.Contains(err.Error(), "could not find") {
			err = missing(err)
		}
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no file", name)
	case info.Size() == 0:
		return io.NopCloser(strings.NewReader("")), nil
	default:
		return imageFile{f}, nil
	}
	return nil, err
}

func (i image) Close() error { return i.file.Close() }

type imageFile struct{ fs.File }

func (f imageFile) Read(p []byte) (n int, err error) {
	defer caught(&err)
	return f.File.Read(p)
}
