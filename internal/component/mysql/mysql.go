// Package mysql is the kind of component that is one database of a MariaDB or
// MySQL server. It captures tables and what hangs on them at one moment, and
// restores by loading beside, checking, and swapping. What a product's tables
// mean comes through package product; no product name may enter here.
package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
)

// Options are the keys of a component of kind mysql.
type Options struct {
	Database string `yaml:"database" jsonschema:"required"`
	Access   `yaml:",inline"`
	// Product names the schema knowledge that is used; "" is none.
	Product string `yaml:"product,omitempty"`
	// Checksum "off" leaves out CHECKSUM TABLE, which reads every table once more.
	Checksum string `yaml:"checksum,omitempty" jsonschema:"enum=on,enum=off"`
}

// databaseName is what a database may be called: it becomes part of file names.
var databaseName = regexp.MustCompile(`^[A-Za-z0-9_$][A-Za-z0-9_$.-]{0,63}$`)

// Validate checks what holds before settings are expanded.
func (o *Options) Validate() error {
	if o.Database == "" {
		return errors.New("database: name of the database is missing")
	}
	return nil
}

// Kind returns the kind mysql. Products are those that options may name.
func Kind(products product.Registry) component.Kind {
	return component.Kind{
		Definition: profile.Definition{
			Summary: "A database of a MariaDB or MySQL server: tables, views, triggers, routines, events and accounts, from one moment",
			Options: func() any { return new(Options) },
		},
		Name:   "mysql",
		ByHand: byHand,
		Schema: schemaOf,
		Server: &component.Server{Services: []string{"mariadb", "mysql", "mysqld"}, Directory: "SELECT @@datadir"},
		New: func(env component.Env, spec profile.Component) (component.Component, error) {
			opts, ok := spec.Options.(*Options)
			if !ok {
				return nil, fmt.Errorf("component %s: options are %T, not those of kind mysql", spec.Name, spec.Options)
			}
			p, err := products.Get(opts.Product)
			if err != nil {
				return nil, fmt.Errorf("component %s: %w", spec.Name, err)
			}
			return New(env, *opts, p)
		},
	}
}

// Component is one database. See component.Component for its methods.
type Component struct {
	env     component.Env
	opts    Options
	product *product.Product
}

var (
	_ component.Component = (*Component)(nil)
	_ component.Extractor = (*Component)(nil)
	_ component.Querier   = (*Component)(nil)
	_ component.Planner   = (*Component)(nil)

	_ component.Transactor = (*Component)(nil)
	_ component.Stager     = (*Component)(nil)
	_ component.Admitter   = (*Component)(nil)
	_ component.Reacher    = (*Component)(nil)
)

// New makes the component of one database. A nil product is none.
func New(env component.Env, opts Options, p *product.Product) (*Component, error) {
	if err := CheckName(opts.Database); err != nil {
		return nil, err
	}
	if p == nil {
		p = &product.Product{}
	}
	return &Component{env: env, opts: opts, product: p}, nil
}

// CheckName refuses a name that no application's database has: those of the server
// itself, whose restore would take the server its accounts, and odd characters.
func CheckName(name string) error {
	switch {
	case !databaseName.MatchString(name):
		return fmt.Errorf("database name %.100q: only letters, digits and _ $ . - are supported, at most 64", name)
	case slices.Contains(ownDatabases, strings.ToLower(name)):
		return fmt.Errorf("database %s is the database server's own, and no application's", name)
	}
	return nil
}

func (c *Component) tablesStream() string  { return "databases/" + c.opts.Database + ".tables.sql" }
func (c *Component) objectsStream() string { return "databases/" + c.opts.Database + ".objects.sql" }

// Query runs one reading statement on the database as administrator.
func (c *Component) Query(ctx context.Context, statement string) ([][]string, error) {
	s, err := c.connect(ctx, c.opts.Database)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.query(ctx, statement)
}

// Exec runs one changing statement on the database as administrator.
func (c *Component) Exec(ctx context.Context, statement string) error {
	s, err := c.connect(ctx, c.opts.Database)
	if err != nil {
		return err
	}
	defer s.close()
	return s.exec(ctx, statement)
}

// Transact runs changing statements on the database as administrator, all or
// none. What they set for the session ends with it.
func (c *Component) Transact(ctx context.Context, statements []string) error {
	s, err := c.connect(ctx, c.opts.Database)
	if err != nil {
		return err
	}
	defer s.close()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return errors.Join(describe(err, statement), tx.Rollback())
		}
	}
	return tx.Commit()
}

// Login tries the application's own user and password on the database, over the
// way that the application takes.
func (c *Component) Login(ctx context.Context) error {
	return Login(ctx, c.env.Host, c.opts.Access, c.opts.Database)
}

// connect opens the database, or none with "", as administrator.
func (c *Component) connect(ctx context.Context, database string) (*server, error) {
	return connect(ctx, c.env.Host, c.opts.Access, database)
}
