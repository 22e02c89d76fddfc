package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// record is what a sandbox's directory keeps about it.
type record struct {
	Options Options
	Layers  []layer // parents before children
	Nested  bool    // the lower file system is an overlay itself
	Depth   int     // overlays below the assembled root, its own included
}

// layer is one overlay of the assembled root.
type layer struct {
	Mount string // where it stands inside
	Lower string // the tree it covers, on the outer machine
	// Late is one of Options.Covers: mounted on top of what the sandbox mounts itself.
	Late   bool `json:",omitempty"`
	Nested bool `json:",omitempty"` // Lower is an overlay itself; of late ones
	// gone is a file system that is no longer mounted on the outer machine: it was there
	// when the sandbox was made, or a moment ago. Its mount point is what is below it.
	gone bool
}

const recordFile = "sandbox.json"

// fresh are the paths on which a sandbox mounts something of its own, so that nobody sees
// what is mounted below them outside: less to mount, and less that may come and go.
var fresh = []string{"/proc", "/sys", "/run", "/tmp", "/dev"}

// plan checks the options and looks at the machine; it changes nothing.
func plan(opts Options) (record, error) {
	var err error
	if opts.Dir == "" {
		return record{}, errors.New("no directory given")
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return record{}, err
	}
	if opts.Root == "" {
		opts.Root = "/"
	}
	if opts.Size == 0 {
		opts.Size = DefaultSize
	}
	for _, p := range slices.Concat(opts.Empty, []string{opts.Root}, bindPaths(opts.Binds), coverPaths(opts.Covers)) {
		if !filepath.IsAbs(p) {
			return record{}, fmt.Errorf("path %q is not absolute", p)
		}
	}
	if slices.ContainsFunc(opts.Empty, func(p string) bool { return filepath.Clean(p) == "/" }) {
		return record{}, errors.New("the root itself cannot start empty")
	}
	opts.Root = filepath.Clean(opts.Root)
	rec := record{Options: opts}
	if rec.Depth, rec.Nested, err = depth(opts.Root); err != nil {
		return record{}, err
	}
	if rec.Depth > 2 {
		return record{}, ErrTooDeep
	}
	if rec.Layers, err = findLayers(opts.Root, opts.Dir); err != nil {
		return rec, err
	}
	rec.Layers = slices.DeleteFunc(rec.Layers, func(l layer) bool {
		return slices.ContainsFunc(fresh, func(p string) bool { return within(p, l.Mount) })
	})
	for _, c := range opts.Covers {
		late, err := cover(filepath.Clean(c.Path), opts.Dir)
		if err != nil {
			return rec, fmt.Errorf("cover %s: %w", c.Path, err)
		}
		rec.Layers = append(rec.Layers, late...)
	}
	return rec, nil
}

// cover lists the overlays that show a tree at its own place.
func cover(tree, dir string) ([]layer, error) {
	depth, nested, err := depth(tree)
	if err != nil {
		return nil, err
	}
	if depth > 2 {
		return nil, ErrTooDeep
	}
	layers, err := findLayers(tree, dir)
	for i := range layers {
		layers[i].Mount, layers[i].Late, layers[i].Nested = filepath.Join(tree, layers[i].Mount), true, nested
	}
	return layers, err
}

func coverPaths(covers []Cover) []string {
	var paths []string
	for _, c := range covers {
		paths = append(paths, c.Path)
	}
	return paths
}

func bindPaths(binds []Bind) []string {
	var paths []string
	for _, b := range binds {
		paths = append(paths, b.Source, b.Target)
	}
	return paths
}

func freshDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a directory that does not exist yet", dir)
	}
	return nil
}

func (s *Sandbox) image() string { return filepath.Join(s.dir, "layers.img") }

// layOut fills the fresh directory. The record comes last: a directory without
// one is no sandbox.
func (s *Sandbox) layOut(ctx context.Context) error {
	for _, name := range []string{"layers", "root"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			return err
		}
	}
	if !s.record.Options.Plain {
		if err := makeImage(ctx, s.image(), s.record.Options.Size); err != nil {
			return err
		}
	}
	raw, err := json.MarshalIndent(s.record, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(s.dir, recordFile), raw, 0o600)
}

func makeImage(ctx context.Context, image string, size int64) error {
	f, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	// Hard-linked trees hold many small files, so one inode per 8 KiB.
	cmd := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-i", "8192",
		"-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", image)
	cmd.Env = append(os.Environ(), "PATH="+defaultPath)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a file system of %d bytes: mkfs.ext4: %w: %s", size, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func readRecord(dir string) (record, error) {
	var rec record
	raw, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		return rec, fmt.Errorf("read %s: %w", recordFile, err)
	}
	// A directory that was moved is still the same sandbox.
	rec.Options.Dir = dir
	return rec, nil
}

func writePid(dir string, pid int) error {
	return renameio.WriteFile(filepath.Join(dir, "init.pid"), []byte(strconv.Itoa(pid)+"\n"), 0o600)
}

func readPid(dir string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "init.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotRunning
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}

// tail returns the last n bytes of a file, for an error message.
func tail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	}
	raw, _ := io.ReadAll(io.LimitReader(f, n))
	return strings.TrimSpace(string(raw))
}
