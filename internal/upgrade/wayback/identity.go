package wayback

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
)

// Identity tells a root from others, wherever it is mounted. Neither an upgrade nor going
// back changes it, nor is anything written for it.
type Identity struct {
	Type string `json:"type"`           // of the file system
	UUID string `json:"uuid,omitempty"` // of the file system; "" where it has none
	// Inode and Born, in nanoseconds since 1970, are those of the root directory; 0 where
	// they do not stay.
	Inode uint64 `json:"inode,omitempty"`
	Born  int64  `json:"born,omitempty"`
}

// Identify looks at a root.
func Identify(root string) (Identity, error) {
	at, err := host.MountAt(root)
	if err != nil {
		return Identity{}, fmt.Errorf("identify the root at %s: %w", root, err)
	}
	id := Identity{Type: at.Type, UUID: fileSystem(at)}
	switch at.Type {
	case "btrfs", "overlay":
		// Subvolumes change places, and have one number; the directories of an overlay are
		// not its own.
		return id, nil
	}
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, root, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return Identity{}, fmt.Errorf("identify the root at %s: %w", root, err)
	}
	id.Inode = st.Ino
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return id, nil
}

func (i Identity) String() string {
	text := i.Type
	if i.UUID != "" {
		text += " with UUID " + i.UUID
	}
	if i.Inode != 0 {
		text += fmt.Sprintf(", directory %d", i.Inode)
	}
	return text
}

// same tells whether two looks were at one root: what one of them could not tell is not
// compared.
func (i Identity) same(o Identity) bool {
	return i.Type == o.Type && (i.UUID == "" || o.UUID == "" || i.UUID == o.UUID) &&
		(i.Inode == 0 || o.Inode == 0 || i.Inode == o.Inode) && (i.Born == 0 || o.Born == 0 || i.Born == o.Born)
}

// Expect refuses a root that is another one than was identified.
func (i Identity) Expect(root string) error {
	now, err := Identify(root)
	if err == nil && !i.same(now) {
		how := "mount that one there"
		if i.UUID != "" {
			how += ": mount UUID=" + i.UUID + " " + root
		}
		err = runbook.Refuse("", "what is at %s is not the root that the upgrade is of: expected %s, found %s; nothing was changed; %s", root, i, now, how)
	}
	return err
}

// fileSystem reads the UUID of a file system from its device: ext2 to ext4
// (kernel.org, ext4 data structures: magic 0xEF53 at 1080, UUID at 1128), XFS (magic
// "XFSB" at 0, UUID at 32), btrfs (magic "_BHRfS_M" at 65600, UUID at 65568). "" for others.
func fileSystem(m host.Mount) string {
	if !strings.HasPrefix(m.Source, "/dev/") {
		return ""
	}
	f, err := os.Open(m.Source)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, kind := range []struct {
		magic    string
		at, uuid int64
	}{{"\x53\xef", 1080, 1128}, {"XFSB", 0, 32}, {"_BHRfS_M", 65600, 65568}} {
		magic, uuid := make([]byte, len(kind.magic)), make([]byte, 16)
		_, err := f.ReadAt(magic, kind.at)
		if err == nil && string(magic) == kind.magic {
			_, err = f.ReadAt(uuid, kind.uuid)
		}
		if err == nil && string(magic) == kind.magic {
			h := hex.EncodeToString(uuid)
			return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		}
		if err != nil && err != io.EOF {
			return ""
		}
	}
	return ""
}

// Disk is a file system of this machine's disks that is mounted in a root.
type Disk struct {
	Path string `json:"path"` // where, on the root's machine
	Type string `json:"type"`
	UUID string `json:"uuid,omitempty"`
	Dir  string `json:"dir,omitempty"` // what of it is mounted: a directory or subvolume
}

// command mounts it in a root.
func (d Disk) command(root string) string {
	how := "mount "
	if d.Type == "btrfs" && d.Dir != "/" {
		how += "-o subvol=" + d.Dir + " "
	}
	if d.UUID == "" {
		return how + "… " + root + d.Path
	}
	return how + "UUID=" + d.UUID + " " + root + d.Path
}

// disksIn lists what of disks is mounted below a root. Of several at one place the last
// one is seen.
func disksIn(root string) (map[string]Disk, error) {
	all, err := host.Mounts()
	if err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, err
	}
	found := map[string]Disk{}
	for _, m := range all {
		path, in := strings.CutPrefix(m.Point, strings.TrimSuffix(root, "/"))
		if !in || path == "" || path[0] != '/' || path == "/" {
			continue
		}
		delete(found, path)
		if m.Local() {
			found[path] = Disk{Path: path, Type: m.Type, UUID: fileSystem(m), Dir: m.Root}
		}
	}
	return found, nil
}
