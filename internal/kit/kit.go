// Package kit makes recovery kits: paper for the safe that says where the recovery
// points of a machine are and how to get at them when the machine and everybody's
// memory of it are gone, with a password of its own that is printed, or split among
// people. It remembers which kits there are, and puts shares together again. Nothing
// is printed on a terminal or asked for here, and the password goes nowhere but into
// the kit's files.
package kit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/kit/sheet"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

// Options says what kit is made.
type Options struct {
	Vault      *vault.Vault // of the repository that the kit opens; no lock is held
	Repository config.Repository
	Others     []config.Repository // where copies of the points are
	Systems    []System
	Catalog    *recovery.Catalog
	Host       *host.Host
	Elsewhere  []config.Elsewhere
	// Output is a directory, which gets the sheet and each share as files of
	// their own, or the name of one PDF.
	Output string
	// Total shares are made, of which Threshold open the repository; 0 for a
	// password that is printed.
	Total, Threshold int
	StateDir         string
	Version          string // of this program
}

// System is one that the kit is for.
type System struct {
	config.System
	Profile *profile.Profile
	Site    bool // the profile is the site's own: Lifeboat elsewhere does not know it
}

// Made is a kit that was made.
type Made struct {
	Record
	Files []string
	// Unassigned are secrets that nobody is named for.
	Unassigned []string
	// Pointless are systems without a recovery point in the repository.
	Pointless []string
}

// Make makes a kit: a key of the repository, the files, and a record of it. Existing
// files are fs.ErrExist. When something fails, key and files are removed again.
func Make(ctx context.Context, o Options) (made *Made, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	repo := o.Vault.Repository()
	made = &Made{Record: Record{
		Created: time.Now(), RepositoryID: repo.ID(), Location: repo.Location(), Shares: o.Total, Threshold: o.Threshold,
	}}
	if made.ID, err = o.newID(ctx); err != nil {
		return nil, err
	}
	for _, s := range o.Systems {
		made.Systems = append(made.Systems, s.Name)
	}
	s, err := o.sheet(ctx, made)
	if err != nil {
		return nil, err
	}
	files, err := reserve(o.Output, made.ID, o.Total)
	if err != nil {
		return nil, err
	}
	var id repository.ID
	defer func() {
		if err == nil {
			return
		}
		made = nil
		err = errors.Join(err, files.remove())
		if id != (repository.ID{}) {
			err = errors.Join(err, repo.RemoveKey(context.WithoutCancel(ctx), id))
		}
	}()
	var secret [typed.SecretSize]byte
	defer clear(secret[:])
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	password := typed.Password(secret)
	if id, err = repo.AddKeyFor(ctx, label(made.ID, made.Created), []byte(password)); err != nil {
		id = repository.ID{}
		return nil, fmt.Errorf("make a key for the recovery kit: %w", err)
	}
	made.Key = id.String()
	s.Repository = append(s.Repository, sheet.Line{Name: "Key of this kit", Value: id.Short() + "; made useless with: lifeboat kit revoke " + made.ID})
	var shares []typed.Share
	if o.Total == 0 {
		s.Password = password
	} else if shares, err = divide(made.ID, secret, o.Total, o.Threshold); err != nil {
		return nil, err
	}
	if err := made.save(o.StateDir); err != nil {
		return nil, err
	}
	if err := files.write(s, shares); err != nil {
		return nil, errors.Join(err, made.remove(o.StateDir))
	}
	made.Files = files.names()
	return made, nil
}

// Validate checks the numbers of shares.
func (o Options) Validate() error {
	switch {
	case o.Total == 0 && o.Threshold == 0:
	case o.Threshold < 2:
		return fmt.Errorf("a threshold of %d: one share alone would open the repository", o.Threshold)
	case o.Threshold > o.Total:
		return fmt.Errorf("a threshold of %d with %d shares: there would never be enough", o.Threshold, o.Total)
	case o.Total > typed.MaxShares:
		return fmt.Errorf("%d shares: a kit has at most %d", o.Total, typed.MaxShares)
	}
	return nil
}

// label is what lists of keys show for a kit's.
func label(kit string, created time.Time) string {
	return fmt.Sprintf("recovery kit of %s (%s)", created.Format(time.DateOnly), kit)
}

var labelled = regexp.MustCompile(`^recovery kit of (\d{4}-\d{2}-\d{2}) \(([0-9A-Z]{4})\)$`)

// ofKey is the kit that a key was made for, "" for other keys.
func ofKey(k repository.Key) string {
	if m := labelled.FindStringSubmatch(k.Username); m != nil && typed.IsKit(m[2]) {
		return m[2]
	}
	return ""
}

// newID names a kit as neither this machine nor the repository knows one.
func (o Options) newID(ctx context.Context) (string, error) {
	records, err := Records(o.StateDir)
	if err != nil {
		return "", err
	}
	keys, err := o.Vault.Repository().Keys(ctx)
	if err != nil && len(keys) == 0 {
		return "", err
	}
	for {
		id := typed.NewKit()
		if !slices.ContainsFunc(records, func(r Record) bool { return r.ID == id }) &&
			!slices.ContainsFunc(keys, func(k repository.Key) bool { return ofKey(k) == id }) {
			return id, nil
		}
	}
}
