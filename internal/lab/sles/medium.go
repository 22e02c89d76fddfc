package sles

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/lab/pc"
)

// linuxrc is the first program of the booted installer: it finds the installation
// system on the second disk and starts what is to be started.
const linuxrc = `
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
sh /load
n=0
while [ ! -e /dev/vdb ] && [ $n -lt 6000 ]; do sleep 0.1; n=$((n+1)); done
mkdir -p /dev/disk/by-id
for n in 1 2; do ln -s ../../vda$n /dev/disk/by-id/ata-lab-part$n; done
mount -t ext4 /dev/vdb /mnt
mount -t proc proc /mnt/proc
mount -t devtmpfs dev /mnt/dev
chroot /mnt ` + installer + `
sync
umount /mnt/dev /mnt/proc /mnt
poweroff -f
`

// Medium makes in dir what a boot entry takes from an installation medium of the
// target: boot/x86_64/loader with linux and initrd. They start the double of the
// installer when InstallationSystem is the PC's second disk.
func (l *Lab) Medium(ctx context.Context, dir string) error {
	loader := filepath.Join(dir, "boot/x86_64/loader")
	if err := makeDirs(loader); err != nil {
		return err
	}
	if err := pc.Initrd(ctx, filepath.Join(loader, "initrd"), linuxrc); err != nil {
		return err
	}
	if err := run(ctx, "", nil, "cp", pc.Kernel, filepath.Join(loader, "linux")); err != nil {
		return err
	}
	return l.content(dir)
}

// content is the medium's own word on what it is, without a signature.
func (l *Lab) content(dir string) error {
	version, pack, _ := strings.Cut(l.To, ".")
	cpe := "cpe:/o:suse:sles:" + version
	if pack != "" {
		cpe += ":sp" + pack
	}
	text := "CONTENTSTYLE 11\nDISTRO " + cpe + ",SUSE Linux Enterprise Server\nBASEARCHS x86_64\n"
	for _, name := range []string{"boot/x86_64/loader/initrd", "boot/x86_64/loader/linux"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		text += fmt.Sprintf("HASH SHA256 %x  %s\n", sha256.Sum256(raw), name)
	}
	return write(filepath.Join(dir, "content"), text)
}

// InstallationSystem makes a disk image with the target's repositories and the
// double of the installer: this program, whose main has to call Init.
func (l *Lab) InstallationSystem(ctx context.Context, image string) (err error) {
	tree, err := os.MkdirTemp("", "lab-system-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	for _, d := range []string{"dev", "etc", "home", "lib64", "mnt", "proc", "repositories", "root", "tmp", "usr/lib", "usr/share", "var/tmp", "var/log"} {
		if err := makeDirs(filepath.Join(tree, d)); err != nil {
			return err
		}
	}
	var repositories []Repository
	for _, r := range l.Target {
		repo := Repository{Alias: r.Alias, Dir: "/repositories/" + r.Alias, URL: "file:///repositories/" + r.Alias}
		repositories = append(repositories, repo)
		if err := run(ctx, "", nil, "cp", "-a", r.Dir, filepath.Join(tree, repo.Dir)); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(repositories)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := pc.Copy(ctx, tree, program, "/bin/sh", "/bin/tar", "/bin/gzip", "/bin/cp", "/bin/ln", "/bin/mv", "/bin/rm", "/usr/bin/zypper", "/usr/bin/rpmdb2solv", "/usr/bin/repo2solv", "/usr/bin/rpm", "/usr/bin/rpmkeys", "/usr/bin/gpg", "/usr/bin/gpgconf", "/usr/bin/gpg-agent"); err != nil {
		return err
	}
	return errors.Join(
		write(filepath.Join(tree, medium), string(raw)),
		write(filepath.Join(tree, "home/.rpmmacros"), macros),
		write(filepath.Join(tree, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n"),
		write(filepath.Join(tree, "etc/group"), "root:x:0:\n"),
		run(ctx, "", nil, "cp", "-a", "/usr/lib/rpm", filepath.Join(tree, "usr/lib")),
		run(ctx, "", nil, "cp", "-a", "/usr/share/zypper", filepath.Join(tree, "usr/share")),
		makeDirs(filepath.Join(tree, filepath.Dir(installer))),
		os.Rename(filepath.Join(tree, program), filepath.Join(tree, installer)),
		pc.MakeImage(ctx, image, tree, 256<<20),
	)
}
