package s3_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/s3"
	"lifeboat/internal/storage/storagetest"
)

// administer speaks to a server as its administrator.
func administer(t *testing.T, server storagetest.S3Server) *minio.Client {
	t.Helper()
	c, err := minio.New(server.Addr, &minio.Options{Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func locking(server storagetest.S3Server, mode string, days int) s3.Options {
	opts := options(server)
	opts.Lock = s3.Lock{Mode: mode, Days: days}
	return opts
}

func TestLock(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]storagetest.S3Server{
		"with versions": storagetest.NewVersioningS3Server(t), "without versions": storagetest.NewS3Server(t),
	} {
		for _, mode := range []string{"governance", "compliance"} {
			t.Run(name+" "+mode, func(t *testing.T) { testLock(t, server, mode) })
		}
	}
}

func testLock(t *testing.T, server storagetest.S3Server, mode string) {
	location := fmt.Sprintf("s3:http://%s/locked-%d/repo", server.Addr, buckets.Add(1))
	bare := open(t, location, locking(server, mode, 30))
	s := retry.New(bare, storagetest.Policy)
	r, ok := storage.AsRetainer(s)
	if !ok || r.Retaining() != 30*24*time.Hour {
		t.Fatal("the store retains nothing")
	}
	config := storage.Handle{Type: storage.Config}
	if err := s.Save(t.Context(), config, []byte("c")); err != nil {
		t.Fatal(err)
	}
	if err := r.Retainable(t.Context()); err != nil {
		t.Errorf("the bucket that was made: %v", err)
	}
	h, data := file("content")
	for _, of := range []storage.Type{storage.Key, storage.Snapshot, storage.Index, storage.Data} {
		h := storage.Handle{Type: of, Name: h.Name}
		if err := s.Save(t.Context(), h, data); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []storage.Handle{config, {Type: storage.Key, Name: h.Name}, {Type: storage.Snapshot, Name: h.Name}, {Type: storage.Index, Name: h.Name}, h} {
		found, err := r.Retention(t.Context(), h)
		if left := time.Until(found.Until); err != nil || !found.Holds() || left < 29*24*time.Hour || left > 30*24*time.Hour {
			t.Errorf("%s: %+v, %v", h, found, err)
		}
		err = s.Remove(t.Context(), h)
		var locked *storage.RetainedError
		if !errors.As(err, &locked) || !errors.Is(err, storage.ErrRetained) || !errors.Is(err, fs.ErrPermission) ||
			!locked.Until.Equal(found.Until) || retry.Transient(err) || !strings.Contains(err.Error(), found.Until.Local().Format(time.DateOnly)) {
			t.Errorf("remove %s: %v", h, err)
		}
		if _, err := s.Stat(t.Context(), h); err != nil {
			t.Errorf("after a refused removal: %v", err)
		}
	}
	// Somebody with our keys and without our manners removes nothing for good.
	admin := administer(t, server)
	bucket := strings.Split(location, "/")[3]
	object, err := admin.StatObject(t.Context(), bucket, "repo/"+h.Path(), minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.RemoveObject(t.Context(), bucket, object.Key, minio.RemoveObjectOptions{VersionID: object.VersionID}); err == nil {
		t.Error("the server removed it all the same")
	}
	// Locks go.
	lock := storage.Handle{Type: storage.Lock, Name: h.Name}
	if err := s.Save(t.Context(), lock, data); err != nil {
		t.Fatal(err)
	}
	if found, err := r.Retention(t.Context(), lock); err != nil || found.Holds() {
		t.Errorf("a lock of the repository is retained: %+v, %v", found, err)
	}
	if err := s.Remove(t.Context(), lock); err != nil {
		t.Error(err)
	}
	// Longer, never shorter.
	until := time.Now().Add(60 * 24 * time.Hour).Truncate(time.Second)
	for _, end := range []time.Time{until, until.Add(-time.Hour), until} {
		if err := r.Retain(t.Context(), h, end); err != nil {
			t.Fatal(err)
		}
		if found, err := r.Retention(t.Context(), h); err != nil || !found.Until.Equal(until) {
			t.Errorf("%+v, %v", found, err)
		}
	}
	if _, err := r.Retention(t.Context(), storage.Handle{Type: storage.Data, Name: strings.Repeat("0", 64)}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
	// A client that asks for no lock is told too, before it hides anything.
	plain := open(t, location, options(server))
	if err := plain.Remove(t.Context(), h); !errors.Is(err, storage.ErrRetained) {
		t.Errorf("%v", err)
	}
	// What is locked no longer, or never was, goes, with its version.
	other, data := file("unlocked")
	if err := plain.Save(t.Context(), other, data); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), other); err != nil {
		t.Error(err)
	}
	versions := 0
	for o := range admin.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: "repo/" + other.Path(), WithVersions: true, Recursive: true}) {
		if o.Err == nil {
			versions++
		}
	}
	if versions != 0 {
		t.Errorf("%d versions of a removed file are left", versions)
	}
}

// A bucket without object lock is refused before anything is written.
func TestNoLock(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t)
	location := fresh(server.Addr, options(server))(t)
	s := retry.New(open(t, location, locking(server, "governance", 1)), storagetest.Policy)
	h, data := file("content")
	err := s.Save(t.Context(), h, data)
	if err == nil || retry.Transient(err) || !strings.Contains(err.Error(), "--object-lock-enabled-for-bucket") {
		t.Errorf("%v", err)
	}
	if _, err := s.Stat(t.Context(), h); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("it was written all the same: %v", err)
	}
	r, _ := storage.AsRetainer(s)
	if err := r.Retainable(t.Context()); err == nil {
		t.Error("the bucket passes for one with object lock")
	}
	if err := s.Save(t.Context(), storage.Handle{Type: storage.Lock, Name: h.Name}, data); err != nil {
		t.Errorf("a lock needs no object lock: %v", err)
	}
}

// A server that knows no object lock, and one that does not say.
func TestLockUnknown(t *testing.T) {
	t.Parallel()
	status := http.StatusNotImplemented
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	opts := s3.Options{AccessKey: "a", SecretKey: "s", Region: "us-east-1", Lock: s3.Lock{Mode: "governance", Days: 1}}
	s := open(t, "s3:"+server.URL+"/bucket", opts)
	if err := s.Retainable(t.Context()); err == nil || !strings.Contains(err.Error(), "has no object lock") {
		t.Errorf("%v", err)
	}
	status = http.StatusForbidden
	if err := s.Retainable(t.Context()); err != nil {
		t.Errorf("who may not ask finds out when saving: %v", err)
	}
}

func TestLockOptions(t *testing.T) {
	t.Parallel()
	for _, l := range []s3.Lock{{Mode: "strict", Days: 1}, {Mode: "governance"}, {Days: 3}, {Mode: "compliance", Days: 40_000}, {Mode: "compliance", Days: -1}} {
		if err := l.Validate(); err == nil {
			t.Errorf("%+v", l)
		}
	}
}
