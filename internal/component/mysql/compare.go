package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/repository"
)

// maxScript bounds what is read of the stored definitions, in bytes.
const maxScript = 256 << 20

// Compare compares the live database with the captured one, at one moment where
// its tables allow that, and without locks (a table that is not transactional is
// locked for writers while its rows are counted, as by any reader). Row counts
// and checksums tell that a table differs, never which row.
func (c *Component) Compare(ctx context.Context, source component.Source, opts component.CompareOptions) (component.Comparison, error) {
	var result component.Comparison
	d, err := detailOf(opts.Record, c.opts.Database)
	if err != nil {
		return result, err
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return result, err
	}
	defer s.close()
	if present, err := s.exists(ctx, d.Database); err != nil {
		return result, err
	} else if !present {
		opts.Report(component.Difference{Path: "database " + d.Database, Kind: repository.Missing, Below: int64(len(d.Tables))})
		return result, nil
	}
	conn, err := s.session(ctx, d.Database)
	if err != nil {
		return result, err
	}
	defer conn.Close()
	l := &liveComparison{c: c, s: s, conn: conn, was: d, opts: opts, result: &result}
	if err := l.run(ctx, source); err != nil {
		return result, fmt.Errorf("compare database %s: %w", d.Database, err)
	}
	return result, nil
}

// liveComparison is one Compare.
type liveComparison struct {
	c      *Component
	s      *server
	conn   *sql.Conn
	was    *Detail
	opts   component.CompareOptions
	result *component.Comparison
	wrote  map[string]written
}

// written is what the server knows of a table's last change.
type written struct{ created, updated time.Time }

func (l *liveComparison) tell(path string, kind repository.DifferenceKind, fields ...repository.Field) {
	l.opts.Report(component.Difference{Path: files.Shown(path), Kind: kind, Fields: fields})
}

func (l *liveComparison) run(ctx context.Context, source component.Source) error {
	// MySQL 8 answers from statistics of up to a day before; others do not know that.
	_, _ = l.conn.ExecContext(ctx, "SET SESSION information_schema_stats_expiry = 0")
	for _, statement := range []string{"SET SESSION time_zone = '+00:00'", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"} {
		if _, err := l.conn.ExecContext(ctx, statement); err != nil {
			return describe(err, statement)
		}
	}
	if err := l.times(ctx); err != nil {
		return err
	}
	if err := l.tables(ctx); err != nil {
		return err
	}
	if l.c.product.Schema.Version != nil && l.was.Schema != "" {
		l.result.What = append(l.result.What, "the schema version")
		version, upgrading, err := schemaVersion(ctx, l.c.product, l.conn)
		switch {
		case err != nil:
			version = err.Error()
		case upgrading:
			version += ", an upgrade is under way"
		}
		if version != l.was.Schema {
			l.tell("schema version", repository.Changed, repository.Field{Name: "version", Was: l.was.Schema, Now: version})
		}
	}
	return l.definitions(ctx, source)
}

// times asks when tables were written to, by this machine's clock.
func (l *liveComparison) times(ctx context.Context) error {
	rows, err := query(ctx, l.conn, `SELECT TABLE_NAME, COALESCE(UNIX_TIMESTAMP(CREATE_TIME), ''), COALESCE(UNIX_TIMESTAMP(UPDATE_TIME), ''), UNIX_TIMESTAMP()
		FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?`, l.was.Database)
	if err != nil {
		return err
	}
	now := time.Now()
	l.wrote = map[string]written{}
	for _, r := range rows {
		server, err := strconv.ParseFloat(r[3], 64)
		if err != nil {
			return fmt.Errorf("the server's time %q: %w", r[3], err)
		}
		at := func(text string) time.Time {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return time.Time{}
			}
			return now.Add(time.Duration((seconds - server) * float64(time.Second)))
		}
		l.wrote[r[0]] = written{at(r[1]), at(r[2])}
	}
	return nil
}

// judge says whether the server's times explain that a table differs. They are
// whole seconds.
func (l *liveComparison) judge(d *component.Difference, table string) {
	since, w := l.opts.Since(), l.wrote[table]
	switch {
	case w.updated.IsZero():
		d.Note = "the server does not tell when it was last written to"
	case since.IsZero():
	case w.updated.Before(since.Add(-time.Second)) && w.created.Before(since.Add(-time.Second)):
		d.Suspicious = true
		d.Note = "the server says that it was last written to at " + w.updated.UTC().Format(time.DateTime) + " UTC, before the recovery point"
	}
}

func (l *liveComparison) tables(ctx context.Context) error {
	live, err := listTables(ctx, l.conn, l.was.Database)
	if err != nil {
		return err
	}
	if err := markInexact(ctx, l.conn, l.was.Database, live); err != nil {
		return err
	}
	sums := l.s.version.series() == l.was.Series
	var unsummed int
	l.result.What = append(l.result.What, "the list of tables, their engines, the number of rows of each")
	for _, was := range l.was.Tables {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.result.Items++
		at := slices.IndexFunc(live, func(t Table) bool { return t.Name == was.Name })
		if at < 0 {
			l.tell("table "+was.Name, repository.Missing)
			continue
		}
		now := live[at]
		live = slices.Delete(live, at, at+1)
		alike := sums && was.Checksum != "" && !now.inexact && was.Engine == now.Engine
		if err := countTable(ctx, l.conn, l.was.Database, &now, alike); err != nil {
			return err
		}
		if !alike {
			unsummed++
		}
		d := component.Difference{Path: files.Shown("table " + was.Name), Kind: repository.Changed}
		if was.Engine != now.Engine {
			d.Fields = append(d.Fields, repository.Field{Name: "engine", Was: was.Engine, Now: now.Engine})
		}
		switch {
		case was.Rows != now.Rows:
			d.Fields = append(d.Fields, repository.Field{Name: "rows", Was: strconv.FormatInt(was.Rows, 10), Now: strconv.FormatInt(now.Rows, 10)})
		case alike && now.Checksum != was.Checksum:
			d.Fields = append(d.Fields, repository.Field{Name: "checksum", Was: was.Checksum, Now: now.Checksum})
		}
		if len(d.Fields) > 0 {
			l.judge(&d, was.Name)
			l.opts.Report(d)
		}
	}
	for _, t := range live {
		l.result.Items++
		l.tell("table "+t.Name, repository.New)
	}
	if unsummed < len(l.was.Tables) {
		l.result.What = append(l.result.What, fmt.Sprintf("the content of %d of %d tables, by the server's checksum", len(l.was.Tables)-unsummed, len(l.was.Tables)))
	}
	switch {
	case !sums:
		l.result.Not = append(l.result.Not, fmt.Sprintf("the content of tables: checksums of %s and %s are not comparable", l.was.Series, l.s.version.series()))
	case unsummed > 0:
		l.result.Not = append(l.result.Not, fmt.Sprintf("the content of %d of %d tables, which have no checksum in the point (floating point columns, sequences, or checksum: off)", unsummed, len(l.was.Tables)))
	}
	l.result.Not = append(l.result.Not, "which rows differ", "the definitions of columns and indexes")
	return nil
}

// definitions compares what hangs on the tables with the point's second section.
func (l *liveComparison) definitions(ctx context.Context, source component.Source) error {
	o, err := readObjects(ctx, l.conn, l.s, l.was.Database)
	if err != nil {
		return err
	}
	l.result.Not = append(l.result.Not, o.warnings...)
	exact := l.s.version.series() == l.was.Series
	script := ""
	if exact {
		if script, err = l.script(ctx, source); err != nil {
			return err
		}
		l.result.What = append(l.result.What, "the definitions of views, triggers, routines and events, accounts and their rights")
	} else {
		l.result.What = append(l.result.What, "the names of views, triggers, routines, events and accounts")
	}
	left := map[string][]string{
		"routine": slices.Clone(l.was.Routines), "view": slices.Clone(l.was.Views), "trigger": slices.Clone(l.was.Triggers),
		"event": slices.Clone(l.was.Events), "account": slices.Clone(l.was.Accounts),
	}
	for _, r := range o.renditions() {
		l.result.Items++
		at := slices.Index(left[r.sort], r.name)
		switch {
		case at < 0:
			l.tell(r.sort+" "+r.name, repository.New)
			continue
		case exact && !strings.Contains(script, r.text):
			l.tell(r.sort+" "+r.name, repository.Changed, repository.Field{Name: "definition"})
		}
		left[r.sort] = slices.Delete(left[r.sort], at, at+1)
	}
	for _, sort := range []string{"routine", "view", "trigger", "event", "account"} {
		for _, name := range left[sort] {
			l.result.Items++
			l.tell(sort+" "+name, repository.Missing)
		}
	}
	return nil
}

// script reads the point's second section.
func (l *liveComparison) script(ctx context.Context, source component.Source) (string, error) {
	r, err := source.OpenStream(ctx, l.c.objectsStream())
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxScript+1))
	if err == nil && len(text) > maxScript {
		err = errors.New("it is too large")
	}
	if err != nil {
		return "", fmt.Errorf("read the stored definitions: %w", err)
	}
	return string(text), nil
}

var _ component.Comparer = (*Component)(nil)
