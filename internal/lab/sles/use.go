package sles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// use makes a freshly installed root look like one that has been in use.
func (r release) use(ctx context.Context, root string) error {
	files := map[string]string{
		"etc/HOSTNAME":   "server.example.com\n",
		"etc/hosts":      "127.0.0.1 localhost\n192.0.2.20 server.example.com server\n",
		"etc/passwd":     "root:x:0:0:root:/root:/bin/sh\nwwwrun:x:30:8:WWW daemon:/var/lib/wwwrun:/bin/false\ntux:x:1000:100:Tux:/home/tux:/bin/sh\n",
		"etc/group":      "root:x:0:\nwww:x:8:\nusers:x:100:\n",
		"etc/fstab":      "/dev/disk/by-id/ata-lab-part2 / ext3 acl,user_xattr 1 1\n/dev/disk/by-id/ata-lab-part1 swap swap defaults 0 0\nproc /proc proc defaults 0 0\n",
		"etc/motd":       "Have a lot of fun...\n",
		"etc/my.cnf":     "[mysqld]\n# edited by an administrator\nmax_connections = 400\n",
		"root/.bashrc":   "alias ll='ls -l'\n",
		"root/notes.txt": "Renew the certificate in May.\n",

		"etc/apache2/httpd.conf":           "# httpd.conf, edited by an administrator\nTimeout 60\nKeepAlive On\n",
		"etc/sysconfig/windowmanager":      "## Type: string(gnome,startkde,startkde3,startxfce,twm)\nDEFAULT_WM=\"" + r.pick("kde4", "kde4", "gnome", "gnome") + "\"\n",
		"etc/sysconfig/displaymanager":     "DISPLAYMANAGER=\"" + r.pick("kdm4", "kdm4", "gdm", "gdm") + "\"\n",
		"etc/sysconfig/bootloader":         "LOADER_TYPE=\"" + r.pick("grub", "grub", "grub2", "grub2") + "\"\n",
		"etc/sysconfig/kernel":             "INITRD_MODULES=\"ata_piix ext3\"\n",
		"var/log/messages":                 "Jan  1 00:00:00 server syslog-ng[1]: started\n",
		"srv/www/htdocs/index.html":        "<h1>server.example.com</h1>\n",
		"home/tux/Documents/letter.txt":    "Dear Geeko,\n",
		"home/tux/Documents/Grüße & 'Co'":  "odd name\n",
		"home/tux/Documents/with\nnewline": "odder name\n",
		"etc/zypp/repos.d/extras.repo": "[" + r.product + r.major() + "-Extras]\nname=" + r.product + r.major() + "-Extras\nenabled=0\nautorefresh=1\n" +
			"baseurl=https://nu.novell.com/repo/$RCE/" + r.product + r.major() + "-Extras/sle-" + r.major() + "-x86_64/\ntype=rpm-md\n",
	}
	for name, content := range r.bootFiles() {
		files[name] = content
	}
	for name, content := range files {
		if err := write(filepath.Join(root, name), content); err != nil {
			return err
		}
	}
	home := filepath.Join(root, "home/tux")
	letter := filepath.Join(home, "Documents/letter.txt")
	for _, err := range []error{
		os.Link(letter, filepath.Join(home, "Documents/letter-again.txt")),
		os.Link(letter, filepath.Join(root, "srv/letter.txt")),
		os.Symlink("Documents", filepath.Join(home, "Dokumente")),
		os.Symlink("/nowhere", filepath.Join(home, "dangling")),
		unix.Mkfifo(filepath.Join(home, "pipe"), 0o600),
		unix.Setxattr(letter, "user.comment", []byte("to be sent"), 0),
		sparse(filepath.Join(home, "disk.img"), 8<<20),
		os.Symlink("../proc/self/mounts", filepath.Join(root, "etc/mtab")),
		run(ctx, "", nil, "chown", "-R", "--no-dereference", "1000:100", home),
		run(ctx, "", nil, "setfacl", "-m", "u:30:r", letter),
		os.Chmod(filepath.Join(root, "etc/sysconfig/bootloader"), 0o600),
	} {
		if err != nil {
			return fmt.Errorf("furnish the root: %w", err)
		}
	}
	return nil
}

// write makes a file and the directories above it, readable for all whatever the
// umask is. A file that is there keeps its mode.
func write(name, content string) error {
	if err := makeDirs(filepath.Dir(name)); err != nil {
		return err
	}
	_, missing := os.Lstat(name)
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil || missing == nil {
		return err
	}
	return os.Chmod(name, 0o644)
}

func makeDirs(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	if err := makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755))
}

// sparse makes a file with a hole between its first and last words.
func sparse(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for at, word := range map[int64]string{0: "first", size - 4: "last"} {
		if _, err := f.WriteAt([]byte(word), at); err != nil {
			return err
		}
	}
	return f.Chmod(0o640)
}

// bootFiles are those of the boot loader: GRUB legacy's on SLES 11, GRUB 2's on
// SLES 12.
func (r release) bootFiles() map[string]string {
	kernel := r.kernel()
	full := kernel.version + "-" + kernel.release + "-default"
	options := "root=/dev/disk/by-id/ata-lab-part2 resume=/dev/disk/by-id/ata-lab-part1 splash=silent crashkernel=128M"
	if !r.is12() {
		return map[string]string{
			"boot/grub/device.map": "(hd0)\t/dev/disk/by-id/ata-lab\n",
			"boot/grub/menu.lst": strings.NewReplacer("TITLE", r.title()+" - "+strings.TrimSuffix(full, "-default"), "FULL", full, "OPTIONS", options).Replace(
				`# Modified by YaST2. Last modification on Fri Jul 26 10:12:14 CEST 2013
default 0
timeout 8
gfxmenu (hd0,1)/boot/message
##YaST - activate

###Don't change this comment - YaST2 identifier: Original name: linux###
title TITLE
    root (hd0,1)
    kernel /boot/vmlinuz-FULL OPTIONS showopts vga=0x317
    initrd /boot/initrd-FULL

###Don't change this comment - YaST2 identifier: Original name: failsafe###
title Failsafe -- TITLE
    root (hd0,1)
    kernel /boot/vmlinuz-FULL root=/dev/disk/by-id/ata-lab-part2 showopts ide=nodma apm=off noresume edd=off powersaved=off nohz=off highres=off
    initrd /boot/initrd-FULL
`),
		}
	}
	return map[string]string{
		"etc/default/grub": "GRUB_DEFAULT=saved\nGRUB_TIMEOUT=8\nGRUB_CMDLINE_LINUX_DEFAULT=\"" + options + " quiet showopts\"\n",
		"boot/grub2/grub.cfg": strings.NewReplacer("TITLE", r.title(), "FULL", full, "OPTIONS", options).Replace(
			`# DO NOT EDIT THIS FILE
### BEGIN /etc/grub.d/00_header ###
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
set timeout=8
### END /etc/grub.d/00_header ###

### BEGIN /etc/grub.d/10_linux ###
menuentry 'TITLE' --class sles --class gnu-linux --class gnu --class os $menuentry_id_option 'gnulinux-simple-lab' {
	set root='hd0,msdos2'
	linux /boot/vmlinuz-FULL OPTIONS quiet showopts
	initrd /boot/initrd-FULL
}
### END /etc/grub.d/10_linux ###

### BEGIN /etc/grub.d/90_persistent ###
if [ -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
### END /etc/grub.d/90_persistent ###
`),
		"boot/grub2/grubenv": environmentBlock("saved_entry=" + r.title()),
	}
}

// environmentBlock is GRUB 2's, which always has 1024 bytes.
func environmentBlock(lines ...string) string {
	text := "# GRUB Environment Block\n"
	for _, line := range lines {
		text += line + "\n"
	}
	return text + strings.Repeat("#", 1024-len(text))
}
