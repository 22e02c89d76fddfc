package repository

import (
	"os"
	"time"
)

// ID names a blob or file of the repository: the SHA-256 of its content.
type ID [32]byte

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
	Unchanged          int64 // files taken over from the parent without reading
	Bytes              int64 // content, hard links counted once
	New                int64 // content bytes not in the repository before
	Stored             int64 // bytes added to packs, compressed and encrypted
	UIDs, GIDs         map[uint32]struct{} // every id in owners and ACLs
	Warnings           []string
}

// PathOptions says how a live tree is stored.
type PathOptions struct {
	// Exclude decides by absolute path, before an entry is opened; an
	// excluded directory is not descended into.
	Exclude func(path string) bool
	// Root is where absolute paths stand for this process; "" is "/". The stored
	// paths never contain it.
	Root     string
	Progress func(bytes int64) // called with increments
}

// RestoreOptions says how a stored tree is written to disk.
type RestoreOptions struct {
	// Include decides by absolute path in the snapshot; nil takes everything.
	Include func(path string) bool
	// UID and GID translate stored owners and ACL entries; nil keeps them.
	UID, GID func(old uint32) uint32
	// InPlace replaces an existing tree file by file: unchanged files (size and
	// mtime, or content when Verify) are left alone, changed ones are written
	// beside and renamed over. Otherwise target must not exist.
	InPlace  bool
	Delete   bool // with InPlace: remove what the snapshot does not have
	Progress func(bytes int64)
	Warn     func(message string)
}
