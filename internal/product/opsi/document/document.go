// Package document reads what opsiconfd's backup command writes: one document with
// the objects of the server's database and its configuration files, encoded as
// msgpack or JSON, packed with lz4, gzip or not at all, encrypted or not. It turns
// the objects into the rows of opsi's tables. Documents are hostile: everything is
// bounded and no name leaves the directory it is unpacked into. Nothing here knows
// servers, services or recovery points.
//
// The form of the documents was learnt from opsiconfd 4.3 and its published test
// document; opsi has no description of it.
package document

import (
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/excerpt"
)

// Errors that callers tell apart. Each stands in a chain that says more.
var (
	// ErrForeign says that the bytes are no document of opsiconfd.
	ErrForeign = errors.New("this is no backup document of opsiconfd")
	// ErrEncrypted says that a password is needed and none was given.
	ErrEncrypted = errors.New("the document is encrypted")
	// ErrPassword says that the password does not open the document. A
	// changed or cut file looks the same.
	ErrPassword = errors.New("the document does not open: the password is wrong, or the file is damaged or cut off")
	// ErrCut says that the document ends too early.
	ErrCut = errors.New("the document is cut off")
	// ErrDamaged says that the bytes break the rules of their form.
	ErrDamaged = errors.New("the document is damaged")
	// ErrTooLarge says that a bound was passed.
	ErrTooLarge = errors.New("the document is larger than allowed")
)

// Limits of a document. The largest real one seen has 23 MB unpacked.
const (
	maxFile   = 2 << 30  // bytes of an encrypted file, which is decrypted in memory
	maxPlain  = 16 << 30 // bytes after unpacking, which are streamed
	maxString = 64 << 20 // bytes of one text
	maxDepth  = 16       // nesting of what is kept
	maxSkip   = 64       // nesting of what is passed over
	maxFields = 1000     // attributes of an object
	maxList   = 100_000  // elements of a list within an object
	maxFiles  = 10_000   // configuration files
)

// Form says how a document is written.
type Form struct {
	Encrypted   bool   `json:"encrypted"`
	Compression string `json:"compression"` // "lz4", "gz" or "none"
	Encoding    string `json:"encoding"`    // "msgpack" or "json"
	// Checked tells whether something in the form notices changed bytes: the
	// encryption, gzip's sum, or the sum that an lz4 frame may have.
	// opsiconfd's own lz4 frames have none.
	Checked bool `json:"checked"`
}

func (f Form) String() string {
	s := f.Encoding + ", " + map[string]string{"lz4": "packed with lz4", "gz": "packed with gzip", "none": "not packed"}[f.Compression]
	if f.Encrypted {
		s += ", encrypted"
	}
	return s
}

// Meta is the document's head.
type Meta struct {
	Type    string `json:"type"`
	Version string `json:"version"`
	// Opsiconfd is the version of opsiconfd that wrote the document.
	Opsiconfd string    `json:"opsiconfd_version"`
	Time      time.Time `json:"time"` // zero when it does not say
	Node      string    `json:"node_name"`
	FQDN      string    `json:"fqdn"`
	HostID    string    `json:"host_id"`
	ServerID  string    `json:"server_id"`
}

// check refuses what is not of the one known version.
func (m Meta) check() error {
	switch {
	case m.Type != "opsiconfd_backup":
		return fmt.Errorf("its type is %q: %w", excerpt.Line(m.Type, 80), ErrForeign)
	case m.Version != "1":
		return fmt.Errorf("it has version %q and only version 1 is known: a newer Lifeboat may read it", excerpt.Line(m.Version, 80))
	}
	return nil
}

// Object is one object as it stands: values are nil, bool, int64, uint64,
// float64, string, []byte, []any or map[string]any.
type Object map[string]any

// File is a configuration file.
type File struct {
	Name    string // opsiconfd's name for it
	Path    string // where it stood; hostile until it was checked
	Content string
	Present bool // false when there was none on the server
}

// Handler takes the parts of a document in the order in which they stand in it.
// A function left nil is not called. An error ends the reading.
type Handler struct {
	Meta   func(Meta) error
	Class  func(class string) error // before the objects of a class, also when there are none
	Object func(class string, o Object) error
	File   func(File) error
	Redis  func(name string) error // a dumped key of Redis; its value is passed over
	// Unknown is a part that no known version has, as a path of names.
	Unknown func(part string) error
}
