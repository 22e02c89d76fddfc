package boot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// part is the ending of a file that is not whole yet.
const part = ".part"

// spare is what stays free in /boot, in bytes: the menu is written anew, too.
const spare = 1 << 20

// maxImage bounds a kernel or an initrd, in bytes.
const maxImage = 2 << 30

// source is where the files come from.
type source struct{ kernel, initrd string }

// places are where SUSE's media have kernel and initrd, by architecture.
func places(arch string) []string {
	family := arch
	switch {
	case len(arch) == 4 && arch[0] == 'i' && strings.HasSuffix(arch, "86"):
		family = "i386"
	case arch == "ppc64":
		return []string{"suseboot", "boot/ppc64", "boot/ppc"}
	}
	return []string{"boot/" + family + "/loader", "boot/" + family, "boot/" + family + "/loader/efi"}
}

// pairs are the names that kernel and initrd have together.
var pairs = [][2]string{{"linux", "initrd"}, {"linux64", "initrd64"}, {"Image", "initrd"}, {"image", "initrd"}}

// findSource finds kernel and initrd for an architecture below a directory.
func findSource(from, arch string) (source, error) {
	info, err := os.Stat(from)
	if err != nil {
		return source{}, fmt.Errorf("installation medium: %w", err)
	}
	if !info.IsDir() {
		return source{}, fmt.Errorf("installation medium: %s is no directory; mount it (mount -o loop,ro %s /mnt) and name that", from, from)
	}
	dirs := places(arch)
	for _, dir := range append(slices.Clone(dirs), ".") {
		for _, pair := range pairs {
			s := source{filepath.Join(from, dir, pair[0]), filepath.Join(from, dir, pair[1])}
			if !isFile(s.kernel) || !isFile(s.initrd) {
				continue
			}
			if err := checkKernel(s.kernel, arch); err != nil {
				return source{}, err
			}
			return s, checkInitrd(s.initrd)
		}
	}
	hint := ""
	if others, _ := filepath.Glob(filepath.Join(from, "boot", "*", "loader", "linux")); len(others) > 0 {
		hint = fmt.Sprintf("; it is one for %s", filepath.Base(filepath.Dir(filepath.Dir(others[0]))))
	}
	return source{}, fmt.Errorf("%s has no kernel and initrd for %s in %s%s", from, arch, strings.Join(dirs, ", "), hint)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// checkKernel refuses what is no kernel of the architecture, as far as its head tells.
func checkKernel(path, arch string) error {
	head, err := headOf(path)
	if err != nil {
		return err
	}
	ok := true
	switch {
	case arch == "x86_64" || strings.HasSuffix(arch, "86"):
		// Linux/x86 boot protocol: the magic number of the setup header
		ok = len(head) > 0x206 && string(head[0x202:0x206]) == "HdrS"
	case strings.HasPrefix(arch, "ppc"):
		ok = bytes.HasPrefix(head, []byte("\x7fELF"))
	case arch == "aarch64":
		ok = len(head) > 60 && string(head[56:60]) == "ARM\x64" || bytes.HasPrefix(head, []byte("\x1f\x8b"))
	}
	if !ok {
		return fmt.Errorf("%s is no kernel for %s", path, arch)
	}
	return nil
}

// checkInitrd refuses what is no cpio archive, packed or not.
func checkInitrd(path string) error {
	head, err := headOf(path)
	if err != nil {
		return err
	}
	for _, magic := range []string{"0707", "\x1f\x8b", "BZh", "\xfd7zXZ", "\x28\xb5\x2f\xfd", "\x5d\x00\x00", "\x02\x21\x4c\x18", "\x89LZO"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return nil
		}
	}
	return fmt.Errorf("%s is no initrd", path)
}

func headOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 4096))
}

// room refuses when /boot has no place for the files.
func (m *Menu) room(s source) error {
	need := int64(spare)
	for _, path := range []string{s.kernel, s.initrd} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() > maxImage {
			return fmt.Errorf("%s has %d bytes: that is no kernel and no initrd", path, info.Size())
		}
		need += info.Size()
	}
	dir, err := m.Host.Path(boot)
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", boot, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return fmt.Errorf("%s has %d MiB left, and kernel and initrd need %d MiB; remove old kernels", boot, free>>20, need>>20+1)
	}
	return nil
}

// copy puts a file in place and reads it again from there.
func (m *Menu) copy(ctx context.Context, f File) (File, error) {
	target, err := m.Host.Path(f.Path)
	if err != nil {
		return f, err
	}
	fail := func(err error) (File, error) { return f, fmt.Errorf("copy %s to %s: %w", f.From, f.Path, err) }
	in, err := os.Open(f.From)
	if err != nil {
		return fail(err)
	}
	defer in.Close()
	if err := os.Remove(target + part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	out, err := os.OpenFile(target+part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fail(err)
	}
	defer out.Close()
	m.point("begun " + f.Path)
	sum := sha256.New()
	f.Size, err = io.Copy(io.MultiWriter(out, sum), reader{ctx, io.LimitReader(in, maxImage)})
	if err = errors.Join(err, out.Chmod(0o644), out.Sync()); err != nil {
		return fail(err)
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	// What was written is read from the disk where the kernel lets it go.
	_ = unix.Fadvise(int(out.Fd()), 0, 0, unix.FADV_DONTNEED)
	got, err := digest(target+part, sha256.New())
	if err == nil && got != f.SHA256 {
		err = errors.New("what was read back differs")
	}
	if err == nil {
		err = os.Rename(target+part, target)
	}
	if err == nil {
		err = syncDir(filepath.Dir(target))
	}
	if err != nil {
		return fail(err)
	}
	return f, nil
}

// delete takes a file of the entry away, whole or not.
func (m *Menu) delete(f File) error {
	target, err := m.Host.Path(f.Path)
	if err != nil {
		return err
	}
	for _, path := range []string{target, target + part} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", f.Path, err)
		}
	}
	return syncDir(filepath.Dir(target))
}

// reader ends with its context.
type reader struct {
	ctx context.Context //nolint:containedctx // lives as long as one copy
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func digest(path string, h hash.Hash) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
