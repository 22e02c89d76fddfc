package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lifeboat/internal/storage/storagetest"
)

const lockedSite = `profile: site
title: A site
detect: {file: /}
components:
  - {name: documents, kind: files, importance: critical, capture: live, loss: All., paths: [DIR/data]}
recovery:
  restore: [{restore: documents}]
`

const lockedConfig = `state_dir: DIR/state
repositories:
  - name: objects
    url: s3:http://ADDR/BUCKET/site
    password: {file: DIR/password}
    object_lock: {mode: governance, days: 30}
    retention: {last: 1}
    s3: {region: us-east-1, access_key: lifeboat, secret_key: {file: DIR/secret}}
systems:
  - {name: site, profile: site}
`

// The story of object storage with object lock: a bucket without it is refused,
// everything is written locked, points are verified, protected again, restored,
// and nobody with the client's keys can remove one for good.
func TestObjectLock(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: restores owners")
	}
	server := storagetest.NewVersioningS3Server(t)
	s := newSite(t, "ADDR", server.Addr)
	dir, put, lifeboat, says := s.dir, s.put, s.lifeboat, s.says
	put("password", "a password of the test\n")
	put("secret", server.SecretKey+"\n")
	put("data/one", "first")
	put("profiles/site.yaml", lockedSite)
	admin, err := minio.New(server.Addr, &minio.Options{Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for bucket, locks := range map[string]bool{"plain": false, "locked": true} {
		if err := admin.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{ObjectLocking: locks}); err != nil {
			t.Fatal(err)
		}
	}
	restic := func(bucket string) *storagetest.Restic {
		return storagetest.NewRestic(t, "s3:http://"+server.Addr+"/"+bucket+"/site", []string{
			"AWS_ACCESS_KEY_ID=" + server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + server.SecretKey,
		}, "--no-cache")
	}
	restic("plain").Run(t, "init", "--repository-version", "2")
	put("lifeboat.yaml", strings.Replace(lockedConfig, "BUCKET", "plain", 1))
	says(lifeboat(1, "backup"), "the bucket plain has no object lock", "--object-lock-enabled-for-bucket")

	stock := restic("locked")
	stock.Run(t, "init", "--repository-version", "2")
	put("lifeboat.yaml", strings.Replace(lockedConfig, "BUCKET", "locked", 1))
	lifeboat(0, "backup")
	put("data/two", "second")
	lifeboat(0, "backup")
	says(lifeboat(0, "verify", "--read-data"), "2 recovery points")
	tried := lifeboat(0, "repository", "check-store", "objects")
	says(tried, "/locked/site/check-store, with object lock in governance mode", "lock a file against removal", "keeps locked files from being removed",
		"/check-store/data/", "(100 bytes): it is locked against removal until")
	if strings.Count(tried, "Left behind") != 1 {
		t.Error(tried)
	}
	says(lifeboat(0, "repository", "check-store", "s3:http://"+server.Addr+"/locked/other", "-o", "object_lock.mode=compliance", "-o", "object_lock.days=30",
		"-o", "s3.access_key=lifeboat", "-o", "s3.secret_key={file: "+filepath.Join(dir, "secret")+"}", "--json"),
		`"object_lock":"compliance"`, `"until":"`, `"verdict":"fit"`)
	for o := range admin.ListObjects(t.Context(), "locked", minio.ListObjectsOptions{Prefix: "site/check-store/", WithVersions: true, Recursive: true}) {
		if o.Err != nil || o.Size != 100 {
			t.Errorf("%s of %d bytes stays, %v", o.Key, o.Size, o.Err)
		}
	}
	says(lifeboat(1, "repository", "check-store", "s3:http://"+server.Addr+"/plain/other", "-o", "object_lock.mode=compliance", "-o", "object_lock.days=30",
		"-o", "s3.access_key=lifeboat", "-o", "s3.secret_key={file: "+filepath.Join(dir, "secret")+"}"), "the bucket plain has no object lock")

	// What restic's init wrote has no lock yet.
	says(lifeboat(0, "repository", "protect", "--dry-run"), "2 would be locked until", "2 files had no lock any more")
	says(lifeboat(0, "repository", "protect"), "2 locked until")
	says(lifeboat(0, "repository", "protect"), "0 locked until")
	says(lifeboat(0, "--json", "repository", "protect", "--days", "90"), `"type":"protection"`, `"unchanged":0`)
	says(lifeboat(2, "repository", "protect", "--days", "-1"), "a lock lasts a day at least")

	// An intruder with the client's keys and restic hides a point, and does not
	// get rid of it: this machine notices, and the store still has it.
	id := strings.TrimSpace(lifeboat(0, "--json", "list"))
	id = id[strings.Index(id, `"id":"`)+6:][:8]
	stock.Run(t, "forget", id)
	says(lifeboat(1, "verify"), "vanished "+id)
	kept := 0
	for o := range admin.ListObjects(t.Context(), "locked", minio.ListObjectsOptions{Prefix: "site/snapshots/" + id, WithVersions: true, Recursive: true}) {
		if o.Err == nil && !o.IsDeleteMarker {
			kept++
			if err := admin.RemoveObject(t.Context(), "locked", o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID}); err == nil {
				t.Error("the version could be removed")
			}
			continue
		}
		// Without the mark of its removal it is there again.
		if err := admin.RemoveObject(t.Context(), "locked", o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID}); err != nil {
			t.Error(err)
		}
	}
	if kept != 1 {
		t.Errorf("%d versions are kept", kept)
	}
	says(lifeboat(0, "verify", "--read-data"), "2 recovery points")
	lifeboat(0, "restore", "site", "documents", "--target", filepath.Join(dir, "out"))
	if got, err := os.ReadFile(filepath.Join(dir, "out", dir, "data", "two")); err != nil || !bytes.Equal(got, []byte("second")) {
		t.Errorf("%q, %v", got, err)
	}

	// A point that retention does not keep is locked for now, and not for longer.
	lifeboat(0, "backup", "--trigger", "scheduled")
	lifeboat(0, "backup", "--trigger", "scheduled")
	says(lifeboat(0, "forget", "site", "--dry-run"), "stays: locked until", "0 recovery points would be removed, 4 stay")
	// To the retention that is a remark, also with a prune; to who names it a failure.
	for _, words := range [][]string{{"forget", "site"}, {"forget", "site", "--prune"}, {"schedule", "run", "site", "prune"}} {
		refused := lifeboat(0, words...)
		says(refused, "stays: locked until", "1 recovery point stays until ", "(locked).", "0 recovery points removed, 4 stay")
		if strings.Contains(refused, "removed;") || strings.Contains(refused, "gone") {
			t.Error(refused)
		}
	}
	says(lifeboat(1, "forget", "--yes", "--point", id), "locked against removal until")
	says(lifeboat(0, "verify"), "4 recovery points")
	says(lifeboat(0, "repository", "protect", "--days", "200"), "1 recovery point that the retention does not keep")
	says(lifeboat(0, "--json", "repository", "protect", "--days", "300", "--except", id), `"leaving":2`)
	// A prune copies nothing that the store keeps anyway.
	says(lifeboat(0, "prune", "--max-unused", "0"), "there is nothing to free")
	says(lifeboat(0, "--json", "prune", "--repack-locked"), `"written":0`)
	says(lifeboat(0, "verify"), "4 recovery points")
	stock.Run(t, "check", "--read-data")
}
