// Package netboot writes what a machine needs to start an installation system from the
// network, to be upgraded by it: kernel and initrd in the directory of a TFTP server,
// with a configuration for this one machine. Servers of DHCP and TFTP are other
// people's; what they have to be told is given as text. What an installation source is
// worth belongs to package medium.
package netboot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"regexp"
	"strings"

	"lifeboat/internal/upgrade/boot"
)

// Target is one machine that starts from the network.
type Target struct {
	// Dir is the directory that the TFTP server gives away; it exists.
	Dir string
	MAC net.HardwareAddr
	// Parameters are those of the kernel; upgrade=1 is among them.
	Parameters []string
}

// mark begins the files that are ours: no others are replaced or removed.
const mark = "# written by lifeboat upgrade source pxe\n"

// ErrForeign says that somebody else has written a configuration for the machine.
var ErrForeign = errors.New("it is not ours")

// plainWord is a parameter that pxelinux and GRUB 2 take as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._:/,@%+=~?*\[\]-]+$`)

// files are the places below Dir: pxelinux looks for a configuration by 01- and the
// card's address with hyphens (https://wiki.syslinux.org/wiki/index.php?title=PXELINUX),
// GRUB 2 by grub.cfg-01- and the same (its manual, "Network").
func (t Target) files() (dir, pxelinux, grub string) {
	name := "01-" + strings.ReplaceAll(t.MAC.String(), ":", "-")
	return "lifeboat/" + name, "pxelinux.cfg/" + name, "grub.cfg-" + name
}

// Files lists what Write makes, below Dir.
func (t Target) Files() []string {
	dir, pxelinux, grub := t.files()
	return []string{dir + "/linux", dir + "/initrd", pxelinux, grub}
}

// Write puts kernel and initrd in place and then the configurations. Each file is
// written whole or not at all, and nothing is where it could be started before all is
// there. It may be repeated.
func (t Target) Write(kernel, initrd io.Reader) (err error) {
	if len(t.MAC) != 6 {
		return fmt.Errorf("%s is no address of an Ethernet card", t.MAC)
	}
	if err := boot.Check(t.Parameters); err != nil {
		return err
	}
	for _, word := range t.Parameters {
		if !plainWord.MatchString(word) {
			return fmt.Errorf("the parameter %q has characters that boot loaders take for something else", word)
		}
	}
	root, err := os.OpenRoot(t.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	dir, pxelinux, grub := t.files()
	for _, name := range []string{pxelinux, grub} {
		if err := ours(root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path.Join(t.Dir, name), err)
		}
	}
	line := strings.Join(t.Parameters, " ")
	for _, f := range []struct {
		name string
		text io.Reader
	}{
		{dir + "/linux", kernel},
		{dir + "/initrd", initrd},
		{pxelinux, strings.NewReader(mark + "DEFAULT upgrade\nPROMPT 0\nLABEL upgrade\n  KERNEL /" + dir + "/linux\n  INITRD /" + dir + "/initrd\n  APPEND " + line + "\n  IPAPPEND 2\n")},
		{grub, strings.NewReader(mark + "set timeout=0\nmenuentry upgrade {\n  linux /" + dir + "/linux " + line + "\n  initrd /" + dir + "/initrd\n}\n")},
	} {
		if err := put(root, f.name, f.text); err != nil {
			return fmt.Errorf("write %s: %w", path.Join(t.Dir, f.name), err)
		}
	}
	return nil
}

// Remove takes all of it away, the configurations first: a machine that goes on
// starting from the network would be upgraded again. It may be repeated; removed tells
// whether there was anything.
func (t Target) Remove() (removed bool, err error) {
	root, err := os.OpenRoot(t.Dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	dir, pxelinux, grub := t.files()
	for _, name := range []string{pxelinux, grub} {
		switch err := ours(root, name); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return removed, fmt.Errorf("%s: %w", path.Join(t.Dir, name), err)
		}
		if err := root.Remove(name); err != nil {
			return removed, err
		}
		removed = true
	}
	for _, name := range []string{dir + "/linux", dir + "/initrd", dir} {
		err := root.Remove(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed = removed || err == nil
	}
	return removed, nil
}

// ours looks whether a file was written here.
func ours(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(mark))
	if n, _ := io.ReadFull(f, head); !bytes.Equal(head[:n], []byte(mark)) {
		return fmt.Errorf("%w: move it away first, it is for the same machine", ErrForeign)
	}
	return nil
}

// put writes a file that servers may read.
func put(root *os.Root, name string, text io.Reader) (err error) {
	parts := strings.Split(name, "/")
	for n := 1; n < len(parts); n++ {
		dir := path.Join(parts[:n]...)
		err := root.Mkdir(dir, 0o755)
		if err == nil {
			// The umask keeps others out, and a TFTP server is one of them.
			err = root.Chmod(dir, 0o755)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	temporary := name + ".lifeboat-new"
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return nil
}
