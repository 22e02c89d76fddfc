package pc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Boot loaders.
const (
	GRUBLegacy = "grub"  // 0.97, which reads /boot/grub/menu.lst
	GRUB2      = "grub2" // which reads /boot/grub2/grub.cfg
)

// The disk has a small first partition, for swap, and the root as its second, as
// the installers of SUSE make them: (hd0,1), hd0,msdos2, /dev/vda2.
const (
	sector    = 512
	swapStart = 2048
	rootStart = 4096
)

// MakeDisk makes a disk image of that size in bytes with a copy of root on it and
// a boot loader that boots it. The size is a multiple of a MiB. Nothing is mounted.
func MakeDisk(ctx context.Context, image, root, loader string, size int64) error {
	if err := errors.Join(checkParts(), empty(image, size)); err != nil {
		return err
	}
	kind := []string{"-t", "ext4"}
	if loader == GRUBLegacy { // which knows no larger inodes
		kind = []string{"-t", "ext3", "-I", "128"}
	}
	args := append([]string{"-q", "-F", "-L", "root", "-d", root, "-E", fmt.Sprintf("offset=%d", rootStart*sector)}, kind...)
	if err := run(ctx, "mkfs.ext4", append(args, image, fmt.Sprintf("%dk", (size-rootStart*sector)>>10))...); err != nil {
		return err
	}
	switch loader {
	case GRUBLegacy:
		return installLegacy(ctx, image, size)
	case GRUB2:
		return installGRUB2(ctx, image, size)
	}
	return fmt.Errorf("no boot loader %q", loader)
}

// MakeImage makes an image without partitions, with a copy of dir in an ext4.
func MakeImage(ctx context.Context, image, dir string, size int64) error {
	if err := empty(image, size); err != nil {
		return err
	}
	return run(ctx, "mkfs.ext4", "-q", "-F", "-d", dir, image)
}

func empty(image string, size int64) error {
	f, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// Extract writes what is on the root of a disk image into a directory that is there:
// directories, files and symbolic links, with their modes and owners. The PC must be
// off.
func Extract(ctx context.Context, image, dir string) error {
	return debugfs(ctx, image, "rdump / "+dir)
}

// debugfs works on the root of a disk image. It has no exit code for what went wrong.
func debugfs(ctx context.Context, image, command string) error {
	cmd := exec.CommandContext(ctx, "debugfs", "-w", "-R", command, fmt.Sprintf("%s?offset=%d", image, rootStart*sector))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	err := cmd.Run()
	_, said, _ := strings.Cut(errs.String(), "\n") // its version
	if err != nil || strings.TrimSpace(said) != "" {
		return fmt.Errorf("debugfs %s on %s: %w\n%s", command, image, errors.Join(err, errDebugfs), errs.String())
	}
	return nil
}

var errDebugfs = errors.New("it complained")

// table writes the partitions into a master boot record.
func table(record []byte, size int64) {
	clear(record[446:510])
	put := func(at int, active, kind byte, start, count uint32) {
		p := record[at : at+16]
		p[0], p[4] = active, kind
		copy(p[1:4], "\xfe\xff\xff")
		copy(p[5:8], "\xfe\xff\xff")
		binary.LittleEndian.PutUint32(p[8:], start)
		binary.LittleEndian.PutUint32(p[12:], count)
	}
	put(446, 0, 0x82, swapStart, rootStart-swapStart)
	put(462, 0x80, 0x83, rootStart, uint32(size/sector)-rootStart)
	record[510], record[511] = 0x55, 0xaa
}

// embed writes a master boot record and what comes behind it, before the first
// partition.
func embed(image string, record, rest []byte) error {
	if len(record) != sector || len(rest) > (swapStart-1)*sector {
		return fmt.Errorf("the boot loader has %d and %d bytes, which do not fit before the first partition", len(record), len(rest))
	}
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(record, 0)
	_, err2 := f.WriteAt(rest, sector)
	return errors.Join(err, err2, f.Close())
}
