package rescue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Where the kernel looks for modules and firmware (modprobe(8), depmod.d(5): updates
// come before all others; Documentation/driver-api/firmware of the kernel).
const (
	firmwarePath = "sys/module/firmware_class/parameters/path"
	maxAliases   = 100 // of one call of modprobe
	loadRounds   = 10
)

func (u Update) moduleDir() string {
	return filepath.Join(u.Root, "lib/modules", u.Kernel, "updates", "lifeboat")
}

// modules puts modules and firmware where the running kernel finds them, and loads
// what this machine's hardware asks for.
func (u Update) modules(ctx context.Context, done *Updated) error {
	firmware := filepath.Join(done.Dir, "firmware")
	if isDir(firmware) {
		if err := os.WriteFile(filepath.Join(u.Root, firmwarePath), []byte(firmware), 0o600); err != nil {
			u.Tell(Event{Name: "warning", Text: fmt.Sprintf("the kernel takes no firmware from %s: %v", firmware, err)})
		} else {
			done.Firmware = true
		}
	}
	from := filepath.Join(done.Dir, "modules", u.Kernel)
	if !isDir(from) {
		if done.Firmware {
			u.load(ctx)
		}
		return nil
	}
	to := u.moduleDir()
	next := filepath.Join(filepath.Dir(to), unfinished+"lifeboat")
	err := os.RemoveAll(next)
	if err == nil {
		done.Modules, err = copyTree(from, next)
	}
	if err == nil {
		err = replaceDir(next, to)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("put kernel modules in place: %w", err), os.RemoveAll(next))
	}
	if err := u.Run(ctx, "depmod", "-a", u.Kernel); err != nil {
		return errors.Join(fmt.Errorf("tell the kernel's tools of the new modules: %w", err), os.RemoveAll(to))
	}
	u.load(ctx)
	return nil
}

// copyTree copies plain files, and tells how many.
func copyTree(from, to string) (n int, err error) {
	err = filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		n++
		return copyFile(name, filepath.Join(to, rel))
	})
	return n, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// load has modprobe look for what the devices ask for, again and again: a driver of a
// bus brings new devices.
func (u Update) load(ctx context.Context) {
	before := ""
	for range loadRounds {
		list := u.aliases()
		for part := range slices.Chunk(list, maxAliases) {
			// One device without a driver makes it fail, and that is usual.
			_ = u.Run(ctx, append([]string{"modprobe", "--all", "--use-blacklist", "--quiet", "--"}, part...)...)
		}
		now := strings.Join(list, "\n") + "\n" + strings.Join(u.loaded(), "\n")
		if now == before || ctx.Err() != nil {
			return
		}
		before = now
	}
}

// aliases are by what devices ask for drivers.
func (u Update) aliases() []string {
	files, _ := filepath.Glob(filepath.Join(u.Root, "sys/bus/*/devices/*/modalias"))
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if alias := strings.TrimSpace(string(text)); err == nil && alias != "" {
			all = append(all, alias)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (u Update) loaded() []string {
	text, _ := os.ReadFile(filepath.Join(u.Root, "proc/modules"))
	var names []string
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names
}
