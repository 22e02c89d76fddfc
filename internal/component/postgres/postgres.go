// Package postgres is the kind of component that is one database of a PostgreSQL
// server, of version 11 or newer, with everything in it belonging to one role. It is
// captured by pg_dump as plain SQL of one moment, and restored by loading beside,
// checking, and exchanging names. What the tables mean must not enter.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
)

// Options are the keys of a component of kind postgres.
type Options struct {
	// URLFile is a file with the database's address alone, postgres://ROLE@HOST/NAME,
	// as its application has it. It may hold the password.
	URLFile string `yaml:"url_file" jsonschema:"required"`
	// Administrator is a file with the address of a superuser, for a restore that the
	// role itself may not do. Without one it is the account postgres, by the socket.
	Administrator string `yaml:"administrator,omitempty"`
}

// Validate checks what holds before settings are expanded.
func (o *Options) Validate() error {
	if o.URLFile == "" {
		return errors.New("url_file: the file with the database's address is missing")
	}
	return nil
}

// Kind returns the kind postgres.
func Kind() component.Kind {
	return component.Kind{
		Definition: profile.Definition{
			Summary: "A database of a PostgreSQL server, from one moment while programs write to it",
			Options: func() any { return new(Options) },
		},
		Name:   "postgres",
		ByHand: byHand,
		Server: &component.Server{Services: []string{"postgresql"}, Directory: "SHOW data_directory"},
		New: func(env component.Env, spec profile.Component) (component.Component, error) {
			opts, ok := spec.Options.(*Options)
			if !ok {
				return nil, fmt.Errorf("component %s: options are %T, not those of kind postgres", spec.Name, spec.Options)
			}
			for _, file := range []string{opts.URLFile, opts.Administrator} {
				if file != "" && (!path.IsAbs(file) || path.Clean(file) != file) {
					return nil, fmt.Errorf("component %s: %q is not the absolute path of a file", spec.Name, file)
				}
			}
			return &Component{env: env, name: spec.Name, opts: *opts}, nil
		},
	}
}

// Component is one database. See component.Component for its methods.
type Component struct {
	env  component.Env
	name string
	opts Options
}

var (
	_ component.Component = (*Component)(nil)
	_ component.Extractor = (*Component)(nil)
	_ component.Planner   = (*Component)(nil)
	_ component.Reacher   = (*Component)(nil)
	_ component.Querier   = (*Component)(nil)
	_ component.Watcher   = (*Component)(nil)
	_ component.Holder    = (*Component)(nil)
	_ component.Comparer  = (*Component)(nil)
)

func (c *Component) stream() string { return "databases/" + c.name + ".sql" }

// wrap tells whose error it is, and that ctx is over where that is why.
func (c *Component) wrap(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if over := ctx.Err(); over != nil && !errors.Is(err, over) {
		err = fmt.Errorf("%w: %v", over, err)
	}
	return fmt.Errorf("component %s: %s: %w", c.name, what, err)
}

// plainName is what a database or a role may be called: it becomes part of names and
// statements of ours.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_$. -]{0,62}$`)

// ownDatabases belong to the server itself.
var ownDatabases = []string{"postgres", "template0", "template1"}

// ident quotes a name for a statement.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a text for a statement.
func literal(text string) string {
	if strings.Contains(text, `\`) {
		return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// Query runs one reading statement as the database's role.
func (c *Component) Query(ctx context.Context, statement string) ([][]string, error) {
	s, err := c.enter(ctx)
	if err != nil {
		return nil, c.wrap(ctx, "query", err)
	}
	defer s.close()
	rows, err := s.rows(ctx, statement)
	return rows, c.wrap(ctx, "query", err)
}

// Exec runs one changing statement as the database's role.
func (c *Component) Exec(ctx context.Context, statement string) error {
	s, err := c.enter(ctx)
	if err != nil {
		return c.wrap(ctx, "change", err)
	}
	defer s.close()
	return c.wrap(ctx, "change", s.exec(ctx, statement))
}

// Login tries the address as the application has it.
func (c *Component) Login(ctx context.Context) error {
	s, err := c.enter(ctx)
	if err != nil {
		return c.wrap(ctx, "log in", err)
	}
	s.close()
	return nil
}

// Reach looks whether the server answers. An answer is also that it refuses. Where the
// address is restored with another component, there is nothing to ask yet.
func (c *Component) Reach(ctx context.Context) error {
	err := c.Login(ctx)
	if err == nil || answered(err) || errors.Is(err, fs.ErrNotExist) && !c.env.Host.Exists(c.opts.URLFile) {
		return nil
	}
	return err
}

// Place is where the server of a captured database is: its socket, or host and port.
func Place(record component.Record) (string, error) {
	d, err := readDetail(record)
	return d.Place, err
}
