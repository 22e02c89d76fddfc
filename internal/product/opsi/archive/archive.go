// Package archive reads and writes the archives of opsi-backup: a tar stream,
// packed with bzip2, gzip or not at all, whose members stand below CONTENT and
// whose last two, CONTROL/checksums and CONTROL/sysinfo, describe them. What is
// read is foreign: all of it is looked at, within Limits, before anything is
// written, and nothing leaves the directory it is unpacked to. Nothing of services,
// databases or recovery points may enter here.
//
// The format is known from opsi's public sources and from archives of its class.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// What can be wrong with an archive as a whole.
var (
	// ErrForeign says that a file is no archive of opsi-backup.
	ErrForeign = errors.New("no archive of opsi-backup")
	// ErrWrapped says that a file is packed in a way that is not opsi-backup's.
	ErrWrapped = errors.New("it must be unpacked first")
	// ErrDamaged says that the archive is cut off, or not what its sums say.
	ErrDamaged = errors.New("the archive is damaged")
	// ErrHostile says that the archive holds what opsi-backup never writes and
	// what would do harm.
	ErrHostile = errors.New("the archive is not trusted")
	// ErrLimit says that the archive is larger than Limits allow.
	ErrLimit = errors.New("the archive is larger than allowed")
)

// Limits bound what is read of an archive.
type Limits struct {
	Members int   // entries; each takes about 500 bytes of memory
	Bytes   int64 // of the unpacked stream
	// Ratio is how many times larger than the file the stream may be, once it
	// exceeds 64 MiB. A dump in bzip2 reaches 50, a bomb 10,000 and more.
	Ratio   int64
	Control int64 // bytes of CONTROL/checksums; CONTROL/sysinfo may have 64 KiB
	Depth   int   // parts of a name; each may have 255 bytes, together 4,096
}

// DefaultLimits fit a server of tens of thousands of clients.
var DefaultLimits = Limits{Members: 500_000, Bytes: 256 << 30, Ratio: 1000, Control: 128 << 20, Depth: 64}

// Archive is an opened archive, read once from end to end. It is not safe for
// concurrent use.
type Archive struct {
	Name        string // of the file
	Compression Compression
	Info        Info
	// Members are those below CONTENT that count, in the order of the file.
	Members []*Member
	// Backends lists what Members hold, and Configuration whether CONF is there.
	Backends      []Backend
	Configuration bool
	// Accounts names the owners of Members by the numbers these carry.
	Accounts Accounts
	// Bytes is the content of Members, hard links counted once.
	Bytes int64

	file     *os.File
	limits   Limits
	sums     checksums
	findings findings
	entries  []*Member // by position in the stream; nil for what is no member
	// out holds the names of entries that did not become members, for reasons
	// that are told.
	out    map[string]bool
	size   int64 // of the file
	moment time.Time
}

// Backend is the share of one backend in an archive.
type Backend struct {
	Part    Part
	Name    string // as its file below /etc/opsi/backends is called, without .conf
	Members int
	Bytes   int64
}

// Open reads an archive to its end: every name is checked, every sum computed.
// Damage that leaves the archive readable is told by Verify. Close must be called.
func Open(ctx context.Context, name string, limits Limits) (*Archive, error) {
	a, err := open(ctx, name, limits)
	if err != nil {
		return nil, fmt.Errorf("read archive %s: %w", name, err)
	}
	return a, nil
}

func open(ctx context.Context, name string, limits Limits) (*Archive, error) {
	before, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() { // opening a FIFO would wait
		return nil, fmt.Errorf("it is no regular file: %w", ErrForeign)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(before, info) {
		err = errors.New("it was exchanged while it was opened")
	}
	a := &Archive{Name: name, file: f, limits: limits, out: map[string]bool{}}
	if err == nil {
		a.size = info.Size()
		err = a.scan(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

// Close ends the reading.
func (a *Archive) Close() error { return a.file.Close() }

// Moment is when the archive was made, as far as it tells: by the name that
// opsi-backup generates, by the dump in it, or by its newest member. Zero when
// nothing tells.
func (a *Archive) Moment() time.Time { return a.moment }

// OpenFile reads the content of one regular member or hard link; it goes through
// the archive up to there.
func (a *Archive) OpenFile(ctx context.Context, m *Member) (io.ReadCloser, error) {
	want := m
	if m.to != nil {
		want = m.to
	}
	if want.Type != Regular {
		return nil, fmt.Errorf("%s is no file", m.Name)
	}
	r, w := io.Pipe()
	found := errors.New("found")
	go func() {
		err := a.each(ctx, func(e entry) error {
			if e.index != want.index {
				return nil
			}
			if _, err := io.Copy(w, e.content); err != nil {
				return err
			}
			return found
		})
		if errors.Is(err, found) {
			err = nil
		}
		w.CloseWithError(err)
	}()
	return r, nil
}
