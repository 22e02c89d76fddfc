package host_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// acl is a POSIX ACL that lets user 33 read, as acl(5) and the kernel's
// posix_acl_xattr.h have it.
func acl() []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, uint32(2))
	none := ^uint32(0)
	for _, e := range []struct {
		Tag, Perm uint16
		ID        uint32
	}{{1, 6, none}, {2, 4, 33}, {4, 4, none}, {0x10, 4, none}, {0x20, 0, none}} {
		_ = binary.Write(&b, binary.LittleEndian, e)
	}
	return b.Bytes()
}

// A file that is written anew, and one that comes back, keep attributes and ACLs; the
// latter its time, too.
func TestWriteKeepsAttributes(t *testing.T) {
	dir := t.TempDir()
	path, aside := filepath.Join(dir, "etc/opsi.conf"), filepath.Join(dir, "aside/opsi.conf")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Dir(path), 0o755))
	must(os.WriteFile(path, []byte("old"), 0o640))
	want := map[string][]byte{"user.note": []byte("by hand"), "system.posix_acl_access": acl()}
	for name, value := range want {
		if err := xattr.Set(path, name, value); errors.Is(err, unix.ENOTSUP) {
			t.Skip("needs a file system with ACLs and attributes for temporary files")
		} else {
			must(err)
		}
	}
	then := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	must(os.Chtimes(path, then, then))
	// What a directory hands down is not the file's.
	must(xattr.Set(filepath.Dir(path), "system.posix_acl_default", acl()))
	check := func(when string) {
		t.Helper()
		info, err := os.Stat(path)
		must(err)
		if info.Mode().Perm() != 0o640 {
			t.Errorf("%s: mode %v", when, info.Mode())
		}
		for name, value := range want {
			if got, err := xattr.Get(path, name); err != nil || !bytes.Equal(got, value) {
				t.Errorf("%s: %s is %q, %v", when, name, got, err)
			}
		}
	}
	h := host.Local()
	must(h.WriteFile(path, []byte("new"), host.WriteOptions{Mode: 0o640, UID: -1, GID: -1, Aside: aside, Attributes: path}))
	check("written")
	must(os.Remove(path))
	must(h.UnwriteFile(path, aside))
	check("brought back")
	text, err := os.ReadFile(path)
	must(err)
	info, err := os.Stat(path)
	must(err)
	if string(text) != "old" || !info.ModTime().Equal(then) {
		t.Errorf("brought back: %q of %v", text, info.ModTime())
	}
	plain := filepath.Join(dir, "etc/plain")
	must(os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600))
	must(h.WriteFile(plain, nil, host.WriteOptions{Mode: 0o600, UID: -1, GID: -1, Attributes: filepath.Join(dir, "plain")}))
	if names, err := xattr.List(plain); err != nil || len(names) > 0 {
		t.Errorf("attributes of a plain file: %v, %v", names, err)
	}
}
