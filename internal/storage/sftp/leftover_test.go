package sftp_test

import (
	"testing"

	"lifeboat/internal/storage/sftp"
	"lifeboat/internal/storage/storagetest"
)

func TestLeftovers(t *testing.T) {
	t.Parallel()
	server := storagetest.NewSSHServer(t)
	dir := t.TempDir()
	s := open(t, "sftp://"+server.User+"@"+server.Addr+"/"+dir, sftp.Options{KeyFile: server.Key, KnownHosts: []string{server.KnownHosts(t, server.Addr)}})
	storagetest.Leftovers(t, s, dir)
}
