package repository

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pkg/xattr"
)

// A file whose owner is nobody on the target must neither go to a stranger with
// that number nor run as root.
func TestNobodysFilesBecomeRoots(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "tool")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	// version 2; user::rwx, user:4711:r--, group::---, mask::r--, other::---
	acl := []byte{
		2, 0, 0, 0,
		1, 0, 7, 0, 255, 255, 255, 255,
		2, 0, 4, 0, 0x67, 0x12, 0, 0,
		4, 0, 0, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255,
		32, 0, 0, 0, 255, 255, 255, 255,
	}
	if err := xattr.LSet(file, "system.posix_acl_access", acl); err != nil {
		t.Skipf("needs a file system with ACLs: %v", err)
	}
	if err := os.Chmod(file, 0o740|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	repo, _ := newRepo(t)
	snapshot, _ := backup(t, repo, nil, file)
	target := filepath.Join(t.TempDir(), "tool")
	nobody := func(old uint32) uint32 {
		if old == 0 {
			return 0
		}
		return NoID
	}
	if _, err := repo.Restore(t.Context(), snapshot, file, target, RestoreOptions{UID: nobody, GID: nobody}); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(target, &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 0 || st.Gid != 0 || st.Mode&0o6000 != 0 {
		t.Errorf("uid %d, gid %d, mode %o", st.Uid, st.Gid, st.Mode&0o7777)
	}
	value, err := xattr.LGet(target, "system.posix_acl_access")
	if uids, _ := ACLIDs(value); err == nil && len(uids) > 0 {
		t.Errorf("the ACL names %v", uids)
	}
}
