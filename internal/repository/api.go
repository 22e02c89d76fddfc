package repository

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Node is one entry of a tree, as the format describes it.
type Node struct {
	Name               string      `json:"name"`
	Type               NodeType    `json:"type"`
	Mode               os.FileMode `json:"mode,omitempty"`
	ModTime            time.Time   `json:"mtime"`
	AccessTime         time.Time   `json:"atime"`
	ChangeTime         time.Time   `json:"ctime"`
	UID                uint32      `json:"uid"`
	GID                uint32      `json:"gid"`
	User               string      `json:"user,omitempty"`
	Group              string      `json:"group,omitempty"`
	Inode              uint64      `json:"inode,omitempty"`
	DeviceID           uint64      `json:"device_id,omitempty"`
	Size               uint64      `json:"size,omitempty"`
	Links              uint64      `json:"links,omitempty"`
	LinkTarget         string      `json:"linktarget,omitempty"`
	LinkTargetRaw      []byte      `json:"linktarget_raw,omitempty"`
	ExtendedAttributes []Attribute `json:"extended_attributes,omitempty"`
	Device             uint64      `json:"device,omitempty"`
	Content            []ID        `json:"content"`
	Subtree            *ID         `json:"subtree,omitempty"`
}

// Attribute is one extended attribute of a node.
type Attribute struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// NodeType is what a node is.
type NodeType string

// The node types of the format. Sockets are not stored.
const (
	File        NodeType = "file"
	Dir         NodeType = "dir"
	Symlink     NodeType = "symlink"
	Device      NodeType = "dev"
	CharDevice  NodeType = "chardev"
	FIFO        NodeType = "fifo"
	Socket      NodeType = "socket"
	UnknownNode NodeType = ""
)

// Stats counts what a call stored or restored. Sizes are bytes.
type Stats struct {
	Files, Dirs, Other int64
	Unchanged          int64               // files taken over from the parent without reading
	Bytes              int64               // content, hard links counted once
	New                int64               // content bytes not in the repository before
	Stored             int64               // bytes added to packs, compressed and encrypted
	UIDs, GIDs         map[uint32]struct{} // every id in owners and ACLs
	Warnings           []string
	// Same, of AddPath: the parent has the very same entry at this path, and below it.
	Same bool
}

// PathOptions says how a live tree is stored.
type PathOptions struct {
	// Exclude decides by absolute path, before an entry is opened; an
	// excluded directory is not descended into.
	Exclude func(path string) bool
	// Root is where absolute paths stand for this process; "" is "/". The stored
	// paths never contain it.
	Root string
	// Progress is called with increments of content bytes, from several
	// goroutines at once.
	Progress func(bytes int64)
}

// Stream says what a stream is stored as: a regular file with these metadata.
type Stream struct {
	Mode     os.FileMode // permissions; 0 is 0600
	UID, GID uint32
	ModTime  time.Time // zero is the time of the call
	Progress func(bytes int64)
}

// SessionOptions says how a session writes.
type SessionOptions struct {
	// Parent is the snapshot that unchanged files are recognized by; nil reads
	// every file.
	Parent *Snapshot
	// Workers is how many goroutines compress and encrypt; 0 is one per CPU.
	Workers int
	// Compression is CompressionAuto if it is not set.
	Compression Compression
	// MadeMode gives the permissions of directories that are only in the snapshot,
	// say above a stream; nil is 0700 for all. They belong to root.
	MadeMode func(path string) os.FileMode
}

// Compression says how much effort goes into making blobs small. Whatever was
// chosen, every restic that reads version 2 can read it.
type Compression int

// The modes. CompressionAuto is CompressionFastest that leaves alone what does
// not become smaller.
const (
	CompressionAuto Compression = iota
	CompressionOff
	CompressionFastest
	CompressionDefault
	CompressionMax
)

// compressions are the modes as they are written in configurations and flags.
var compressions = []string{"auto", "off", "fastest", "default", "max"}

// Compressions lists the names of the modes.
func Compressions() []string { return slices.Clone(compressions) }

// String is the name of a mode.
func (c Compression) String() string {
	if c < 0 || int(c) >= len(compressions) {
		return fmt.Sprintf("compression %d", int(c))
	}
	return compressions[c]
}

// ParseCompression reads the name of a mode; nothing is CompressionAuto.
func ParseCompression(name string) (Compression, error) {
	if name == "" {
		return CompressionAuto, nil
	}
	if i := slices.Index(compressions, name); i >= 0 {
		return Compression(i), nil
	}
	return 0, fmt.Errorf("compression %q is not known; it is one of %s", name, strings.Join(compressions, ", "))
}

// SnapshotInfo is what a snapshot says of itself.
type SnapshotInfo struct {
	Time           time.Time // zero is when the session began
	Hostname       string
	Username       string
	UID, GID       uint32
	Paths          []string // absolute; empty takes those of the AddPath calls
	Tags           []string
	Excludes       []string
	ProgramVersion string
}
