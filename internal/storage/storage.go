// Package storage keeps the files of a repository as named bytes: in a directory
// of this machine; the packages in it do so behind S3, SFTP and REST. It knows the
// six sorts of files and where each lies, and nothing of what is in them:
// encryption, compression and format belong to package repository.
package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"
)

// Errors that a store reports, to be tested with errors.Is.
var (
	// ErrNotFound says that the store does not hold the file.
	ErrNotFound = errors.New("no such file in the store")
	// ErrExists says that a file of this name is there already; files are
	// written once and never overwritten.
	ErrExists = errors.New("the file is already in the store")
	// ErrNoSpace says that the store is full.
	ErrNoSpace = errors.New("no space left in the store")
	// ErrQuota says that what somebody may store is used up. It is ErrNoSpace, too.
	ErrQuota = fmt.Errorf("%w: the quota is used up", ErrNoSpace)
	// ErrReadOnly says that the store takes no writes from us.
	ErrReadOnly = errors.New("the store is read-only")
	// ErrAppendOnly says that the store takes files from us and lets us remove
	// none but locks. It is fs.ErrPermission, too.
	ErrAppendOnly error = appendOnly{}
	// ErrShort says that a file ended before the range that was asked for.
	ErrShort = errors.New("the file is shorter than expected")
	// ErrTooLarge says that a file has more bytes than the reader takes.
	ErrTooLarge = errors.New("the file is larger than is accepted")
)

type appendOnly struct{}

func (appendOnly) Error() string {
	return "the store is append-only: it takes files and lets none be removed"
}
func (appendOnly) Is(target error) bool { return target == fs.ErrPermission }

// Type is one of the six sorts of files of a repository.
type Type uint8

// The sorts of files.
const (
	Config Type = iota
	Key
	Lock
	Snapshot
	Index
	Data
)

// Types lists the sorts that List takes.
var Types = []Type{Key, Lock, Snapshot, Index, Data}

// Dir is the directory a sort of files lies in, as the format's default
// layout names it; "" for Config, which is a single file at the top.
func (t Type) Dir() string {
	switch t {
	case Key:
		return "keys"
	case Lock:
		return "locks"
	case Snapshot:
		return "snapshots"
	case Index:
		return "index"
	case Data:
		return "data"
	default:
		return ""
	}
}

// String names the sort for messages.
func (t Type) String() string {
	return [...]string{"config", "key", "lock", "snapshot", "index", "data"}[min(t, Data)]
}

// Handle names one file. Config has an empty name, every other name is 64
// lower-case hexadecimal digits.
type Handle struct {
	Type Type
	Name string
}

// String is the file's path inside the repository.
func (h Handle) String() string { return h.Path() }

// Path is the file's slash-separated place in the format's default layout.
func (h Handle) Path() string {
	switch h.Type {
	case Config:
		return "config"
	case Data:
		if len(h.Name) > 2 {
			return path.Join("data", h.Name[:2], h.Name)
		}
	}
	return path.Join(h.Type.Dir(), h.Name)
}

// Validate refuses names that the layout has no place for, so that no handle
// leads out of the store.
func (h Handle) Validate() error {
	if h.Type == Config {
		if h.Name != "" {
			return fmt.Errorf("config file with a name %q", h.Name)
		}
		return nil
	}
	if h.Type > Data || !ValidName(h.Name) {
		return fmt.Errorf("%q is not the name of a %s file", h.Name, h.Type)
	}
	return nil
}

// ValidName tells whether name is 64 lower-case hexadecimal digits.
func ValidName(name string) bool {
	if len(name) != 64 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Info is what a store knows of a file without reading it.
type Info struct {
	Name string
	Size int64 // bytes
	// Time is when the file was written, by the store's own clock, to the second
	// or finer; zero where the store does not tell.
	Time time.Time
}

// Store holds the files of one repository. All methods may be called from
// several goroutines at once and honour ctx. Errors name the file.
type Store interface {
	// Location is the URL that Open was given, without any secret in it.
	Location() string

	// Save writes a file. It is atomic and durable: after an error, a crash
	// or a power cut the file is there whole or not at all, and when Save
	// returns nil it survives a power cut. ErrExists if the name is taken,
	// whatever its content. The slice is only read, and not kept.
	Save(ctx context.Context, h Handle, data []byte) error

	// Load reads length bytes from offset; length 0 reads to the end.
	// ErrNotFound if there is no such file; where the file ends early the
	// reader, or Load itself, reports ErrShort. The reader must be closed.
	Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, error)

	// Stat returns the size of a file, or ErrNotFound.
	Stat(ctx context.Context, h Handle) (Info, error)

	// List calls visit for every file of a sort, in no particular order and
	// never twice at once. Anything that does not have a valid name is left
	// out. A sort without files is no error. An error of visit ends the list
	// and is returned.
	List(ctx context.Context, t Type, visit func(Info) error) error

	// Remove deletes a file, or reports ErrNotFound.
	Remove(ctx context.Context, h Handle) error

	// Close gives up connections. The store is not used afterwards.
	Close() error
}

// ReadAll loads a whole file into memory. A file larger than limit bytes is
// ErrTooLarge, so that a hostile store cannot exhaust memory.
func ReadAll(ctx context.Context, s Store, h Handle, limit int64) ([]byte, error) {
	return ReadInto(ctx, s, h, limit, nil)
}

// ReadInto is ReadAll into the memory of buf, as far as that reaches.
func ReadInto(ctx context.Context, s Store, h Handle, limit int64, buf []byte) ([]byte, error) {
	r, err := s.Load(ctx, h, 0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	into := bytes.NewBuffer(buf[:0])
	if _, err := into.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", h, err)
	}
	if int64(into.Len()) > limit {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", h, ErrTooLarge, limit)
	}
	return into.Bytes(), nil
}

// ReadRange loads len(buf) bytes from offset into buf.
func ReadRange(ctx context.Context, s Store, h Handle, buf []byte, offset int64) error {
	if len(buf) == 0 {
		return nil
	}
	r, err := s.Load(ctx, h, offset, int64(len(buf)))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.ReadFull(r, buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = ErrShort
		}
		return fmt.Errorf("read %s at %d: %w", h, offset, err)
	}
	return nil
}
