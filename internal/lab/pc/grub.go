package pc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// installLegacy does what the command setup of GRUB's shell does, which Debian has
// as a 32-bit program only. Offsets are those of stage1/stage1.h, stage1.5's start.S
// and stage2's asm.S as GRUB's manual describes them under "Internals".
func installLegacy(ctx context.Context, image string, size int64) error {
	record, err := os.ReadFile(filepath.Join(Parts, "stage1"))
	if err != nil {
		return err
	}
	second, err := os.ReadFile(filepath.Join(Parts, "e2fs_stage1_5"))
	if err != nil {
		return err
	}
	if len(record) != sector || len(second) < 2*sector {
		return errors.New("these are not GRUB legacy's stages")
	}
	little := binary.LittleEndian
	// Stage 1 loads one sector, the first of stage 1.5, to 0x2000.
	little.PutUint16(record[0x42:], 0x2000)
	little.PutUint32(record[0x44:], 1)
	little.PutUint16(record[0x48:], 0x200)
	table(record, size)
	// That one loads the rest of it,
	little.PutUint32(second[0x1f8:], 2)
	little.PutUint16(second[0x1fc:], uint16((len(second)-1)/sector))
	little.PutUint16(second[0x1fe:], 0x220)
	// which finds stage 2 by its name in the second partition of the disk it came from.
	little.PutUint32(second[0x208:], 0x01ffff)
	little.PutUint32(second[0x217:], 0xff01ffff)
	if err := debugfs(ctx, image, "write "+filepath.Join(Parts, "stage2")+" /boot/grub/stage2"); err != nil {
		return err
	}
	return embed(image, record, second)
}

// grub2Modules are those a grub.cfg of SUSE needs.
var grub2Modules = strings.Fields("biosdisk part_msdos ext2 normal configfile linux loadenv test echo minicmd search reboot halt true sleep")

// installGRUB2 does what grub-install does for a BIOS, with all modules in the
// image that is embedded.
func installGRUB2(ctx context.Context, image string, size int64) (err error) {
	const from = "/usr/lib/grub/i386-pc"
	core, err := os.CreateTemp("", "lab-core-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, core.Close(), os.Remove(core.Name())) }()
	args := append([]string{"-O", "i386-pc", "-d", from, "-p", "(hd0,msdos2)/boot/grub2", "-o", core.Name()}, grub2Modules...)
	if err := run(ctx, "grub-mkimage", args...); err != nil {
		return err
	}
	rest, err := os.ReadFile(core.Name())
	if err != nil {
		return err
	}
	record, err := os.ReadFile(filepath.Join(from, "boot.img"))
	if err != nil {
		return err
	}
	if len(record) != sector {
		return fmt.Errorf("boot.img of GRUB 2 has %d bytes", len(record))
	}
	table(record, size) // boot.img reads sector 1, and that what follows it
	return embed(image, record, rest)
}
