// Package inventory writes down what a tree is, entry by entry, and tells where a
// tree is no longer what was written down: contents, links and hard links, modes,
// owners, attributes, times. It is the proof that a root went back. It changes
// nothing, and does not know how a root goes back.
package inventory

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"lifeboat/internal/component/aside"
)

// Options say what of a tree counts. They have to be the same for the inventory and
// for what is compared with it.
type Options struct {
	// Skip takes an entry out by its path, and what is below it. "/" is the tree's
	// own directory. nil skips nothing.
	Skip func(path string) bool
	// Since is when something else began to look at the tree, a backup say. Entries
	// that were changed later are Moving. Zero for a tree that stands still.
	Since time.Time
	// Quick compares without reading: a file of the same size and time has the same
	// content.
	Quick bool
	// Progress is called with increments of content bytes read.
	Progress func(bytes int64)
}

// Type is the sort of an entry.
type Type string

// The sorts of entries.
const (
	File    Type = "file"
	Dir     Type = "dir"
	Symlink Type = "link"
	Block   Type = "block"
	Char    Type = "char"
	FIFO    Type = "fifo"
	Socket  Type = "socket"
)

// Entry is one entry of a tree. Access times and change times are not written down,
// nor labels of SELinux, which the machine's policy decides.
type Entry struct {
	Path   aside.Name `json:"path"` // absolute in the tree; "/" is the tree itself
	Type   Type       `json:"type"`
	Mode   uint32     `json:"mode"` // permissions with setuid, setgid and sticky bits
	UID    uint32     `json:"uid"`
	GID    uint32     `json:"gid"`
	MTime  int64      `json:"mtime"` // nanoseconds since 1970
	Size   int64      `json:"size,omitempty"`
	Hash   string     `json:"sha256,omitempty"` // of a file's content
	Target aside.Name `json:"target,omitempty"` // of a symbolic link
	Device uint64     `json:"device,omitempty"` // of a device
	// Same is the first path of a file that has several.
	Same aside.Name `json:"same,omitempty"`
	// Attributes are the extended ones, ACLs too, by name, with the SHA-256 of the value.
	Attributes map[aside.Name]string `json:"attributes,omitempty"`
	// Moving says that the entry was changed while the inventory was taken, or after
	// Options.Since, so that it proves nothing.
	Moving bool `json:"moving,omitempty"`
}

// Summary is what an inventory amounts to. Digest is the SHA-256 of all of it, in
// hexadecimal: two trees with one digest are equal.
type Summary struct {
	Digest  string `json:"digest"`
	Entries int64  `json:"entries"`
	Bytes   int64  `json:"bytes"`            // of content, hard links once
	Moving  int64  `json:"moving,omitempty"` // entries that were written to meanwhile
}

// head is the first line of an inventory.
const head = `{"inventory":1}` + "\n"

// maxLine bounds a line, in bytes: paths and targets have 4 KiB, quoted up to four
// times that, and the names of attributes 64 KiB (xattr(7)).
const maxLine = 1 << 20

// Take writes the inventory of the tree at root, a directory.
func Take(ctx context.Context, root string, o Options, w io.Writer) (Summary, error) {
	sum := sha256.New()
	out := bufio.NewWriterSize(w, 1<<16)
	l := lister{w: io.MultiWriter(out, sum), sum: sum}
	if _, err := io.WriteString(l.w, head); err != nil {
		return Summary{}, err
	}
	err := walk(ctx, root, o, true, l.add)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return Summary{}, fmt.Errorf("take the inventory of %s: %w", root, err)
	}
	return l.summary(), nil
}

type lister struct {
	w   io.Writer
	sum hash.Hash
	s   Summary
}

func (l *lister) add(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	l.s.Entries++
	if e.Type == File && e.Same == "" {
		l.s.Bytes += e.Size
	}
	if e.Moving {
		l.s.Moving++
	}
	_, err = l.w.Write(append(line, '\n'))
	return err
}

func (l *lister) summary() Summary {
	l.s.Digest = hex.EncodeToString(l.sum.Sum(nil))
	return l.s
}

// Read gives every entry of an inventory to visit, in the order of the tree, and
// returns what it amounts to.
func Read(r io.Reader, visit func(Entry) error) (Summary, error) {
	l, err := open(r)
	if err != nil {
		return Summary{}, err
	}
	for {
		e, err := l.next()
		if errors.Is(err, io.EOF) {
			return l.summary(), nil
		}
		if err == nil && visit != nil {
			err = visit(e)
		}
		if err != nil {
			return Summary{}, err
		}
	}
}

// list is an inventory that is being read.
type list struct {
	lines *bufio.Scanner
	lister
	last string
}

func open(r io.Reader) (*list, error) {
	sum := sha256.New()
	lines := bufio.NewScanner(io.TeeReader(r, sum))
	lines.Buffer(nil, maxLine)
	if !lines.Scan() || lines.Text()+"\n" != head {
		return nil, errors.Join(errors.New("this is no inventory"), lines.Err())
	}
	return &list{lines: lines, lister: lister{w: io.Discard, sum: sum}}, nil
}

// next is io.EOF after the last entry.
func (l *list) next() (e Entry, err error) {
	if !l.lines.Scan() {
		if err := l.lines.Err(); err != nil {
			return e, fmt.Errorf("read the inventory: %w", err)
		}
		return e, io.EOF
	}
	if err := json.Unmarshal(l.lines.Bytes(), &e); err != nil {
		return e, fmt.Errorf("read the inventory: %w", err)
	}
	path := string(e.Path)
	if !strings.HasPrefix(path, "/") || strings.Contains(path+"/", "/../") || strings.ContainsRune(path, 0) {
		return e, fmt.Errorf("read the inventory: %q is no path", path)
	}
	if l.last != "" && order(l.last, path) >= 0 {
		return e, fmt.Errorf("read the inventory: %q comes after %q", path, l.last)
	}
	l.last = path
	return e, l.add(e)
}

// order compares paths as a walk meets them: a directory, then what is in it.
func order(a, b string) int {
	for a != "" && b != "" {
		x, restA, _ := strings.Cut(a, "/")
		y, restB, _ := strings.Cut(b, "/")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return len(a) - len(b)
}
