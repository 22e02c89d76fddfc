package sftp_test

import (
	"path/filepath"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/sftp"
	"lifeboat/internal/storage/storagetest"
)

func open(t *testing.T, location string, opts sftp.Options) *sftp.Store {
	t.Helper()
	place, err := sftp.ParseURL(location)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sftp.Open(place, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func fresh(server storagetest.SSHServer, addr string) func(t *testing.T) string {
	return func(t *testing.T) string {
		return "sftp://" + server.User + "@" + addr + "/" + filepath.Join(t.TempDir(), "a", "store")
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	server := storagetest.NewSSHServer(t)
	opts := func(addr string) sftp.Options {
		return sftp.Options{
			Stall:      storagetest.Limit,
			KeyFile:    server.Key,
			KnownHosts: []string{server.KnownHosts(t, addr)},
		}
	}
	t.Run("bare", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T, location string) storage.Store {
			return open(t, location, opts(server.Addr))
		}, fresh(server, server.Addr))
	})
	storagetest.RunRemote(t, storagetest.Remote{Start: func(t *testing.T) (*storagetest.Proxy, storage.Store) {
		proxy := storagetest.NewTCPProxy(t, server.Addr)
		return proxy, retry.New(open(t, fresh(server, proxy.Addr)(t), opts(proxy.Addr)), storagetest.Policy)
	}})
}
