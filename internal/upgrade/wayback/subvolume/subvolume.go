// Package subvolume does with btrfs what a way back needs: looking at subvolumes,
// snapshots, deleting, exchanging, the default one. It asks the kernel itself, so
// that a rescue system needs no further programs. The numbers and layouts are those
// of linux/btrfs.h and linux/btrfs_tree.h. What is gone back to, and when, must not
// enter here.
package subvolume

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TopLevel is the id of the subvolume that every btrfs has.
const TopLevel = 5

// topInode is the inode number of every subvolume's own directory.
const topInode = 256

// Calls of ioctl_btrfs.
const (
	iocCreate     = 0x5000940e // SUBVOL_CREATE
	iocDestroy    = 0x5000940f // SNAP_DESTROY
	iocSearch     = 0xd0009411 // TREE_SEARCH
	iocLookup     = 0xd0009412 // INO_LOOKUP
	iocSetDefault = 0x40089413 // DEFAULT_SUBVOL
	iocSnapshot   = 0x50009417 // SNAP_CREATE_V2
	iocGetFlags   = 0x80089419 // SUBVOL_GETFLAGS
	iocSetFlags   = 0x4008941a // SUBVOL_SETFLAGS
)

const flagReadOnly = 1 << 1

// Is tells whether a path is the directory of a subvolume.
func Is(path string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return false, &os.PathError{Op: "look at", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Ino != topInode {
		return false, nil
	}
	return On(path)
}

// On tells whether a path lies on a btrfs.
func On(path string) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return false, &os.PathError{Op: "look at the file system of", Path: path, Err: err}
	}
	return fs.Type == unix.BTRFS_SUPER_MAGIC, nil
}

// ID is the number of the subvolume that a directory lies in. A number is never used
// again.
func ID(path string) (uint64, error) {
	args := struct {
		tree, object uint64
		name         [4080]byte
	}{object: topInode}
	if err := call(path, iocLookup, unsafe.Pointer(&args)); err != nil {
		return 0, fmt.Errorf("find the subvolume of %s: %w", path, err)
	}
	return args.tree, nil
}

// ReadOnly tells whether a subvolume refuses to be written to.
func ReadOnly(path string) (bool, error) {
	var flags uint64
	if err := call(path, iocGetFlags, unsafe.Pointer(&flags)); err != nil {
		return false, fmt.Errorf("read the flags of subvolume %s: %w", path, err)
	}
	return flags&flagReadOnly != 0, nil
}

// SetReadOnly has a subvolume refuse to be written to, or not.
func SetReadOnly(path string, on bool) error {
	var flags uint64
	err := call(path, iocGetFlags, unsafe.Pointer(&flags))
	if err == nil {
		flags &^= flagReadOnly
		if on {
			flags |= flagReadOnly
		}
		err = call(path, iocSetFlags, unsafe.Pointer(&flags))
	}
	if err != nil {
		return fmt.Errorf("make subvolume %s read-only: %w", path, err)
	}
	return nil
}

// Create makes an empty subvolume at path.
func Create(path string) error {
	var args struct {
		fd   int64
		name [4088]byte
	}
	if copy(args.name[:len(args.name)-1], filepath.Base(path)) < len(filepath.Base(path)) {
		return fmt.Errorf("make subvolume %s: %w", path, unix.ENAMETOOLONG)
	}
	if err := call(filepath.Dir(path), iocCreate, unsafe.Pointer(&args)); err != nil {
		return fmt.Errorf("make subvolume %s: %w", path, err)
	}
	return nil
}

// Delete removes a subvolume, which must have none inside. Its blocks come free later.
func Delete(path string) error {
	var args struct {
		fd   int64
		name [4088]byte
	}
	if copy(args.name[:len(args.name)-1], filepath.Base(path)) < len(filepath.Base(path)) {
		return fmt.Errorf("delete subvolume %s: %w", path, unix.ENAMETOOLONG)
	}
	if err := call(filepath.Dir(path), iocDestroy, unsafe.Pointer(&args)); err != nil {
		return fmt.Errorf("delete subvolume %s: %w", path, err)
	}
	return nil
}

// Snapshot makes a writable snapshot of one subvolume at path, with empty directories
// in the place of those inside. All that was written to the source is in it.
func Snapshot(source, path string) error {
	fd, err := unix.Open(source, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: source, Err: err}
	}
	defer unix.Close(fd)
	args := struct {
		fd                 int64
		transaction, flags uint64
		unused             [4]uint64
		name               [4040]byte
	}{fd: int64(fd)}
	if copy(args.name[:len(args.name)-1], filepath.Base(path)) < len(filepath.Base(path)) {
		return fmt.Errorf("make snapshot %s: %w", path, unix.ENAMETOOLONG)
	}
	if err := call(filepath.Dir(path), iocSnapshot, unsafe.Pointer(&args)); err != nil {
		return fmt.Errorf("make snapshot %s of %s: %w", path, source, err)
	}
	return nil
}

// Exchange lets two subvolumes, which may be anywhere in the file system, change
// places at once (renameat2(2), Linux 4.7 for subvolumes).
func Exchange(a, b string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("exchange %s and %s: %w", a, b, err)
	}
	return nil
}

// SetDefault makes a subvolume the one that is mounted when none is named.
func SetDefault(path string) error {
	id, err := ID(path)
	if err == nil {
		err = call(path, iocSetDefault, unsafe.Pointer(&id))
	}
	if err != nil {
		return fmt.Errorf("make %s the default subvolume: %w", path, err)
	}
	return nil
}

// Default is the id of the subvolume that is mounted when none is named.
func Default(path string) (id uint64, err error) {
	const rootDir, dirItem = 6, 84 // ROOT_TREE_DIR_OBJECTID, DIR_ITEM_KEY
	id = TopLevel
	err = search(path, rootDir, dirItem, func(_ uint64, data []byte) error {
		// struct btrfs_dir_item: key{id, type, offset}, transid, data_len, name_len, type, name
		if len(data) >= 30 && string(data[30:min(len(data), 30+int(binary.LittleEndian.Uint16(data[27:])))]) == "default" {
			id = binary.LittleEndian.Uint64(data)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("find the default subvolume of %s: %w", path, err)
	}
	return id, nil
}

// Nested is a subvolume inside another one.
type Nested struct {
	ID   uint64
	Path string // relative to the one it is in
}

// Inside lists the subvolumes inside one, those inside them as well, every one after
// what it is in.
func Inside(path string) ([]Nested, error) {
	id, err := ID(path)
	if err != nil {
		return nil, err
	}
	all, err := inside(path, id, "", 0)
	if err != nil {
		return nil, fmt.Errorf("list the subvolumes inside %s: %w", path, err)
	}
	return all, nil
}

func inside(path string, id uint64, prefix string, depth int) ([]Nested, error) {
	if depth > 64 {
		return nil, errors.New("they are nested too deeply")
	}
	const rootRef = 156 // ROOT_REF_KEY
	var all []Nested
	err := search(path, id, rootRef, func(child uint64, data []byte) error {
		// struct btrfs_root_ref: dirid, sequence, name_len, name
		if len(data) < 18 || len(data) < 18+int(binary.LittleEndian.Uint16(data[16:])) {
			return errors.New("the kernel's answer is not understood")
		}
		name := string(data[18 : 18+int(binary.LittleEndian.Uint16(data[16:]))])
		args := struct {
			tree, object uint64
			name         [4080]byte
		}{tree: id, object: binary.LittleEndian.Uint64(data)}
		if err := call(path, iocLookup, unsafe.Pointer(&args)); err != nil {
			return err
		}
		dir, _, _ := bytes.Cut(args.name[:], []byte{0})
		all = append(all, Nested{ID: child, Path: filepath.Join(prefix, string(dir), name)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, n := range all[:len(all):len(all)] {
		below, err := inside(path, n.ID, n.Path, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// search gives the items of one object and type in the tree of trees to visit, with
// the offset of their key.
func search(path string, object uint64, kind uint32, visit func(offset uint64, data []byte) error) error {
	const rootTree, size = 1, 4096 - 104
	offset := uint64(0)
	for {
		args := struct {
			tree, minObject, maxObject, minOffset, maxOffset, minTransaction, maxTransaction uint64
			minType, maxType, items, _                                                       uint32
			_                                                                                [4]uint64
			data                                                                             [size]byte
		}{
			tree: rootTree, minObject: object, maxObject: object, minOffset: offset, maxOffset: ^uint64(0), maxTransaction: ^uint64(0),
			minType: kind, maxType: kind, items: 4096,
		}
		if err := call(path, iocSearch, unsafe.Pointer(&args)); err != nil {
			return err
		}
		if args.items == 0 {
			return nil
		}
		at := 0
		for range args.items {
			// struct btrfs_ioctl_search_header: transid, objectid, offset, type, len
			if at+32 > size {
				return errors.New("the kernel's answer is not understood")
			}
			offset = binary.NativeEndian.Uint64(args.data[at+16:])
			length := int(binary.NativeEndian.Uint32(args.data[at+28:]))
			if at += 32; length > size-at {
				return errors.New("the kernel's answer is not understood")
			}
			if err := visit(offset, args.data[at:at+length]); err != nil {
				return err
			}
			at += length
		}
		if offset++; offset == 0 {
			return nil
		}
	}
}

func call(path string, request uintptr, arg unsafe.Pointer) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// below joins a path with a relative one of a Nested.
func below(path, relative string) string { return strings.TrimSuffix(path, "/") + "/" + relative }

// UUID identifies the file system of a path, in hexadecimal.
func UUID(path string) (string, error) {
	const iocInfo = 0x8400941f // FS_INFO
	var args struct {
		_, _ uint64 // highest number of a device, and how many there are
		id   [16]byte
		_    [992]byte
	}
	if err := call(path, iocInfo, unsafe.Pointer(&args)); err != nil {
		return "", fmt.Errorf("find the id of the file system of %s: %w", path, err)
	}
	return hex.EncodeToString(args.id[:]), nil
}
