package sftp_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	t.Run("space", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, "sftp://"+server.User+"@"+server.Addr+"/"+dir, opts(server.Addr))
		local, err := storage.OpenLocal(dir, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := local.Space(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := storage.SpaceOf(t.Context(), retry.New(s, retry.Policy{})); err != nil || got.Total <= 0 || got.Total > want.Total*2 {
			t.Errorf("%+v, %v; here %+v", got, err, want)
		}
	})
	t.Run("tidy", func(t *testing.T) {
		dir := t.TempDir()
		for _, name := range []string{"there", "new/sub"} {
			s := open(t, "sftp://"+server.User+"@"+server.Addr+"/"+filepath.Join(dir, name), opts(server.Addr))
			h := storage.Handle{Type: storage.Data, Name: strings.Repeat("1", 64)}
			if name == "there" {
				if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, err := range []error{s.Save(t.Context(), h, []byte("x")), s.Remove(t.Context(), h), s.Tidy(t.Context())} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		// What was there stays, and is empty; what had to be made is gone.
		var left []string
		_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
			left = append(left, path)
			return nil
		})
		if want := []string{dir, filepath.Join(dir, "there")}; !slices.Equal(left, want) {
			t.Errorf("%q are left", left)
		}
	})
	storagetest.RunRemote(t, storagetest.Remote{Start: func(t *testing.T) (*storagetest.Proxy, storage.Store) {
		proxy := storagetest.NewTCPProxy(t, server.Addr)
		return proxy, retry.New(open(t, fresh(server, proxy.Addr)(t), opts(proxy.Addr)), storagetest.Policy)
	}})
}
