package repository

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/s3"
	"lifeboat/internal/storage/storagetest"
)

// vaulted is a repository in object storage with object lock.
type vaulted struct {
	*Repository
	server storagetest.S3Server
	store  *s3.Store
}

const day = 24 * time.Hour

func (v *vaulted) open(t *testing.T, lock s3.Lock) *s3.Store {
	t.Helper()
	s, err := s3.Open(s3.Place{Endpoint: v.server.Addr, Plain: true, Bucket: "vault", Prefix: "repo"}, s3.Options{
		AccessKey: v.server.AccessKey, SecretKey: v.server.SecretKey, Region: "us-east-1", Lock: lock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newVaulted makes a repository whose files are locked for ten days.
func newVaulted(t *testing.T) *vaulted {
	t.Helper()
	v := &vaulted{server: storagetest.NewVersioningS3Server(t)}
	v.store = v.open(t, s3.Lock{Mode: "governance", Days: 10})
	r, err := Create(t.Context(), v.store, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	v.Repository = r
	return v
}

// removed is what a store's administrator does with a right that clients lack.
func (v *vaulted) removed(t *testing.T, h storage.Handle) {
	t.Helper()
	admin, err := minio.New(v.server.Addr, &minio.Options{Creds: credentials.NewStaticV4(v.server.AccessKey, v.server.SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	key := "repo/" + h.Path()
	info, err := admin.StatObject(t.Context(), "vault", key, minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.RemoveObject(t.Context(), "vault", key, minio.RemoveObjectOptions{VersionID: info.VersionID, GovernanceBypass: true}); err != nil {
		t.Fatal(err)
	}
}

func (v *vaulted) files(t *testing.T) (all []storage.Handle) {
	t.Helper()
	for _, of := range []storage.Type{storage.Key, storage.Snapshot, storage.Index, storage.Data} {
		if err := v.store.List(t.Context(), of, func(i storage.Info) error {
			all = append(all, storage.Handle{Type: of, Name: i.Name})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return append(all, storage.Handle{Type: storage.Config})
}

func (v *vaulted) left(t *testing.T, h storage.Handle) time.Duration {
	t.Helper()
	found, err := v.store.Retention(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return time.Until(found.Until)
}

func (v *vaulted) restic(t *testing.T, args ...string) string {
	t.Helper()
	return storagetest.NewRestic(t, v.Location(), []string{
		"RESTIC_PASSWORD=" + string(testPassword), "AWS_ACCESS_KEY_ID=" + v.server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + v.server.SecretKey,
	}, "--no-cache").Run(t, args...)
}

// tree makes a directory with one file of its own content.
func tree(t *testing.T, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), random(seed, 100_000))
	return dir
}

// What snapshots need is locked longer, what none needs is not, and a second call
// has nothing to do.
func TestProtect(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	gone, _ := backup(t, v.Repository, nil, tree(t, 1))
	before := v.files(t)
	kept, _ := backup(t, v.Repository, nil, tree(t, 2))
	v.removed(t, handle(storage.Snapshot, gone.ID))

	look, err := v.Protect(t.Context(), ProtectOptions{Period: 40 * day, DryRun: true})
	if err != nil || !look.OK() || look.Extended == 0 || look.Unlocked != 0 || look.Earliest.IsZero() {
		t.Fatalf("%+v, %v", look, err)
	}
	for _, h := range v.files(t) {
		if left := v.left(t, h); left > 11*day {
			t.Errorf("a dry run has locked %s for %v", h, left)
		}
	}
	report, err := v.Protect(t.Context(), ProtectOptions{Period: 40 * day})
	if err != nil || !report.OK() || report.Extended != look.Extended || report.Files != report.Extended || report.Unneeded == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, h := range v.files(t) {
		unneeded := slices.Contains(before, h) && (h.Type == storage.Data || h.Type == storage.Index)
		if left := v.left(t, h); (left > 39*day) == unneeded {
			t.Errorf("%s (unneeded: %v) is locked for %v", h, unneeded, left)
		}
	}
	again, err := v.Protect(t.Context(), ProtectOptions{Period: 40 * day})
	if err != nil || again.Extended != 0 || again.Unchanged != report.Files {
		t.Errorf("again: %+v, %v", again, err)
	}
	if shorter, err := v.Protect(t.Context(), ProtectOptions{Period: 20 * day}); err != nil || shorter.Extended != 0 {
		t.Errorf("shorter: %+v, %v", shorter, err)
	}
	// A point that is locked cannot be forgotten, and that is said at once.
	err = v.Forget(t.Context(), kept.ID)
	if !errors.Is(err, storage.ErrRetained) || !strings.Contains(err.Error(), report.Until.Local().Format(time.DateOnly)) {
		t.Errorf("forget: %v", err)
	}
	v.restic(t, "check", "--read-data")
}

// What shall be forgotten is not locked longer, or it never could be.
func TestProtectWithout(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	old, _ := backup(t, v.Repository, nil, tree(t, 1))
	before := v.files(t)
	kept, _ := backup(t, v.Repository, nil, tree(t, 2))
	if _, err := v.Protect(t.Context(), ProtectOptions{Period: 40 * day, Without: []ID{old.ID}}); err != nil {
		t.Fatal(err)
	}
	for _, h := range v.files(t) {
		leaves := slices.Contains(before, h) && h.Type != storage.Key && h.Type != storage.Config
		if left := v.left(t, h); (left > 39*day) == leaves {
			t.Errorf("%s (to be forgotten: %v) is locked for %v", h, leaves, left)
		}
	}
	// Of several that are forgotten those go whose locks have ended.
	v.removed(t, handle(storage.Snapshot, old.ID))
	plain, err := Open(t.Context(), v.open(t, s3.Lock{}), testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	free, _ := backup(t, plain, nil, tree(t, 3))
	if list, err := v.Kept(t.Context(), []ID{kept.ID, free.ID}); err != nil || len(list) != 1 || list[0].ID != kept.ID || list[0].Err.Until.IsZero() {
		t.Errorf("%v, %v", list, err)
	}
	_, err = v.ForgetChosen(t.Context(), func(context.Context) ([]ID, error) { return []ID{kept.ID, free.ID}, nil })
	if !errors.Is(err, storage.ErrRetained) || !strings.Contains(err.Error(), "snapshot "+kept.ID.Short()+" stays: it is locked") || !strings.Contains(err.Error(), "1 other was removed") {
		t.Errorf("%v", err)
	}
	if snaps, err := v.Snapshots(t.Context()); err != nil || len(snaps) != 1 || snaps[0].ID != kept.ID {
		t.Errorf("%d snapshots, %v", len(snaps), err)
	}
}

// interrupting ends the context after so many locks.
type interrupting struct {
	*s3.Store
	left atomic.Int32
	end  context.CancelFunc
}

func (i *interrupting) Retain(ctx context.Context, h storage.Handle, until time.Time) error {
	if i.left.Add(-1) < 0 {
		i.end()
		return ctx.Err()
	}
	return i.Store.Retain(context.WithoutCancel(ctx), h, until) // under way: it is done
}

func TestProtectGoesOn(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	for seed := range uint64(6) {
		backup(t, v.Repository, nil, tree(t, seed))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store := &interrupting{Store: v.store, end: cancel}
	store.left.Store(5)
	r, err := Open(t.Context(), store, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.Protect(ctx, ProtectOptions{Period: 40 * day})
	if !errors.Is(err, context.Canceled) || part.Extended != 5 || !strings.Contains(err.Error(), "goes on where it was") {
		t.Fatalf("%+v, %v", part, err)
	}
	rest, err := v.Protect(t.Context(), ProtectOptions{Period: 40 * day})
	if err != nil || rest.Unchanged != 5 || rest.Extended != rest.Files-5 {
		t.Errorf("%+v, %v", rest, err)
	}
}

// A prune removes what it may, says until when the rest is locked, leaves a sound
// repository, adds nothing when it is repeated, and is done when the locks have
// ended.
func TestPruneLocked(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	shared := tree(t, 1)
	gone, _ := backup(t, v.Repository, nil, shared, tree(t, 2))
	backup(t, v.Repository, nil, shared)
	v.removed(t, handle(storage.Snapshot, gone.ID))

	// What would be kept beside its copy is not copied.
	before := len(v.files(t))
	if report, err := v.Prune(t.Context(), PruneOptions{}); err != nil || report.Locked.Packs == 0 || report.Locked.Bytes < 100_000 || report.Written != 0 || len(v.files(t)) != before {
		t.Fatalf("%+v, %v", report, err)
	}

	var files []int
	for range 3 {
		report, err := v.Prune(t.Context(), PruneOptions{RepackLocked: true})
		if err != nil || report.Refused.Packs == 0 || !strings.Contains(report.Reason, time.Now().Add(10*day).Local().Format("2006-01")) && !strings.Contains(report.Reason, "locked against removal until") {
			t.Fatalf("%+v, %v", report, err)
		}
		check(t, v.Repository, CheckOptions{ReadData: true})
		files = append(files, len(v.files(t)))
	}
	if files[1] != files[2] {
		t.Errorf("every prune leaves more behind: %v files", files)
	}
	v.restic(t, "check", "--read-data")

	// What is superseded is not protected, so that its lock ends.
	if report, err := v.Protect(t.Context(), ProtectOptions{Period: 40 * day}); err != nil || report.Unneeded == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, h := range v.files(t) {
		if v.left(t, h) < 11*day {
			v.removed(t, h) // as a prune does once the lock has ended
		}
	}
	if report := check(t, v.Repository, CheckOptions{ReadData: true}); report.Err() != nil || report.Snapshots != 1 {
		t.Errorf("%+v", report.Findings)
	}
	v.restic(t, "check", "--read-data")
}

// Damage is told, and everything that is there is protected all the same.
func TestProtectDamaged(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	backup(t, v.Repository, nil, tree(t, 1))
	backup(t, v.Repository, nil, tree(t, 2))
	pack := slices.IndexFunc(v.files(t), func(h storage.Handle) bool { return h.Type == storage.Data })
	v.removed(t, v.files(t)[pack])
	report, err := v.Protect(t.Context(), ProtectOptions{Period: 40 * day})
	if err != nil || report.OK() || len(report.Problems) == 0 || len(report.Missing) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, h := range v.files(t) {
		if left := v.left(t, h); left < 39*day {
			t.Errorf("%s is locked for %v", h, left)
		}
	}
}

func TestProtectElsewhere(t *testing.T) {
	t.Parallel()
	r, _ := newRepo(t)
	if _, err := r.Protect(t.Context(), ProtectOptions{Period: 40 * day}); !errors.Is(err, ErrNoRetention) {
		t.Errorf("a directory: %v", err)
	}
	v := newVaulted(t)
	bare, err := Open(t.Context(), v.open(t, s3.Lock{}), testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bare.Protect(t.Context(), ProtectOptions{Period: 40 * day}); err == nil || !strings.Contains(err.Error(), "no object_lock is configured") {
		t.Errorf("without a mode: %v", err)
	}
	if _, err := v.Protect(t.Context(), ProtectOptions{}); err == nil {
		t.Error("for no time at all")
	}
}
