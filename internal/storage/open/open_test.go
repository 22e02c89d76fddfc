package open_test

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/check"
	"lifeboat/internal/storage/open"
	"lifeboat/internal/storage/restserver"
	"lifeboat/internal/storage/s3"
	"lifeboat/internal/storage/sftp"
	"lifeboat/internal/storage/storagetest"
)

func TestOpen(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	dir := t.TempDir()
	for address, want := range map[string]string{
		dir:                                dir,
		"local:" + dir:                     dir,
		"s3:host/bucket/prefix":            "s3:https://host/bucket/prefix",
		"sftp:me@host:/srv":                "sftp://me@host//srv",
		"rest:https://me:secret@host/repo": "rest:https://me@host/repo/",
	} {
		s, err := open.Open(t.Context(), address, open.Options{})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if s.Location() != want {
			t.Errorf("%s: location %s", address, s.Location())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, address := range []string{"", "b2:bucket", "s3:host", "sftp:host", "rest:ftp://me:secret@host/", "rest:http://me:secret@host/?x", "sftp://me:secret@host//srv"} {
		if s, err := open.Open(t.Context(), address, open.Options{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v", address, s, err)
		}
	}
	var unsupported *storage.UnsupportedError
	if _, err := open.Open(t.Context(), "b2:bucket", open.Options{}); !errors.As(err, &unsupported) {
		t.Errorf("b2: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for _, address := range []string{t.TempDir(), "s3:host/bucket", "sftp:host:/srv", "rest:http://host/"} {
		s, err := open.Open(t.Context(), address, open.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Save(t.Context(), storage.Handle{Type: storage.Config}, nil); !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Every sort of store passes the shipped trial, before a real server.
func TestCheckRealStores(t *testing.T) {
	try := func(t *testing.T, address string, opts open.Options) {
		t.Helper()
		s, err := open.Open(t.Context(), address, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		results, err := check.Store(t.Context(), s, check.Options{Size: 4 << 20})
		if err != nil {
			t.Error(err)
		}
		for _, r := range results {
			t.Logf("%-46s %s %s", r.Step, r.Grade, r.Text)
			if r.Grade != check.Good {
				t.Errorf("%+v", r)
			}
		}
	}
	t.Run("local", func(t *testing.T) {
		try(t, filepath.Join(t.TempDir(), "repo"), open.Options{})
	})
	t.Run("rest", func(t *testing.T) {
		h, err := restserver.New(restserver.Options{Repositories: restserver.Directory(t.TempDir())})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(h)
		defer server.Close()
		try(t, "rest:"+server.URL+"/repo/", open.Options{})
	})
	t.Run("sftp", func(t *testing.T) {
		server := storagetest.NewSSHServer(t)
		try(t, "sftp://"+server.User+"@"+server.Addr+"/"+t.TempDir()+"/repo", open.Options{
			SFTP: sftp.Options{KeyFile: server.Key, KnownHosts: []string{server.KnownHosts(t, server.Addr)}},
		})
	})
	t.Run("s3", func(t *testing.T) {
		server := storagetest.NewS3Server(t)
		opts := open.Options{S3: s3.Options{AccessKey: server.AccessKey, SecretKey: server.SecretKey}}
		address := "s3:http://" + server.Addr + "/bucket"
		s, err := open.Open(t.Context(), address, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Save(t.Context(), storage.Handle{Type: storage.Config}, []byte("makes the bucket")); err != nil {
			t.Fatal(err)
		}
		try(t, address, opts)
	})
}
