// Package files is the component kind for files and directory trees that are
// put back as they were. What is present is set aside by renaming inside its
// mount, or, for large optional trees, replaced file by file. Merging the
// content of files belongs to package configuration; no product may enter here.
package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
)

// Options are the kind's keys in a profile.
type Options struct {
	// Paths are absolute; the patterns of doublestar (*, **, ?, [a-z], {a,b})
	// may be used. A backslash takes a pattern character's meaning away.
	Paths []string `yaml:"paths" json:"paths" pattern:"true" jsonschema:"required"`
	// Exclude leaves entries out of capture and restore. A pattern that begins
	// with a slash is matched against the whole path, another one against its
	// end; what matches a directory holds for everything below it.
	Exclude []string `yaml:"exclude,omitempty" json:"exclude,omitempty" pattern:"true"`
	// InPlace restores file by file over what is there, which takes no second
	// copy's space and cannot be rolled back. Files that the recovery point
	// does not have stay.
	InPlace bool `yaml:"in_place,omitempty" json:"in_place,omitempty"`
	// MissingOK makes a path that is not on the machine no error.
	MissingOK bool `yaml:"missing_ok,omitempty" json:"missing_ok,omitempty"`
	// Local leaves out what is mounted below the paths and lies on no disk of the
	// machine: what the kernel makes up, other machines, media, memory.
	Local bool `yaml:"local,omitempty" json:"local,omitempty"`
	// Transient are paths, with patterns, where the running system makes symbolic
	// links that it takes away when it stops. Such a link is not missed.
	Transient []string `yaml:"transient,omitempty" json:"transient,omitempty" pattern:"true"`
}

// Validate checks what a profile says.
func (o *Options) Validate() error {
	if len(o.Paths) == 0 {
		return errors.New("paths: at least one path is needed")
	}
	return errors.Join(ValidatePatterns("paths", o.Paths, true), ValidatePatterns("exclude", o.Exclude, false), ValidatePatterns("transient", o.Transient, true))
}

// ValidatePatterns checks path patterns of a profile's key. Settings, ${…}, may
// still stand in them.
func ValidatePatterns(key string, patterns []string, absolute bool) error {
	for _, p := range patterns {
		switch {
		case p == "":
			return fmt.Errorf("%s: an entry is empty", key)
		case absolute && !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "${"):
			return fmt.Errorf("%s: %q is not an absolute path", key, p)
		case absolute && filepath.Clean(p) == "/":
			return fmt.Errorf("%s: the whole root file system cannot be one component", key)
		case strings.Contains("/"+p+"/", "/../"):
			return fmt.Errorf("%s: %q must not lead upwards with .. in it", key, p)
		case !doublestar.ValidatePattern(p) && !strings.Contains(p, "${"):
			return fmt.Errorf("%s: %q is not a valid pattern", key, p)
		}
	}
	return nil
}

// Kind describes the kind to the registry.
func Kind() component.Kind {
	return Derived("files", "files and directory trees, put back as they were",
		func(o *Options) Options { return *o },
		func(plain *Component, _ component.Env, _ profile.Component, _ Options) component.Component {
			return plain
		})
}

// Derived describes a kind that is files with something more: plain tells which
// files its options O name, and build makes the component around those.
func Derived[O any](name, summary string, plain func(*O) Options, build func(plain *Component, env component.Env, spec profile.Component, options O) component.Component) component.Kind {
	return component.Kind{
		Name:       name,
		Definition: profile.Definition{Summary: summary, Options: func() any { return new(O) }},
		New: func(env component.Env, spec profile.Component) (component.Component, error) {
			options, ok := spec.Options.(*O)
			if !ok {
				return nil, fmt.Errorf("component %s: options of kind %s are missing", spec.Name, name)
			}
			c, err := New(env, spec, plain(options))
			if err != nil {
				return nil, err
			}
			return build(c, env, spec, *options), nil
		},
	}
}

// Component is one set of paths of one system.
type Component struct {
	env     component.Env
	spec    profile.Component
	options Options
	foreign []string // mount points that Options.Local leaves out
}

// New makes the component for other kinds, whose content is files too.
func New(env component.Env, spec profile.Component, options Options) (*Component, error) {
	if env.Host == nil {
		return nil, fmt.Errorf("component %s: no host given", spec.Name)
	}
	// A setting that is empty leaves an empty path.
	options.Paths = slices.DeleteFunc(slices.Clone(options.Paths), func(p string) bool { return p == "" })
	for i, p := range options.Paths {
		if !filepath.IsAbs(p) || filepath.Clean(p) == "/" || strings.Contains(p+"/", "/../") {
			return nil, fmt.Errorf("component %s: path %q is not an absolute path below /", spec.Name, p)
		}
		if !doublestar.ValidatePattern(p) {
			return nil, fmt.Errorf("component %s: path %q is not a valid pattern", spec.Name, p)
		}
		options.Paths[i] = strings.TrimRight(p, "/")
	}
	for _, p := range options.Exclude {
		if !doublestar.ValidatePattern(p) {
			return nil, fmt.Errorf("component %s: exclude %q is not a valid pattern", spec.Name, p)
		}
	}
	c := &Component{env: env, spec: spec, options: options}
	if options.Local {
		var err error
		if c.foreign, err = env.Host.Foreign(); err != nil {
			return nil, fmt.Errorf("component %s: %w", spec.Name, err)
		}
	}
	return c, nil
}

// Rollback brings back what Restore set aside. Of a component restored in place
// that is little, and half-written files are taken away, see Lasts.
func (c *Component) Rollback(ctx context.Context) error {
	if c.options.InPlace {
		if err := c.sweep(ctx); err != nil {
			return fmt.Errorf("component %s: roll back: %w", c.spec.Name, err)
		}
	}
	s, err := c.Session()
	if err != nil {
		return err
	}
	changed, err := c.changed(ctx, s)
	if err != nil {
		return err
	}
	if err := s.Rollback(ctx, changed...); err != nil {
		return fmt.Errorf("component %s: roll back: %w", c.spec.Name, err)
	}
	return nil
}

// Changed lists what others changed in the component's place after Env.Since.
func (c *Component) Changed(ctx context.Context) ([]string, error) {
	s, err := c.Session()
	if err != nil {
		return nil, err
	}
	return c.changed(ctx, s)
}

func (c *Component) changed(ctx context.Context, s *aside.Session) ([]string, error) {
	if c.env.Since.IsZero() {
		return nil, ctx.Err()
	}
	changed, err := s.Changed(ctx, c.env.Since, c.env.Killed, c.env.Theirs...)
	if err != nil {
		return nil, fmt.Errorf("component %s: look for what was changed since: %w", c.spec.Name, err)
	}
	return changed, nil
}

// Replaced tells whether a file of the machine came with Restore.
func (c *Component) Replaced(path string) (bool, error) {
	s, err := c.Session()
	if err != nil {
		return false, err
	}
	return s.Replaced(path)
}

// Put lists the places at which Restore has put something.
func (c *Component) Put() ([]string, error) {
	s, err := c.Session()
	if err != nil {
		return nil, err
	}
	return s.Put(), nil
}

// Held tells where Restore has set aside what was there.
func (c *Component) Held(ctx context.Context) ([]component.Held, error) {
	s, err := c.Session()
	if err != nil {
		return nil, err
	}
	held, err := s.Held(ctx)
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	return held, nil
}

// Kept lists where Rollback has left what others changed.
func (c *Component) Kept(context.Context) ([]string, error) {
	s, err := c.Session()
	if err != nil {
		return nil, err
	}
	return s.Kept(), nil
}

// Lasts tells what Rollback leaves.
func (c *Component) Lasts() string {
	if !c.options.InPlace {
		return ""
	}
	return "it is restored file by file, without a second copy: what was restored of it stays"
}

// sweep removes the temporary files of a restore in place that was killed.
func (c *Component) sweep(ctx context.Context) error {
	paths, _, err := Expand(c.env.Host, c.options.Paths)
	if err != nil {
		return err
	}
	for _, path := range paths {
		top, err := c.env.Host.Entry(path)
		if err != nil {
			return err
		}
		top = cmp.Or(c.leadsTo(path, repository.Dir), top)
		err = filepath.WalkDir(top, func(real string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() && strings.HasPrefix(entry.Name(), repository.TempPrefix) {
				err = os.Remove(real)
			}
			return errors.Join(err, ctx.Err())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Discard removes what Restore set aside.
func (c *Component) Discard(ctx context.Context) error {
	s, err := c.Session()
	if err != nil {
		return err
	}
	if err := s.Discard(ctx); err != nil {
		return fmt.Errorf("component %s: discard: %w", c.spec.Name, err)
	}
	return nil
}

// Session is where the component keeps what it set aside in this run.
func (c *Component) Session() (*aside.Session, error) {
	if c.env.State == "" {
		return nil, fmt.Errorf("component %s: no state directory given", c.spec.Name)
	}
	s, err := aside.Open(c.env.Host, c.env.State, c.env.Run, c.spec.Name)
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	return s, nil
}
