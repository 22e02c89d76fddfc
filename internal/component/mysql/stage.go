package mysql

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/mysqld"
	"lifeboat/internal/product"
)

// StageOptions says how a foreign dump is loaded.
type StageOptions struct {
	Host *host.Host // nil is this machine
	// Dir is a directory for the private server, reachable for the user mysql;
	// "" is one below the system's temporary directory. It needs about
	// twice the room of the dump.
	Dir      string
	Database string // the database that is wanted, and what it is called in the point
	Charset  string // of the database when the dump does not say; default latin1
	Product  *product.Product
	State    string // directory for an unnamed file with access to the private server
	// Limit bounds the unpacked dump, in bytes; 0 is 256 GiB.
	Limit int64
	// Statement bounds how long one statement may take; 0 is 30 minutes.
	Statement time.Duration
}

// Staged is a foreign dump in a private server. It implements nothing but capture.
type Staged struct {
	// Skipped lists what stood in the dump and was left out: views, triggers,
	// routines, events, accounts, which would run as somebody on this server, and
	// other databases. Warnings tell of it.
	Skipped []string
	// Warnings tells what is odd about the dump.
	Warnings []string
	Tables   int
	Rows     int64
	// Completed is when the dump was made, as its last line says in the local
	// time of the machine that wrote it; zero when it does not say.
	Completed time.Time

	server    *mysqld.Server
	component *Component
}

// ErrEmptyDump says that a dump holds no table: what made it has failed.
var ErrEmptyDump = errors.New("the dump is empty: no table stands in it")

// Limits of a foreign dump, in bytes.
const (
	stageLimit     = 256 << 30
	stageStatement = 256 << 20
)

// stageTime is for the statement that takes longest in honest dumps, one that
// builds the indexes of a large table.
const stageTime = 30 * time.Minute

// stageUser loads foreign dumps. It has rights on the one database and none
// that reaches files, other databases or the server.
const stageUser = "staging"

// Stage loads a foreign dump, plain or packed with gzip or bzip2, into a private
// server of ours that is confined, as a user without any right but on the one
// database. Close must be called.
func Stage(ctx context.Context, r io.Reader, opts StageOptions) (*Staged, error) {
	st, err := stage(ctx, r, opts)
	if err != nil {
		return nil, fmt.Errorf("take in dump of database %s: %w", opts.Database, err)
	}
	return st, nil
}

func stage(ctx context.Context, r io.Reader, opts StageOptions) (*Staged, error) {
	if opts.Host == nil {
		opts.Host = host.Local()
	}
	if opts.Charset == "" {
		opts.Charset = "latin1"
	}
	if opts.Limit == 0 {
		opts.Limit = stageLimit
	}
	if opts.Statement == 0 {
		opts.Statement = stageTime
	}
	if err := CheckName(opts.Database); err != nil { // before a server is started
		return nil, err
	}
	if !charsetName.MatchString(opts.Charset) {
		return nil, fmt.Errorf("character set %q is no name", opts.Charset)
	}
	plain, err := unpack(r)
	if err != nil {
		return nil, err
	}
	server, err := mysqld.Start(ctx, mysqld.Options{
		Host: opts.Host, Dir: opts.Dir, Confined: true,
		// The limit of the client, besides; MySQL has none for what is no query.
		Args: []string{fmt.Sprintf("--loose-max-statement-time=%.3f", opts.Statement.Seconds())},
	})
	if err != nil {
		return nil, err
	}
	st := &Staged{server: server}
	if err := st.load(ctx, &bounded{r: plain, left: opts.Limit}, opts); err != nil {
		return nil, errors.Join(err, st.Close(ctx))
	}
	return st, nil
}

// unpack looks at the first bytes and not at a name.
func unpack(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	magic, err := b.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case len(magic) == 0:
		return nil, ErrEmptyDump
	case hasPrefix(magic, "\x1f\x8b"):
		return gzip.NewReader(b)
	case hasPrefix(magic, "BZh"):
		return bzip2.NewReader(b), nil
	}
	return b, nil
}

// bounded fails, instead of ending, at its limit.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("unpacked it is larger than allowed")
	}
	return n, err
}

func (st *Staged) load(ctx context.Context, r io.Reader, opts StageOptions) error {
	c, err := New(component.Env{Host: opts.Host, State: opts.State}, Options{Database: opts.Database, Access: Access{Socket: st.server.Socket()}}, opts.Product)
	if err != nil {
		return err
	}
	st.component = c
	root, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer root.close()
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS " + ident(opts.Database),
		"CREATE DATABASE " + ident(opts.Database) + " CHARACTER SET " + opts.Charset,
		"DROP USER IF EXISTS " + stageUser + "@localhost",
		"CREATE USER " + stageUser + "@localhost",
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, LOCK TABLES, REFERENCES ON " + ident(opts.Database) + ".* TO " + stageUser + "@localhost",
	} {
		if err := root.exec(ctx, statement); err != nil {
			return err
		}
	}
	user, err := login{how: "staging user", user: stageUser, socket: st.server.Socket()}.open(ctx, opts.Host, Access{}, "")
	if err != nil {
		return err
	}
	defer user.close()
	conn, err := user.session(ctx, opts.Database)
	if err != nil {
		return err
	}
	defer conn.Close()
	l := newLoader(conn)
	l.foreign, l.database, l.limit = true, opts.Database, opts.Statement
	l.check.split.limit = stageStatement
	if err := l.load(ctx, r); err != nil {
		return l.explain(err)
	}
	return st.judge(ctx, root, l, opts.Database)
}

// explain tells about a dump of other databases than the wanted one.
func (l *loader) explain(err error) error {
	if len(l.check.tables) == 0 && l.used != "" && l.used != l.database {
		if errors.Is(err, ErrEmptyDump) { // it is not
			return fmt.Errorf("it holds database %s and not %s", l.used, l.database)
		}
		return fmt.Errorf("it holds database %s and not %s: %w", l.used, l.database, err)
	}
	return err
}

// judge compares what was in the dump with what is in the server now.
func (st *Staged) judge(ctx context.Context, root *server, l *loader, database string) error {
	tables, err := listTables(ctx, root.db, database)
	if err != nil {
		return err
	}
	found := map[string]int64{}
	for i := range tables {
		if err := countTable(ctx, root.db, database, &tables[i], false); err != nil {
			return err
		}
		found[tables[i].Name] = tables[i].Rows
		st.Rows += tables[i].Rows
	}
	st.Tables = len(tables)
	for name, rows := range l.check.rows {
		if found[name] != rows {
			st.Warnings = append(st.Warnings, fmt.Sprintf("table %s: %d rows stand in the dump, %d are loaded", name, rows, found[name]))
		}
	}
	if err := root.exec(ctx, "DROP USER "+stageUser+"@localhost"); err != nil { // it is no account of the dump
		return err
	}
	st.Skipped = l.skipped
	st.Warnings = append(st.Warnings, tellLeftOut(l.skipped)...)
	st.Completed = completedAt(l.check.split.lastComment())
	if !l.complete() {
		if l.check.split.comments {
			return fmt.Errorf("it is cut off: the last line is not %q", trailer)
		}
		st.Warnings = append(st.Warnings, noComments)
	}
	return st.dangling(ctx, root, &Detail{Database: database, Tables: tables})
}

// dangling warns of tables that the dump lacks, and of rows that refer to rows it
// does not have: a table was left out, say, when it was made.
func (st *Staged) dangling(ctx context.Context, root *server, d *Detail) error {
	c := st.component
	if c.product.Schema.Version == nil {
		return nil
	}
	conn, err := root.session(ctx, d.Database)
	if err != nil {
		return err
	}
	defer conn.Close()
	if d.Schema, _, err = schemaVersion(ctx, c.product, conn); err != nil {
		return nil //nolint:nilerr // capturing says so
	}
	st.Warnings = append(st.Warnings, c.lacking(d)...)
	checks, err := c.references(ctx, conn, d)
	for _, k := range checks {
		if strings.HasSuffix(k.Found, orphaned) && !k.OK {
			st.Warnings = append(st.Warnings, k.Name+": "+k.Found)
		}
	}
	return err
}

// completed is mysqldump's last line, whose hour may have one digit:
// -- Dump completed on 2019-03-04  9:05:06
var completed = regexp.MustCompile(`^-- Dump completed on (\d{4}-\d{2}-\d{2})\s+(\d{1,2}:\d{2}:\d{2})$`)

func completedAt(line string) time.Time {
	m := completed.FindStringSubmatch(line)
	if m == nil {
		return time.Time{}
	}
	when, err := time.ParseInLocation("2006-01-02 15:04:05", m[1]+" "+m[2], time.Local)
	if err != nil {
		return time.Time{}
	}
	return when
}

// Capture writes the staged database through the same path as a live one.
func (st *Staged) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	captured, err := st.component.Capture(ctx, sink)
	if err != nil {
		return captured, err
	}
	captured.Warnings = distinct(slices.Concat(st.Warnings, captured.Warnings)) // tables that are missing are told by both
	return captured, nil
}

// Query asks the staged database.
func (st *Staged) Query(ctx context.Context, statement string) ([][]string, error) {
	return st.component.Query(ctx, statement)
}

// Close ends the private server and removes its data.
func (st *Staged) Close(ctx context.Context) error {
	return st.server.Stop(context.WithoutCancel(ctx))
}

// distinct keeps the first of equal entries.
func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
