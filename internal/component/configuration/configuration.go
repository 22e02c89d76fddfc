// Package configuration is the component kind for configuration files that are
// adapted at a restore: the saved file, the one a fresh installation made and
// the one the package ships are looked at together, saved settings win, and new
// defaults of a newer package stay. What a file's settings mean is no business
// of this package, and no product may enter.
package configuration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/component/files"
	"lifeboat/internal/profile"
)

// FreshSuffix ends the name under which a fresh file is kept beside the one
// that was put in its place. In directories whose every file is used (/etc/*.d,
// /etc/cron.*) the name begins with a dot as well, so that it is not.
const FreshSuffix = ".lifeboat-fresh"

// maxText bounds a file whose content is looked at, in bytes; larger ones are
// taken as a whole.
const maxText = 1 << 20

// Options are the kind's keys in a profile.
type Options struct {
	// Paths are files and directories, with patterns as in kind files.
	Paths []string `yaml:"paths" json:"paths" pattern:"true" jsonschema:"required"`
	// Exclude leaves entries out, as in kind files.
	Exclude []string `yaml:"exclude,omitempty" json:"exclude,omitempty" pattern:"true"`
	// MissingOK makes a path that is not on the machine no error.
	MissingOK bool `yaml:"missing_ok,omitempty" json:"missing_ok,omitempty"`
	// Transient are links of the running system, as in kind files.
	Transient []string `yaml:"transient,omitempty" json:"transient,omitempty" pattern:"true"`
	// Shipped names, for a path, the file with the package's own default.
	Shipped map[string]string `yaml:"shipped,omitempty" json:"shipped,omitempty" path:"true"`
	// PreferFresh lists keys, as KEY or SECTION.KEY, whose value on the target
	// is kept instead of the saved one.
	PreferFresh []string `yaml:"prefer_fresh,omitempty" json:"prefer_fresh,omitempty"`
}

// Validate checks what a profile says.
func (o *Options) Validate() error {
	plain := o.plain()
	if err := plain.Validate(); err != nil {
		return err
	}
	for path, shipped := range o.Shipped {
		if err := files.ValidatePatterns("shipped", []string{path, shipped}, true); err != nil {
			return err
		}
	}
	return nil
}

// Detail is what the kind keeps in the manifest.
type Detail struct {
	files.Detail
	Saved []SavedFile `json:"saved,omitempty"`
	// Shipped is the stream with the shipped files' content, a JSON object by path.
	Shipped string `json:"shipped,omitempty"`
}

// SavedFile is one captured regular file.
type SavedFile struct {
	Path       aside.Name `json:"path"`
	SHA256     string     `json:"sha256"`
	Unmodified bool       `json:"unmodified,omitempty"` // it was as its package ships it
}

// saved finds a file.
func (d Detail) saved(path string) SavedFile {
	for _, f := range d.Saved {
		if string(f.Path) == path {
			return f
		}
	}
	return SavedFile{}
}

// Kind describes the kind to the registry.
func Kind() component.Kind {
	return files.Derived("configuration", "configuration files, adapted to the target when restored",
		(*Options).plain,
		func(plain *files.Component, env component.Env, spec profile.Component, options Options) component.Component {
			return &Component{Component: plain, env: env, spec: spec, options: options}
		})
}

// plain are the options of the files below. Fresh files kept beside are not
// the system's.
func (o *Options) plain() files.Options {
	return files.Options{
		Paths: o.Paths, MissingOK: o.MissingOK, Transient: o.Transient,
		Exclude: append([]string{"*" + FreshSuffix}, o.Exclude...),
	}
}

// Component is the configuration of one system. Inspecting, extracting, rolling
// back and discarding are those of kind files.
type Component struct {
	*files.Component
	env     component.Env
	spec    profile.Component
	options Options
}

// Capture stores the files, and notes which are as their package ships them.
func (c *Component) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	got, plain, err := c.CaptureFiles(ctx, sink)
	if err != nil {
		return got, err
	}
	detail := Detail{Detail: plain}
	shipped := map[string][]byte{}
	p := newPristine(c.env.Host)
	f := files.Filter{Patterns: plain.Exclude, Others: plain.Others}
	for _, path := range plain.Captured(got) {
		err := files.Walk(ctx, c.env.Host, path, f, func(path string, info fs.FileInfo, real string) error {
			if !info.Mode().IsRegular() {
				return nil
			}
			sum, err := sumFile(real)
			if err != nil {
				return err
			}
			if text, ok := c.shipped(path); ok {
				shipped[path] = text
			}
			unmodified, err := p.unmodified(ctx, path, real)
			detail.Saved = append(detail.Saved, SavedFile{aside.Name(path), sum, unmodified})
			return err
		})
		if err != nil {
			return component.Captured{}, fmt.Errorf("component %s: compare with the packages: %w", c.spec.Name, err)
		}
	}
	if len(shipped) > 0 {
		detail.Shipped = "configuration/" + c.spec.Name + ".shipped.json"
		text, err := json.Marshal(shipped)
		if err != nil {
			return component.Captured{}, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
		if _, err := sink.AddStream(ctx, detail.Shipped, bytes.NewReader(text)); err != nil {
			return component.Captured{}, fmt.Errorf("component %s: store the shipped files: %w", c.spec.Name, err)
		}
		got.Streams = append(got.Streams, detail.Shipped)
	}
	got.Detail = detail
	return got, nil
}

// shipped returns what the package ships for a path, where a file has it: the
// one named in the options, or what a package manager left beside a changed one.
func (c *Component) shipped(path string) ([]byte, bool) {
	for _, file := range []string{c.options.Shipped[path], path + ".rpmnew", path + ".dpkg-dist"} {
		if file == "" {
			continue
		}
		if real, err := c.env.Host.Path(file); err == nil {
			if text, ok, err := readText(real); ok && err == nil {
				return text, true
			}
		}
	}
	return nil, false
}

// readText reads a regular file; ok is false when there is none or when it is
// too large or no text.
func readText(real string) (text []byte, ok bool, err error) {
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxText {
		return nil, false, err
	}
	text, err = io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", real, err)
	}
	return text, looksLikeText(text), nil
}

func looksLikeText(b []byte) bool { return len(b) <= maxText && !bytes.Contains(b, []byte{0}) }

// freshName is the name beside path that a fresh file is kept under.
func freshName(path string) string {
	dir, base := filepath.Split(path)
	in := filepath.Base(dir)
	if strings.HasSuffix(in, ".d") || strings.HasPrefix(in, "cron.") {
		base = "." + base
	}
	return dir + base + FreshSuffix
}

var _ interface {
	component.Component
	component.Extractor
} = (*Component)(nil)
