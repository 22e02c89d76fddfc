package s3_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/s3"
	"lifeboat/internal/storage/storagetest"
	"lifeboat/internal/storage/transport"
)

func options(server storagetest.S3Server) s3.Options {
	return s3.Options{
		AccessKey: server.AccessKey,
		SecretKey: server.SecretKey,
		Transport: transport.Options{Stall: storagetest.Limit},
	}
}

func open(t *testing.T, location string, opts s3.Options) *s3.Store {
	t.Helper()
	place, err := s3.ParseURL(location)
	if err != nil {
		t.Fatal(err)
	}
	s, err := s3.Open(place, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var buckets atomic.Int32

// fresh returns a location with a bucket that exists.
func fresh(addr string, opts s3.Options) func(t *testing.T) string {
	return func(t *testing.T) string {
		location := fmt.Sprintf("s3:http://%s/bucket-%d/some/prefix", addr, buckets.Add(1))
		s := open(t, location, opts)
		defer s.Close()
		config := storage.Handle{Type: storage.Config}
		if err := s.Save(t.Context(), config, []byte("makes the bucket")); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		return location
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t)
	opts := options(server)
	t.Run("bare", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T, location string) storage.Store {
			return open(t, location, opts)
		}, fresh(server.Addr, opts))
	})
	storagetest.RunRemote(t, storagetest.Remote{HTTP: true, Start: func(t *testing.T) (*storagetest.Proxy, storage.Store) {
		proxy := storagetest.NewHTTPProxy(t, server.Addr)
		return proxy, retry.New(open(t, fresh(proxy.Addr, opts)(t), opts), storagetest.Policy)
	}})
}
