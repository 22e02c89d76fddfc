package rear

import (
	"context"
	"io/fs"
	"strings"

	"filippo.io/age"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/rescue/configuration"
)

// Versions is the Stock of a fleet: the files of the newest recovery configuration,
// the secret ones unsealed in memory and nowhere else.
type Versions struct {
	Store      record.Store
	Identities []age.Identity
}

// Files gives what a host last sent.
func (v Versions) Files(ctx context.Context, host record.HostID) ([]File, error) {
	var newest record.Version
	err := v.Store.Read(ctx, func(r record.Reader) (err error) {
		newest, err = r.Version(host, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	open, err := configuration.ParseOpen(newest.Open)
	if err != nil {
		return nil, err
	}
	all, _ := open.Conceal()
	if len(newest.Secret) > 0 {
		secret, err := configuration.Unseal(newest.Secret, host, v.Identities...)
		if err != nil {
			return nil, err
		}
		all = append(all, secret.Files...)
	}
	files := make([]File, 0, len(all))
	for _, f := range all {
		files = append(files, File{
			Path: strings.TrimPrefix(f.Path, "/"), Mode: uint32(f.Mode & fs.ModePerm), Content: f.Content, Changed: newest.Created,
		})
	}
	return files, nil
}
