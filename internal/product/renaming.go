package product

import (
	"context"

	"lifeboat/internal/host"
)

// Database is a product's database, as administrator.
type Database interface {
	// Query runs one reading statement; NULL is "NULL".
	Query(ctx context.Context, statement string) ([][]string, error)
	// Transact runs changing statements in one transaction, all or none.
	Transact(ctx context.Context, statements []string) error
}

// RenameEnv is where a system gets another name.
type RenameEnv struct {
	Host     *host.Host
	Settings map[string]string
	From, To string
	// Part is one of the product's RenameParts.
	Part string
	// Database is nil where the part needs none, or the system has none.
	Database Database
}

// Rename is what a renaming would do. Planning it changes nothing; after Apply
// the next plan is empty, also when Apply was killed and repeated.
type Rename struct {
	Changes []string // one line a change, without secrets
	Removed []string // what makes room for the new name
	Left    []string // what names the old one still and a person must see to
	// Apply carries it out. What it replaces is kept below aside, a directory.
	Apply func(ctx context.Context, aside string) error
}

// Empty tells whether there is nothing to do.
func (r *Rename) Empty() bool { return len(r.Changes)+len(r.Removed) == 0 }
