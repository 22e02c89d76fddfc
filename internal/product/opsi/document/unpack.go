package document

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"unicode"

	"lifeboat/internal/excerpt"
)

// Names in the directory that Unpack fills.
const (
	Dump  = "database.sql" // the objects, as a dump of the database
	Files = "files"        // configuration files, below their old paths
)

// Contents is what a document holds.
type Contents struct {
	Form    Form    `json:"form"`
	Meta    Meta    `json:"meta"`
	Classes []Count `json:"classes"`
	Objects int64   `json:"objects"`
	// Rows is how many rows of the database the objects become.
	Rows      int64     `json:"rows"`
	Files     []Present `json:"files"`
	RedisKeys int       `json:"redis_keys"`
	// Remarks tells of objects and attributes that found no place or had to
	// be changed; Warnings of everything else that a person should know.
	Remarks  []Remark `json:"remarks,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Count is how many objects of a class there are.
type Count struct {
	Class   string `json:"class"`
	Objects int64  `json:"objects"`
	Known   bool   `json:"known"`
}

// Present is a configuration file of a document.
type Present struct {
	Name string `json:"name"`
	Path string `json:"path"` // absolute and clean, or as written when it is refused
	Size int64  `json:"size"`
	// Missing files were not on the server; Refused ones have a path that
	// nothing is written to.
	Missing bool `json:"missing,omitempty"`
	Refused bool `json:"refused,omitempty"`
}

// Options says how a document is taken.
type Options struct {
	Password []byte // of an encrypted one
	// Schema is the version that the rows are said to be of, by the version of
	// opsiconfd: an opsi refuses a database that is newer than itself, and
	// updates an older one. Nil is SchemaVersion, which also is the most.
	Schema func(opsiconfd string) int
}

// Inspect reads a document whole, makes its rows and writes nothing.
func Inspect(ctx context.Context, r io.Reader, opts Options) (*Contents, error) {
	return take(ctx, r, opts, io.Discard, nil)
}

// Unpack reads a document into an empty directory, whose files only the owner may
// read: the objects as Dump, the configuration files below Files. When it fails the
// directory holds a part, which is worth nothing.
func Unpack(ctx context.Context, r io.Reader, dir string, opts Options) (*Contents, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	dump, err := root.OpenFile(Dump, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	c, err := take(ctx, r, opts, dump, func(at string, f File) error {
		at = path.Join(Files, at)
		if err := root.MkdirAll(path.Dir(at), 0o700); err != nil {
			return err
		}
		return root.WriteFile(at, []byte(f.Content), 0o600)
	})
	if err := errors.Join(err, dump.Close()); err != nil {
		return nil, err
	}
	return c, nil
}

// taker collects the contents while a document is read.
type taker struct {
	*Contents
	rows  *Writer
	keep  func(at string, f File) error
	paths map[string]bool
	// servers are the hosts that are configuration servers.
	servers []string
}

func take(ctx context.Context, r io.Reader, opts Options, dump io.Writer, keep func(string, File) error) (*Contents, error) {
	t := &taker{Contents: &Contents{}, rows: NewWriter(dump), keep: keep, paths: map[string]bool{}}
	form, err := Read(ctx, r, opts.Password, Handler{
		Meta: func(m Meta) error {
			t.Meta = m
			t.rows.Moment(m.Time)
			if opts.Schema != nil {
				t.rows.Schema(opts.Schema(m.Opsiconfd))
			}
			return nil
		},
		Class: func(class string) error {
			t.Classes = append(t.Classes, Count{Class: class, Known: classOf(class) != nil})
			return nil
		},
		Object: t.object,
		File:   t.file,
		Redis: func(string) error {
			t.RedisKeys++
			return nil
		},
		Unknown: func(part string) error {
			t.warn("its part %s is not known and is left out", excerpt.Line(part, 80))
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	if err := t.rows.Close(); err != nil {
		return nil, err
	}
	t.Form, t.Rows, t.Remarks = form, t.rows.Rows(), t.rows.Remarks()
	t.judge()
	return t.Contents, nil
}

func (t *taker) warn(format string, args ...any) {
	if len(t.Warnings) < maxRemarks {
		t.Warnings = append(t.Warnings, fmt.Sprintf(format, args...))
	}
}

func (t *taker) object(class string, o Object) error {
	t.Classes[len(t.Classes)-1].Objects++
	t.Objects++
	if o["type"] == "OpsiConfigserver" && class == "Host" {
		if id, ok := o["id"].(string); ok && len(t.servers) < 10 {
			t.servers = append(t.servers, id)
		}
	}
	return t.rows.Object(class, o)
}

func (t *taker) file(f File) error {
	p := Present{Name: excerpt.Line(f.Name, 80), Path: path.Clean(f.Path), Size: int64(len(f.Content)), Missing: !f.Present}
	if !safe(f.Path) || t.paths[p.Path] {
		p.Path, p.Refused = excerpt.Line(f.Path, 80), true
		t.warn("configuration file %s has the path %q, which is not written to: it is no plain absolute path, or stands twice", p.Name, excerpt.Line(f.Path, 80))
	}
	t.Contents.Files = append(t.Contents.Files, p)
	if p.Refused || p.Missing {
		return nil
	}
	t.paths[p.Path] = true
	if t.keep == nil {
		return nil
	}
	if err := t.keep(strings.TrimPrefix(p.Path, "/"), f); err != nil {
		return fmt.Errorf("unpack configuration file %s: %w", p.Path, err)
	}
	return nil
}

// safe: an absolute path of printable characters that says where it leads.
func safe(p string) bool {
	return strings.HasPrefix(p, "/") && p != "/" && path.Clean(p) == p && len(p) < 4096 &&
		strings.IndexFunc(p, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0
}

// judge adds what only the whole document tells.
func (t *taker) judge() {
	has := map[string]bool{}
	for _, c := range t.Classes {
		has[c.Class] = true
	}
	var lacking []string
	for _, c := range classes {
		if !has[c.name] {
			lacking = append(lacking, c.name)
		}
	}
	if len(lacking) > 0 {
		t.warn("it has no objects of the classes %s", strings.Join(lacking, ", "))
	}
	found := false
	for _, id := range t.servers {
		found = found || id == t.Meta.ServerID
	}
	if !found {
		t.warn("the server that it is of, %q, is not among its hosts as configuration server", excerpt.Line(t.Meta.ServerID, 80))
	}
	if t.Meta.Time.IsZero() {
		t.warn("it does not say when it was made")
	}
}
