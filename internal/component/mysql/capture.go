package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"lifeboat/internal/component"
	"lifeboat/internal/product"
)

// session returns one connection of the server with database as its default.
func (s *server) session(ctx context.Context, database string) (*sql.Conn, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to database server: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "USE "+ident(database)); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", database, err), conn.Close())
	}
	return conn, nil
}

// Capture writes both sections of the database, as they are at one moment.
func (c *Component) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	s, err := c.connect(ctx, "")
	if err != nil {
		return component.Captured{}, err
	}
	defer s.close()
	captured, err := c.capture(ctx, s, sink)
	if err != nil {
		return component.Captured{}, fmt.Errorf("capture database %s: %w", c.opts.Database, err)
	}
	return captured, nil
}

func (c *Component) capture(ctx context.Context, s *server, sink component.Sink) (component.Captured, error) {
	if present, err := s.exists(ctx, c.opts.Database); err != nil {
		return component.Captured{}, err
	} else if !present {
		return component.Captured{}, fmt.Errorf("the server has no such database: %w", os.ErrNotExist)
	}
	tool, err := findDumpTool(ctx, s.host, s.version)
	if err != nil {
		return component.Captured{}, err
	}
	m, err := c.freeze(ctx, s)
	if err != nil {
		return component.Captured{}, err
	}
	defer m.release()

	detail, warnings, err := c.describe(ctx, s, m)
	if err != nil {
		return component.Captured{}, err
	}
	bytesTables, err := c.dump(ctx, s, tool, m, detail, sink)
	if err != nil {
		return component.Captured{}, err
	}
	stats, err := sink.AddStream(ctx, c.objectsStream(), bytes.NewReader(m.objects.script()))
	if err != nil {
		return component.Captured{}, err
	}
	return component.Captured{
		Bytes:    bytesTables + stats.Bytes,
		Items:    int64(len(detail.Tables)),
		Streams:  []string{c.tablesStream(), c.objectsStream()},
		Warnings: warnings,
		Tools:    map[string]string{tool.name(): tool.version, "database server": s.version.text},
		Detail:   detail,
	}, nil
}

// moment holds the database still while it is captured.
type moment struct {
	lock     *sql.Conn // holds the read lock
	snapshot *sql.Conn // sees the moment
	tables   []Table
	objects  *objects
	unlocked sync.Once
}

// release gives the lock back. It may be repeated.
func (m *moment) release() {
	m.unlocked.Do(func() { m.unlock() })
	if m.snapshot != nil {
		_ = m.snapshot.Close()
	}
}

// unlock ends the connection that holds the lock; the server then frees it,
// whatever happens.
func (m *moment) unlock() {
	if m.lock == nil {
		return
	}
	_, _ = m.lock.ExecContext(context.Background(), "UNLOCK TABLES")
	_ = m.lock.Close()
}

// freeze takes the read lock and, under it, a snapshot and the definitions. The
// lock is on the whole server where that is allowed: only that also keeps
// commits and definitions from changing. Otherwise it is on the tables.
func (c *Component) freeze(ctx context.Context, s *server) (*moment, error) {
	m := &moment{}
	if err := c.hold(ctx, s, m); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

func (c *Component) hold(ctx context.Context, s *server, m *moment) (err error) {
	if m.lock, err = s.session(ctx, c.opts.Database); err != nil {
		return err
	}
	_, err = m.lock.ExecContext(ctx, "FLUSH TABLES WITH READ LOCK")
	switch {
	case isError(err, errNeedsPrivilege, errAccessDenied, errDatabaseDenied):
		if err := c.lockTables(ctx, m); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("lock for reading (is a long query running?): %w", err)
	}
	if m.snapshot, err = s.session(ctx, c.opts.Database); err != nil {
		return err
	}
	for _, statement := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"} {
		if _, err := m.snapshot.ExecContext(ctx, statement); err != nil {
			return describe(err, statement)
		}
	}
	if m.tables, err = listTables(ctx, m.snapshot, c.opts.Database); err != nil {
		return err
	}
	if len(m.tables) == 0 {
		return errors.New("it holds no tables")
	}
	if err := markInexact(ctx, m.snapshot, c.opts.Database, m.tables); err != nil {
		return err
	}
	m.objects, err = readObjects(ctx, m.snapshot, s, c.opts.Database)
	return err
}

func (c *Component) lockTables(ctx context.Context, m *moment) error {
	list, err := baseTables(ctx, m.lock, c.opts.Database)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("it holds no tables, or the account may not see them")
	}
	parts := make([]string, 0, len(list))
	for _, t := range list {
		parts = append(parts, ident(t)+" READ")
	}
	if _, err := m.lock.ExecContext(ctx, "LOCK TABLES "+strings.Join(parts, ", ")); err != nil {
		return fmt.Errorf("lock tables for reading: %w", err)
	}
	return nil
}

// describe fills the record, all but the counts.
func (c *Component) describe(ctx context.Context, s *server, m *moment) (*Detail, []string, error) {
	rows, err := query(ctx, m.snapshot, "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", c.opts.Database)
	if err != nil {
		return nil, nil, err
	}
	o := m.objects
	d := &Detail{
		Database: c.opts.Database, Charset: rows[0][0], Collation: rows[0][1],
		Server: s.version.text, Series: s.version.series(), Product: c.product.Name,
		Consistent: "locked", Encoding: "utf8mb4",
		Tables: m.tables, Routines: names(o.routines), Views: names(o.views), Triggers: names(o.triggers), Events: names(o.events),
		Definers: o.definers(),
	}
	if onlyTransactional(m.tables) {
		d.Consistent = "snapshot"
	}
	if !s.version.atLeast(5, 6) { // 5.5.3 brought utf8mb4; its tools speak utf8 as well
		d.Encoding = "utf8"
	}
	for _, a := range o.accounts {
		d.Accounts = append(d.Accounts, a.name())
	}
	warnings := slices.Clone(o.warnings)
	missing, err := unknownDefiners(ctx, m.snapshot, d.Definers)
	if err == nil && len(missing) > 0 {
		warnings = append(warnings, fmt.Sprintf("views, triggers or routines run as accounts that do not exist: %s", strings.Join(missing, ", ")))
	}
	if c.product.Schema.Version != nil {
		var err error
		if d.Schema, d.Upgrading, err = schemaVersion(ctx, c.product, m.snapshot); err != nil {
			warnings = append(warnings, err.Error())
		}
		warnings = append(warnings, c.lacking(d)...)
		if d.Upgrading {
			warnings = append(warnings, "a schema upgrade is under way in the database; what is captured now may not start. Let the upgrade end and capture again")
		}
	}
	return d, warnings, nil
}

// schemaVersion asks the product what schema the connection's database has.
func schemaVersion(ctx context.Context, p *product.Product, q querier) (version string, upgrading bool, err error) {
	version, err = p.Schema.Version(ctx, func(ctx context.Context, statement string) ([][]string, error) { return query(ctx, q, statement) })
	if errors.Is(err, product.ErrUpgrading) {
		return version, true, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("schema version is not known: %w", err)
	}
	return version, false, nil
}

// unknownDefiners lists the accounts user@host that the server does not have.
func unknownDefiners(ctx context.Context, q querier, definers []string) ([]string, error) {
	if len(definers) == 0 {
		return nil, nil
	}
	known, err := column(ctx, q, "SELECT CONCAT(User, '@', Host) FROM mysql.user")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(definers), func(d string) bool { return slices.Contains(known, d) }), nil
}

// dump streams the tables into the sink, and meanwhile counts them.
func (c *Component) dump(ctx context.Context, s *server, tool *dumpTool, m *moment, d *Detail, sink component.Sink) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshot := d.Consistent == "snapshot"
	args := tool.args(c.opts.Database, d.Encoding, snapshot, d.tableNames())
	dir, err := c.scratch()
	if err != nil {
		return 0, err
	}
	counted := make(chan error, 1)
	go func() { counted <- c.count(ctx, m, d) }()
	check := newDumpCheck(func() {
		if snapshot { // the tool's own snapshot stands: writers may go on
			m.unlocked.Do(m.unlock)
		}
	})
	r := startDump(ctx,
		func(ctx context.Context, w io.Writer) error {
			return tool.run(ctx, s, dir, args, w)
		},
		check,
		func() error {
			err := <-counted
			counted <- err
			if err != nil {
				return err
			}
			return check.finish(d.Tables)
		})
	stats, err := sink.AddStream(ctx, c.tablesStream(), r)
	_ = r.Close()
	if err != nil {
		cancel()
		<-counted
		return 0, err
	}
	if r.err != io.EOF {
		return 0, errors.New("the repository stopped reading before the end of the dump")
	}
	d.Longest = check.largest
	return stats.Bytes, c.unchanged(ctx, s, m)
}

func (c *Component) count(ctx context.Context, m *moment, d *Detail) error {
	for i := range d.Tables {
		if err := countTable(ctx, m.snapshot, c.opts.Database, &d.Tables[i], c.opts.Checksum != "off"); err != nil {
			return err
		}
	}
	return nil
}

// unchanged refuses a capture during which tables came or went.
func (c *Component) unchanged(ctx context.Context, s *server, m *moment) error {
	now, err := baseTables(ctx, s.db, c.opts.Database)
	if err != nil {
		return err
	}
	var before []string
	for _, t := range m.tables {
		before = append(before, t.Name)
	}
	if !slices.Equal(before, now) {
		return fmt.Errorf("tables were made or removed meanwhile (%v, now %v); capture again", before, now)
	}
	return nil
}

// scratch is the directory where an unnamed file is made for a moment.
func (c *Component) scratch() (string, error) {
	if c.env.State == "" {
		return os.TempDir(), nil
	}
	if err := os.MkdirAll(c.env.State, 0o700); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	return c.env.State, nil
}
