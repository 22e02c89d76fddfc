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
	proxy := storagetest.NewTCPProxy(t, server.Addr)
	opts := sftp.Options{
		Stall:      storagetest.Limit,
		KeyFile:    server.Key,
		KnownHosts: []string{server.KnownHosts(t, server.Addr, proxy.Addr)},
	}
	t.Run("bare", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T, location string) storage.Store {
			return open(t, location, opts)
		}, fresh(server, server.Addr))
	})
	storagetest.RunRemote(t, storagetest.Remote{
		Proxy: proxy,
		Open: func(t *testing.T, location string) storage.Store {
			return retry.New(open(t, location, opts), storagetest.Policy)
		},
		Location: fresh(server, proxy.Addr),
	})
}
