package remote

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/rear"
	"lifeboat/internal/fleet/wire"
)

func (d *Desk) hostWindowCommand(f *server) *cobra.Command {
	var valid string
	var shut bool
	c := &cobra.Command{
		Use:   "window NAME",
		Short: "Let a host's ReaR rescue system fetch its files for a while",
		Long: `Opens a window in which the first machine that asks for the host's files gets them,
and no other: for ReaR's RECOVERY_UPDATE_URL and for DRLM's way, where no certificate
and no network of the host's is known. What it gets is executed by root there, and may
hold secrets; open it when the machine is about to ask.`,
		Example: `  lifeboat host window rear1
  lifeboat host window rear1 --valid 2h
  lifeboat host window rear1 --close`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			at := client.Path("hosts", names[0], "window")
			if shut {
				if err := d.call(c.Context(), *f, http.MethodDelete, at, nil, nil); err != nil {
					return err
				}
				if d.JSON {
					return d.EmitTyped("window-closed", map[string]string{"host": names[0]})
				}
				d.Printf("The window of %s is closed.\n", names[0])
				return nil
			}
			var w wire.Window
			if err := d.call(c.Context(), *f, http.MethodPost, at, wire.OpenWindow{Valid: valid}, &w); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("window", w)
			}
			d.Printf("Open for the first that asks, until %s:\n  RECOVERY_UPDATE_URL=%s\n", screen.When(w.Expires), w.Archive)
			return nil
		},
	}
	c.Flags().StringVar(&valid, "valid", "", "keep it open for `TIME`, such as 2h (default 30min)")
	c.Flags().BoolVar(&shut, "close", false, "close it")
	c.MarkFlagsMutuallyExclusive("valid", "close")
	return c
}

func (d *Desk) hostRearCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use:   "rear NAME FILE|DIR",
		Short: "Hand in the files of a host that only ReaR recovers",
		Long: `Keeps what ReaR needs for a host that does not run Lifeboat: the files of etc/rear
and var/lib/rear in an archive (tar, also with gzip: what a fleet of issue 841 has as
NAME.rear_config.tgz) or below a directory. Those that not everybody may read are kept
encrypted. A host that has joined sends its own.`,
		Example: `  lifeboat host rear rear1 rear1.rear_config.tgz
  lifeboat host rear rear1 /mnt/rear1`,
		Args: screen.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, words []string) error {
			files, left, err := readRear(words[1])
			if err != nil {
				return err
			}
			for _, name := range left {
				if err := d.Warn(fmt.Errorf("%s is a link and was left out: nobody follows it on the machine that is recovered; put the file itself there if ReaR needs it", strconv.Quote(name))); err != nil {
					return err
				}
			}
			var v wire.Version
			if err := d.call(c.Context(), *f, http.MethodPut, client.Path("hosts", words[0], "rear"), wire.RearFiles{Files: files}, &v); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("configuration", map[string]any{"host": words[0], "version": v.Number, "files": len(files)})
			}
			d.Printf("Version %d of %s: %d files.\n", v.Number, words[0], len(files))
			return nil
		},
	}
}

// readRear reads ReaR's files from an archive or from below a directory, and names the
// links among them, which are left out as all else is: nobody would follow them.
func readRear(place string) (files []wire.RearFile, left []string, err error) {
	info, err := os.Stat(place)
	if err != nil {
		return nil, nil, screen.Usage(err)
	}
	taken := rearFiles{}
	if info.IsDir() {
		err = taken.directory(place)
	} else {
		err = taken.archive(place)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("files for ReaR in %s: %w", place, err)
	}
	if len(taken.files) == 0 {
		return nil, nil, screen.Usagef("%s holds no file of %s", place, strings.Join(rear.Roots, " or "))
	}
	return taken.files, taken.left, nil
}

type rearFiles struct {
	files []wire.RearFile
	left  []string // links
	bytes int64
}

// wanted tells whether a name, relative or not, is one of ReaR's, and its place.
func wantedRear(name string) (string, bool) {
	clean := path.Clean("/" + name)
	for _, root := range rear.Roots {
		if strings.HasPrefix(clean, "/"+root+"/") {
			return clean, true
		}
	}
	return "", false
}

func (r *rearFiles) add(name string, mode fs.FileMode, size int64, content io.Reader) error {
	at, ok := wantedRear(name)
	switch {
	case !ok || mode.IsDir():
		return nil
	case mode&fs.ModeSymlink != 0:
		r.left = append(r.left, at)
		return nil
	case !mode.IsRegular():
		return fmt.Errorf("%s is no regular file", strconv.Quote(name))
	}
	if r.bytes += size; r.bytes > wire.MaxRear {
		return fmt.Errorf("there is more than %d MiB", wire.MaxRear>>20)
	}
	text, err := io.ReadAll(io.LimitReader(content, size+1))
	if err != nil {
		return err
	}
	if int64(len(text)) != size {
		return fmt.Errorf("%s is longer or shorter than it was", name)
	}
	// As tar unpacks it, the last of a name counts.
	r.files = slices.DeleteFunc(r.files, func(f wire.RearFile) bool { return f.Path == at })
	r.files = append(r.files, wire.RearFile{Path: at, Mode: uint32(mode.Perm()), Content: text})
	return nil
}

func (r *rearFiles) directory(top string) error {
	root, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, start := range rear.Roots {
		err := fs.WalkDir(root.FS(), start, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == start {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() {
				return r.add(name, info.Mode(), 0, nil)
			}
			f, err := root.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return r.add(name, info.Mode(), info.Size(), f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rearFiles) archive(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = io.LimitReader(f, 4*wire.MaxRear)
	head := make([]byte, 2)
	if _, err := io.ReadFull(in, head); err != nil {
		return fmt.Errorf("no archive: %w", err)
	}
	in = io.MultiReader(bytes.NewReader(head), in)
	if head[0] == 0x1f && head[1] == 0x8b { // RFC 1952
		zip, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = io.LimitReader(zip, 16*wire.MaxRear)
	}
	archive := tar.NewReader(in)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeLink {
			if err := r.link(h.Name, h.Linkname); err != nil {
				return err
			}
			continue
		}
		if err := r.add(h.Name, h.FileInfo().Mode(), h.Size, archive); err != nil {
			return err
		}
	}
}

// link adds a file of an archive that is another name of one before it.
func (r *rearFiles) link(name, to string) error {
	at, ok := wantedRear(name)
	if !ok {
		return nil
	}
	target, _ := wantedRear(to)
	for _, f := range r.files {
		if f.Path == target {
			return r.add(at, fs.FileMode(f.Mode), int64(len(f.Content)), bytes.NewReader(f.Content))
		}
	}
	return fmt.Errorf("%s is a hard link to %s, which is not in the archive before it", strconv.Quote(name), strconv.Quote(to))
}
