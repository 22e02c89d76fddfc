// Package product is the register of what a profile's YAML cannot say about a
// product: how its database schema is read and compared, which tables refer to
// which, and how what an administrator saved by hand is recognised. One
// sub-package is one product. It acts on nothing: no restoring, no services.
package product

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

// Product is the knowledge about one product. Fields left nil or empty say
// that there is nothing to know. A Product is read-only once registered.
type Product struct {
	Name  string
	Title string
	// Schema is what is known about the product's database.
	Schema Schema
	// Facts are the identity facts, by the names the product's profile gives
	// them, that follow from the version of the database's schema.
	Facts func(schema string) map[string]string
	// Comparisons may be named in a profile's identity.compare.
	Comparisons map[string]Comparison
	// Sources and Predicates are the product's own keys for profiles.
	Sources    map[string]profile.Source
	Predicates map[string]profile.Predicate
	// Rename plans to give a restored system another name, part by part; nil
	// where the product cannot be renamed.
	Rename      func(ctx context.Context, env RenameEnv) (*Rename, error)
	RenameParts []string
	// CheckName refuses a name that the product could not have.
	CheckName func(from, to string) error
	// Import recognises what was saved by hand in a directory.
	Import func(ctx context.Context, dir string) (*Import, error)
	// Unpack takes a file that a backup tool of the product has written, which
	// is recognised by its content, into an empty private directory. What it
	// returns describes that directory. ErrUnrecognised for any other file.
	Unpack func(ctx context.Context, file, dir string, password Password) (*Import, error)
	// Admit judges absolute paths that a foreign file names as places of this
	// machine. nil believes every file.
	Admit func(ctx context.Context, h *host.Host, places []Place) (Admission, error)
}

// Place is where a foreign file has data of a component.
type Place struct{ Component, Path string }

// Admission is what is wrong with places, each in the order of the places.
type Admission struct {
	Never   []string // paths of the system: not written, whatever anybody says
	Taken   []string // neither, being where other components are; each with the reason
	Strange []string // paths that are written only when somebody says that they are right
}

// Refusal is why the places are refused whatever anybody says, in words that follow
// those of who names them; "" where they are not.
func (a Admission) Refusal(product string) string {
	switch {
	case len(a.Never) > 0:
		return fmt.Sprintf("%q, which is a place of the system and never one of %s", a.Never, product)
	case len(a.Taken) > 0:
		return "places of other components, which would be overwritten: " + strings.Join(a.Taken, "; ")
	}
	return ""
}

// ErrUnrecognised says that a file is none that the product's tools write.
var ErrUnrecognised = errors.New("the file is not recognised")

// Password gives the password of a file, which is only asked for when the file
// is encrypted. The receiver clears it.
type Password func(ctx context.Context) ([]byte, error)

// Query runs one SQL statement and returns its rows as text; NULL is "NULL".
type Query func(ctx context.Context, statement string) ([][]string, error)

// ErrUpgrading says that a schema upgrade was under way in the database.
var ErrUpgrading = errors.New("a schema upgrade was under way")

// Schema is the knowledge about a product's database.
type Schema struct {
	// Version reads the schema version out of the database that the query
	// is connected to. ErrUpgrading when an upgrade is under way there.
	Version func(ctx context.Context, query Query) (string, error)
	// Tables lists the tables that a database of that version must have;
	// more than these never fail. Nil for a version that is not known; one that
	// is empty is of a database that has none.
	Tables func(version string) []string
	// References lists what rows refer to which, by product convention and
	// not by foreign key. Rows that refer to nothing are warnings.
	References []Reference
}

// Reference says that the columns of a table's rows name a row of another.
type Reference struct {
	Table     string
	Columns   []string
	To        string
	ToColumns []string
	// Where limits the rows, as a SQL condition on alias c ("" takes all).
	Where string
	// Schema limits the reference to schema versions; nil is every version.
	Schema func(version string) bool
}

func (r Reference) String() string {
	return fmt.Sprintf("%s%v → %s%v", r.Table, r.Columns, r.To, r.ToColumns)
}

// Comparison decides whether a fact of the recovery point goes with the same
// fact of the machine that it is restored to.
type Comparison struct {
	Summary string
	Compare func(ctx context.Context, h *host.Host, point, installed string) (Verdict, error)
}

// Level is how a comparison ended.
type Level int

// The three ends of a comparison.
const (
	Agrees  Level = iota
	Warns         // may go on; the person is told
	Refuses       // must not go on without --force
)

// Verdict is the result of a comparison.
type Verdict struct {
	Level Level
	Why   string // what was compared and found, for people
	Hint  string // what to do next
}

// Registry holds products by name.
type Registry map[string]*Product

// Make returns the registry of the given products.
func Make(products ...*Product) Registry {
	r := make(Registry, len(products))
	for _, p := range products {
		r[p.Name] = p
	}
	return r
}

// Get returns a product; "" is a product about which nothing is known.
func (r Registry) Get(name string) (*Product, error) {
	if name == "" {
		return &Product{}, nil
	}
	if p, ok := r[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("no product %q is known; there are %v", name, r.Names())
}

// Names lists the products in order.
func (r Registry) Names() []string {
	names := make([]string, 0, len(r))
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Import is what was recognised in a directory that somebody saved by hand. It
// describes; nothing has been copied.
type Import struct {
	Dir     string // the directory that was looked through
	Files   []ImportFile
	Dumps   []ImportDump
	Missing []Missing
	// Unknown lists files, relative to Dir, that nothing was made of.
	Unknown  []string
	Warnings []string
	// Origin says in a few words what file it was and who made it when;
	// "" when a directory was looked through.
	Origin string
	// Contents lists what is in the file, for people.
	Contents []ImportContent
	// Settings are the values read from the saved configuration, by the
	// names the product's profile gives them.
	Settings map[string]string
	// Facts are what identifies the lost machine, as far as its configuration
	// tells more than the files themselves.
	Facts map[string]string
	// Moment is when it was saved, as far as that is told beside the dumps.
	Moment time.Time
	// Needs are files of this machine without which nothing says where what was
	// found belongs; the usual places are taken, and that is told as a warning.
	Needs []string
	// Unusable tells of a component why the product would not run with the
	// configuration in it, as far as that can be seen without running it.
	Unusable map[string][]string
	// Users and Groups name the numbers that own the files; nil is that this
	// machine does, where the files lie now. The names are foreign, and hold
	// neither colon nor line end.
	Users, Groups map[uint32]string
}

// ImportContent is one line about what is in a file: so many objects of a class, a
// configuration file of that size.
type ImportContent struct {
	Kind  string `json:"kind"` // what is counted or measured
	Name  string `json:"name"`
	Count int64  `json:"count,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	Note  string `json:"note,omitempty"`
}

// ImportFile says where the content of a path of the lost machine is found. A
// directory stands for everything below it.
type ImportFile struct {
	Path      string // absolute, on the lost machine
	From      string // relative to Import.Dir; never leads out of it
	Component string // of the product's profile; "" for what only tells of the lost machine
	Dir       bool
}

// ImportDump is a database dump; it is hostile until it was staged.
type ImportDump struct {
	Database    string
	Component   string
	From        string // relative to Import.Dir
	Compression string // "", "gzip" or "bzip2", by content
	Charset     string // of the database when the dump does not say; "" is latin1
	// Remarks tell what a person should know of its rows.
	Remarks []string
}

// Missing is a part that the product's recovery wants and that was not found.
type Missing struct {
	Component string
	What      string
	Loss      string // what is gone without it
	Critical  bool
}
