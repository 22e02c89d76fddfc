package sftp

import (
	"context"
	"fmt"

	"github.com/pkg/sftp"

	"lifeboat/internal/storage"
)

// spaceExtension is OpenSSH's addition to the protocol (PROTOCOL in its sources,
// section 4.4); other servers may not have it.
const spaceExtension = "statvfs@openssh.com"

// Space asks the host for the file system of the repository's directory.
func (s *Store) Space(ctx context.Context) (storage.Space, error) {
	var found *sftp.StatVFS
	err := s.with(ctx, func(c *sftp.Client) (err error) {
		if _, ok := c.HasExtension(spaceExtension); ok {
			found, err = c.StatVFS(s.place.Path)
		}
		return err
	})
	var space storage.Space
	switch {
	case err != nil:
	case found == nil:
		err = storage.ErrSpaceUnknown
	default:
		space, err = storage.NewSpace(found.Frsize, found.Blocks, found.Bfree, found.Bavail)
	}
	if err != nil {
		return storage.Space{}, fmt.Errorf("room of the file system of %s: %w", s.Location(), err)
	}
	return space, nil
}
