package files

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"lifeboat/internal/host"
)

// Trees up to this size have a digest of their content too, because reading
// them twice costs nothing worth saving.
const (
	contentItems = 2000
	contentBytes = 32 << 20
	maxChildren  = 256
)

// Tree is the compact description of one captured tree. Digests are SHA-256 in
// hex over all entries in the order of Walk.
type Tree struct {
	Path    string `json:"path"` // quoted as in Go when it is not UTF-8
	Items   int64  `json:"items"`
	Bytes   int64  `json:"bytes"` // of files, each name counted
	Entries string `json:"entries"`
	Times   string `json:"times"`             // modification times of files
	Owners  string `json:"owners"`            // modes, owners, ACLs and attributes, by name
	Content string `json:"content,omitempty"` // only of small trees
	// Children has a short digest of the entries for each child of a directory,
	// so that a difference can be told where it is; only when they are few.
	Children map[string]string `json:"children,omitempty"`
}

type digester struct {
	entries, times, owners, content hash.Hash
	children                        map[string]hash.Hash
	items, bytes                    int64
	top                             string
	names                           *names
}

func newDigester(h *host.Host) *digester {
	return &digester{
		entries: sha256.New(), times: sha256.New(), owners: sha256.New(), content: sha256.New(),
		children: map[string]hash.Hash{}, names: newNames(h),
	}
}

// add takes in one entry; it is a visitor of Walk.
func (d *digester) add(path string, info fs.FileInfo, real string) error {
	if d.items == 0 {
		d.top = path
	}
	d.items++
	below := strings.TrimPrefix(path, d.top)
	kind, size, to := info.Mode().Type(), int64(0), ""
	switch {
	case info.Mode().IsRegular():
		size = info.Size()
		d.bytes += size
		fmt.Fprintf(d.times, "%q %d\n", below, info.ModTime().UnixNano())
	case kind == fs.ModeSymlink:
		target, err := os.Readlink(real)
		if err != nil {
			return err
		}
		to = target
	case kind&fs.ModeDevice != 0:
		size = int64(info.Sys().(*syscall.Stat_t).Rdev)
	}
	line := fmt.Sprintf("%q %v %d %q\n", below, kind, size, to)
	io.WriteString(d.entries, line)
	if first, _, _ := strings.Cut(strings.TrimPrefix(below, "/"), "/"); first != "" && d.children != nil {
		if d.children[first] == nil {
			d.children[first] = sha256.New()
		}
		io.WriteString(d.children[first], line)
		if len(d.children) > maxChildren {
			d.children = nil
		}
	}
	attributes, err := d.names.attributes(real, info)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.owners, "%q %s\n", below, attributes)
	return d.read(info, real)
}

// read adds a file's content while the tree is small.
func (d *digester) read(info fs.FileInfo, real string) error {
	if d.items > contentItems || d.bytes > contentBytes {
		d.content = nil
	}
	if d.content == nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, contentBytes)); err != nil {
		return err
	}
	d.content.Write(sum.Sum(nil))
	return nil
}

func (d *digester) tree(path string) Tree {
	t := Tree{
		Path: Shown(path), Items: d.items, Bytes: d.bytes,
		Entries: hex.EncodeToString(d.entries.Sum(nil)),
		Times:   hex.EncodeToString(d.times.Sum(nil)),
		Owners:  hex.EncodeToString(d.owners.Sum(nil)),
	}
	if d.content != nil {
		t.Content = hex.EncodeToString(d.content.Sum(nil))
	}
	for child, sum := range d.children {
		if t.Children == nil {
			t.Children = map[string]string{}
		}
		t.Children[Shown(child)] = hex.EncodeToString(sum.Sum(nil)[:6])
	}
	return t
}
