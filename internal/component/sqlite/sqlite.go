// Package sqlite is the kind of component that is one SQLite database file. It is
// captured while programs write to it, as the image that one read transaction
// sees, and restored as a file in its place. What the tables mean must not enter.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/profile"
)

// Options are the keys of a component of kind sqlite.
type Options struct {
	// File is the database's file. What SQLite keeps beside it (-wal, -shm,
	// -journal) belongs to it.
	File string `yaml:"file" jsonschema:"required"`
}

// Validate checks what holds before settings are expanded.
func (o *Options) Validate() error {
	if o.File == "" {
		return errors.New("file: the database's file is missing")
	}
	return nil
}

// besides are the endings of the files that SQLite keeps beside a database
// (sqlite.org/tempfiles.html).
var besides = []string{"-wal", "-shm", "-journal"}

// Kind returns the kind sqlite.
func Kind() component.Kind {
	return component.Kind{
		Definition: profile.Definition{
			Summary: "A SQLite database, from one moment while programs write to it",
			Options: func() any { return new(Options) },
		},
		Name:   "sqlite",
		ByHand: byHand,
		New: func(env component.Env, spec profile.Component) (component.Component, error) {
			opts, ok := spec.Options.(*Options)
			if !ok {
				return nil, fmt.Errorf("component %s: options are %T, not those of kind sqlite", spec.Name, spec.Options)
			}
			if !path.IsAbs(opts.File) || path.Clean(opts.File) != opts.File || opts.File == "/" {
				return nil, fmt.Errorf("component %s: file %q is not the absolute path of a file", spec.Name, opts.File)
			}
			return &Component{env: env, name: spec.Name, file: opts.File}, nil
		},
	}
}

// Component is one database. See component.Component for its methods.
type Component struct {
	env        component.Env
	name, file string
}

var (
	_ component.Component = (*Component)(nil)
	_ component.Extractor = (*Component)(nil)
	_ component.Placed    = (*Component)(nil)
	_ component.Watcher   = (*Component)(nil)
	_ component.Replacer  = (*Component)(nil)
	_ component.Holder    = (*Component)(nil)
	_ component.Comparer  = (*Component)(nil)
)

func (c *Component) stream() string { return "databases/" + c.name + ".sqlite" }

// Places are the paths that the component's content stands at.
func (c *Component) Places() []string {
	places := []string{c.file}
	for _, ending := range besides {
		places = append(places, c.file+ending)
	}
	return places
}

// wrap tells whose error it is.
func (c *Component) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("component %s: %s: %w", c.name, what, err)
}

// Inspect looks at the live database.
func (c *Component) Inspect(ctx context.Context) (component.Inspection, error) {
	in := component.Inspection{Paths: []string{c.file}}
	real, err := c.env.Host.Path(c.file)
	if err != nil {
		return in, c.wrap("inspect", err)
	}
	info, err := os.Stat(real)
	if errors.Is(err, fs.ErrNotExist) {
		return in, nil
	}
	if err != nil {
		return in, c.wrap("inspect", err)
	}
	in.Present, in.Bytes = true, info.Size()
	image, err := open(ctx, real)
	if err != nil {
		return in, c.wrap("inspect", err)
	}
	defer image.close()
	in.Items = int64(len(image.tables))
	in.Detail = map[string]string{"tables": strconv.Itoa(len(image.tables)), "schema": strconv.FormatInt(image.userVersion, 10)}
	return in, nil
}

// image is a database as one read transaction sees it.
type image struct {
	db          *sql.DB
	tx          *sql.Tx
	tables      []string
	userVersion int64
	pages, size int64 // pages and bytes of one
}

// open begins a read transaction on a file of this process's view. The file is not
// changed: not even a write-ahead log that a crash left is moved into it.
func open(ctx context.Context, file string) (*image, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", file)
	}
	address := url.URL{Scheme: "file", Path: file, RawQuery: "mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)"}
	db, err := sql.Open("sqlite", address.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	i := &image{db: db}
	if err := i.begin(ctx); err != nil {
		i.close()
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return i, nil
}

func (i *image) begin(ctx context.Context) (err error) {
	if i.tx, err = i.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return err
	}
	// The first look fixes what the transaction sees.
	rows, err := i.tx.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		i.tables = append(i.tables, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for pragma, value := range map[string]*int64{"user_version": &i.userVersion, "page_count": &i.pages, "page_size": &i.size} {
		if err := i.tx.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(value); err != nil {
			return fmt.Errorf("%s: %w", pragma, err)
		}
	}
	return nil
}

func (i *image) close() {
	if i.tx != nil {
		_ = i.tx.Rollback() // it has only read
	}
	_ = i.db.Close()
}

// session is what moves files of the component in and out of their places.
func (c *Component) session() (*aside.Session, error) {
	if c.env.State == "" {
		return nil, errors.New("no state directory given")
	}
	return aside.Open(c.env.Host, c.env.State, c.env.Run, c.name)
}

func byHand(record component.Record) string {
	d, err := readDetail(record)
	if err != nil || len(record.Streams) == 0 {
		return ""
	}
	return fmt.Sprintf("Stop what uses `%[1]s`. Move it and `%[1]s-wal`, `%[1]s-shm`, `%[1]s-journal` away, then:\n\n"+
		"    restic dump SNAPSHOT /.lifeboat/%[2]s > %[1]s\n    chown %[3]s:%[4]s %[1]s && chmod %[5]o %[1]s\n    sqlite3 %[1]s 'PRAGMA integrity_check'\n",
		filepath.Clean(d.File), record.Streams[0], d.User, d.Group, d.Mode)
}
