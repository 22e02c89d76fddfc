// Package config is /etc/lifeboat/lifeboat.yaml: which systems of this machine
// are protected, and in which repositories their recovery points are kept. Secrets
// are only referred to. What a system is made of is the profile's affair.
package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

// Where things are unless said otherwise.
const (
	DefaultFile     = "/etc/lifeboat/lifeboat.yaml"
	DefaultStateDir = "/var/lib/lifeboat"
)

// Config is the whole file.
type Config struct {
	Repositories []Repository `yaml:"repositories" jsonschema:"required"`
	Systems      []System     `yaml:"systems,omitempty"`
	Kit          Kit          `yaml:"kit,omitempty"`
	Notices      []Notice     `yaml:"notices,omitempty"`
	Metrics      Metrics      `yaml:"metrics,omitempty"`
	StateDir     string       `yaml:"state_dir,omitempty"` // journals, locks; default DefaultStateDir
}

// Kit is what recovery kits say beyond what is known anyway.
type Kit struct {
	Elsewhere []Elsewhere `yaml:"elsewhere,omitempty"`
}

// Elsewhere says who has a secret that a recovery needs. What is one that the
// profile or the store names, or another one.
type Elsewhere struct {
	What string `yaml:"what" jsonschema:"required"`
	Who  string `yaml:"who" jsonschema:"required"`
}

// Repository is where recovery points live.
type Repository struct {
	Name string `yaml:"name" jsonschema:"required"`
	URL  string `yaml:"url" jsonschema:"required"` // a directory, or sftp:, rest:, s3:
	// Password is where the password is; missing, it comes from the environment or
	// is asked for.
	Password Password `yaml:"password,omitempty"`
	// Retention is of the systems that have none of their own.
	Retention *Retention `yaml:"retention,omitempty"`
	// Compression is auto if it is not set.
	Compression string `yaml:"compression,omitempty" jsonschema:"enum=auto,enum=off,enum=fastest,enum=default,enum=max"`
	Cache       Cache  `yaml:"cache,omitempty"`
	Store       `yaml:",inline"`
	Line        int `yaml:"-"`
}

// System is one protected system.
type System struct {
	Name    string `yaml:"name" jsonschema:"required"`
	Profile string `yaml:"profile" jsonschema:"required"`
	// Repositories are names; default: the first of all. Points are made in the
	// first one and copied to the others.
	Repositories []string   `yaml:"repositories,omitempty"`
	Retention    *Retention `yaml:"retention,omitempty"` // default: the repository's
	// Settings override what the profile reads from the system's configuration.
	Settings map[string]string `yaml:"settings,omitempty"`
	// Components takes optional components in (true) and leaves others out (false).
	Components map[string]bool `yaml:"components,omitempty"`
	// Objectives are what a drill is measured against, and what status watches.
	Objectives Objectives `yaml:"objectives,omitempty"`
	// Schedule is what is done by itself; nil: ScheduleOf says, {}: nothing.
	Schedule Schedule `yaml:"schedule,omitempty"`
	// SavedElsewhere are places outside of every component to which symbolic links lead
	// on purpose: what is there is saved by other means.
	SavedElsewhere []string `yaml:"saved_elsewhere,omitempty"`
	// Hooks are run around its backups, and never in a drill or a recovery.
	Hooks SystemHooks `yaml:"hooks,omitempty"`
	Line  int         `yaml:"-"`
}

// Objectives bound a recovery of a system and its protection; 0 is no bound for a
// drill, and the usual one for status.
type Objectives struct {
	RTO time.Duration `yaml:"rto,omitempty"` // how long it may take
	RPO time.Duration `yaml:"rpo,omitempty"` // how old the newest recovery point may be

	Verify Span `yaml:"verify,omitempty"` // how long ago a repository was found whole
	Copy   Span `yaml:"copy,omitempty"`   // how old the newest point of a further repository may be

	Drill       Span  `yaml:"drill,omitempty"`       // how long ago a drill was passed
	Kit         Span  `yaml:"kit,omitempty"`         // how old the recovery kit may be
	Certificate Span  `yaml:"certificate,omitempty"` // how long each certificate must hold yet
	Disk        Share `yaml:"disk,omitempty"`        // how much of a repository's file system must be free
}

// SystemNames lists the systems in the order of the file.
func (c *Config) SystemNames() []string {
	names := make([]string, len(c.Systems))
	for i, s := range c.Systems {
		names[i] = s.Name
	}
	return names
}

// System finds a system by name.
func (c *Config) System(name string) (System, bool) {
	for _, s := range c.Systems {
		if s.Name == name {
			return s, true
		}
	}
	return System{}, false
}

// Repository finds a repository by name.
func (c *Config) Repository(name string) (Repository, bool) {
	for _, r := range c.Repositories {
		if r.Name == name {
			return r, true
		}
	}
	return Repository{}, false
}

// Load reads and checks the file. All that is wrong with it is told at once, as
// strict.Problems with lines. A file that is not there is fs.ErrNotExist.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("configuration %s may be written by others than its owner; it names commands that root runs (chmod go-w %s)", file, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := Parse(file, text)
	if err != nil {
		return nil, err
	}
	for _, r := range c.Repositories {
		if info.Mode().Perm()&0o044 != 0 && holdsPassword(r.URL) {
			return nil, strict.Problem{File: file, Line: r.Line, Text: fmt.Sprintf("the URL of repository %s holds a password, but others may read this file (chmod 600 %s)", r.Name, file)}
		}
	}
	return c, nil
}

// Parse reads and checks the text of a configuration; the file name is used in
// messages.
func Parse(file string, text []byte) (*Config, error) {
	doc, err := strict.Parse(file, text)
	if err != nil {
		return nil, err
	}
	strict.Handle(doc, func(node *yaml.Node, r *Repository) {
		r.Line = node.Line
		doc.Fill(node, r)
	})
	strict.Handle(doc, func(node *yaml.Node, s *System) {
		s.Line = node.Line
		doc.Fill(node, s)
	})
	handleStore(doc)
	handleCache(doc)
	handleSchedule(doc)
	handleNotices(doc)
	handleHooks(doc)
	strict.Handle(doc, func(node *yaml.Node, r *Retention) { doc.Fill(node, r) })
	strict.Handle(doc, func(node *yaml.Node, o *Objectives) { doc.Fill(node, o) })
	c := &Config{StateDir: DefaultStateDir}
	doc.Decode(doc.Root, c)
	check(doc, c)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

func check(doc *strict.Document, c *Config) {
	var repositories []string
	lines := map[string]int{}
	name := func(what, name string, line int) {
		switch first, twice := lines[what+name]; {
		case name == "":
		case twice:
			doc.ProblemAt(line, "%s %s is there twice; the first is in line %d", what, name, first)
		case !plainName.MatchString(name):
			doc.ProblemAt(line, "%s name %q may only hold lower-case letters, digits, dots, hyphens and underscores", what, name)
		}
		lines[what+name] = line
	}
	for _, r := range c.Repositories {
		name("repository", r.Name, r.Line)
		repositories = append(repositories, r.Name)
		if r.URL != "" && !strings.Contains(r.URL, ":") && !filepath.IsAbs(r.URL) {
			doc.ProblemAt(r.Line, "repository %s: the directory %q is not absolute", r.Name, r.URL)
		}
		for _, err := range unjoined(r.Fits(r.URL)) {
			doc.ProblemAt(r.Line, "repository %s: %v", r.Name, err)
		}
	}
	for _, n := range c.Notices {
		name("notice", n.Name, n.Line)
	}
	checkNotices(doc, c)
	for _, s := range c.Systems {
		name("system", s.Name, s.Line)
		for i, r := range s.Repositories {
			if _, ok := c.Repository(r); !ok {
				doc.ProblemAt(s.Line, "system %s: unknown repository %s%s", s.Name, r, strict.Suggest(r, repositories))
			}
			if slices.Contains(s.Repositories[:i], r) {
				doc.ProblemAt(s.Line, "system %s: repository %s is named twice", s.Name, r)
			}
		}
		for _, path := range s.SavedElsewhere {
			if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
				doc.ProblemAt(s.Line, "system %s: saved_elsewhere: %q is no absolute path below /", s.Name, path)
			}
		}
		for _, err := range unjoined(checkSchedule(s)) {
			doc.ProblemAt(s.Line, "%v", err)
		}
	}
	if !filepath.IsAbs(c.StateDir) {
		doc.ProblemAt(1, "state_dir %q is not absolute", c.StateDir)
	}
}

// unjoined lists the errors of errors.Join.
func unjoined(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// holdsPassword tells whether a repository URL carries a password, as rest: URLs
// may.
func holdsPassword(address string) bool {
	if scheme, rest, ok := strings.Cut(address, ":"); ok && !strings.HasPrefix(rest, "//") {
		address = rest
		_ = scheme
	}
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return false
	}
	_, set := u.User.Password()
	return set
}
