package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/component"
)

// restore is one restore or its reverse, with what it works on.
type restore struct {
	c      *Component
	s      *server
	j      *journal
	detail *Detail
	warn   func(string)
	failed []string // accounts and views that could not be put back
}

// Restore loads the tables beside, checks them, sets the present ones aside and
// puts the loaded ones in their place in one statement, then applies what hangs
// on them. Every change is announced in a journal in Env.State, so that a killed
// Restore completes when it is called again, or is reversed by Rollback.
func (c *Component) Restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	if err := c.restore(ctx, source, opts); err != nil {
		return fmt.Errorf("restore database %s: %w", c.opts.Database, c.explainRoom(ctx, err))
	}
	return nil
}

func (c *Component) restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	detail, err := detailOf(opts.Record, c.opts.Database)
	if err != nil {
		return err
	}
	if err := c.startOver(ctx, detail, opts.Warn); err != nil {
		return err
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer s.close()
	j, err := openJournal(c.env.State, c.opts.Database, true)
	if err != nil {
		return err
	}
	defer j.close()
	if j.rolling && !j.rolledBack {
		return errors.New("its rollback has begun and has to end first")
	}
	r := &restore{c: c, s: s, j: j, detail: detail, warn: opts.Warn}
	if r.warn == nil {
		r.warn = func(string) {}
	}
	if j.restored && !j.rolledBack {
		return nil
	}
	if j.begun == nil || j.rolledBack {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	if !j.loaded {
		if err := r.load(ctx, source, opts.Progress); err != nil {
			return err
		}
	}
	if !j.saved {
		if err := r.savePresent(ctx); err != nil {
			return err
		}
	}
	if !j.swapped {
		if err := r.swap(ctx); err != nil {
			return err
		}
	}
	if err := r.applySection(ctx, source); err != nil {
		return err
	}
	return r.finish(ctx)
}

// begin chooses names and refuses what cannot end well.
func (r *restore) begin(ctx context.Context) error {
	database := r.c.opts.Database
	b := record{Do: doBegin, New: sideName(database, "new", r.c.env.Run), Aside: sideName(database, "aside", r.c.env.Run)}
	for _, name := range []string{b.New, b.Aside} {
		if taken, err := r.s.exists(ctx, name); err != nil {
			return err
		} else if taken {
			return fmt.Errorf("database %s is there already and not from this run; look at it, then rename or drop it", name)
		}
	}
	rows, err := r.s.query(ctx, "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", database)
	if err != nil {
		return err
	}
	if len(rows) == 1 {
		b.Existed, b.Charset, b.Collation = true, rows[0][0], rows[0][1]
	}
	others, err := column(ctx, r.s.db, `SELECT DISTINCT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.KEY_COLUMN_USAGE
		WHERE REFERENCED_TABLE_SCHEMA = ? AND TABLE_SCHEMA <> ?`, database, database)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("tables of other databases have foreign keys to it (%s); they would follow what is set aside. Drop those keys first", strings.Join(others, ", "))
	}
	return r.j.add(ctx, b)
}

// sideName is the name of a database beside: NAME_new_RUN, cut to what a server
// allows.
func sideName(database, what, run string) string {
	tail := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			return c
		}
		return -1
	}, strings.ToLower(run))
	if len(tail) > 20 {
		sum := sha256.Sum256([]byte(run))
		tail = hex.EncodeToString(sum[:8])
	}
	tail = "_" + what + "_" + tail
	return database[:min(len(database), 64-len(tail))] + tail
}

// load fills the staging database and checks every table of it.
func (r *restore) load(ctx context.Context, source component.Source, progress func(done, total int64)) error {
	if err := r.j.add(ctx, record{Do: doLoad}); err != nil {
		return err
	}
	beside := r.j.begun.New
	if err := r.drop(ctx, beside); err != nil {
		return err
	}
	if err := r.createDatabase(ctx, beside, r.detail.Charset, r.detail.Collation); err != nil {
		return err
	}
	if err := r.raisePacket(ctx); err != nil {
		return err
	}
	stream, err := source.OpenStream(ctx, r.c.tablesStream())
	if err != nil {
		return err
	}
	defer stream.Close()
	conn, err := r.s.session(ctx, beside)
	if err != nil {
		return err
	}
	defer conn.Close()
	l := newLoader(conn)
	if err := l.load(ctx, &meter{r: stream, progress: progress}); err != nil {
		return err
	}
	if !l.complete() {
		return fmt.Errorf("the dump in the recovery point is cut off: its last line is not %q", trailer)
	}
	if err := compareTables("dump in the recovery point", r.detail.Tables, l.check.tables, l.check.rows); err != nil {
		return err
	}
	if err := r.checkLoaded(ctx, beside); err != nil {
		return err
	}
	return r.j.add(ctx, record{Do: doLoaded})
}

// checkLoaded compares the staging database with the manifest.
func (r *restore) checkLoaded(ctx context.Context, beside string) error {
	conn, err := r.s.session(ctx, beside)
	if err != nil {
		return err
	}
	defer conn.Close()
	checks, err := r.c.compare(ctx, conn, r.s, r.detail, beside)
	if err != nil {
		return err
	}
	var wrong []string
	for _, k := range checks {
		switch {
		case k.OK:
		case k.Warning:
			r.warn(fmt.Sprintf("%s: expected %s, found %s", k.Name, k.Expected, k.Found))
		default:
			wrong = append(wrong, fmt.Sprintf("%s: expected %s, found %s", k.Name, k.Expected, k.Found))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("what was loaded is not what was captured (the present database is untouched): %s", strings.Join(wrong, "; "))
	}
	return nil
}

// createDatabase makes a database; a collation that this server does not know
// becomes its character set's default.
func (r *restore) createDatabase(ctx context.Context, name, charset, collation string) error {
	create := "CREATE DATABASE IF NOT EXISTS " + ident(name) + " CHARACTER SET " + charset
	err := r.s.exec(ctx, create+" COLLATE "+collation)
	if isError(err, errUnknownCollation) {
		r.warn(fmt.Sprintf("this server does not know collation %s; the default of %s is used", collation, charset))
		err = r.s.exec(ctx, create)
	}
	if isError(err, errDatabaseDenied, errAccessDenied, errNeedsPrivilege) {
		return fmt.Errorf("%w; %s may not make databases, name an option file with an administrator's access in defaults_file", err, r.s.login.how)
	}
	if isError(err, errUnknownCharset) {
		return fmt.Errorf("%w; this server is too old or of another kind than the one that was captured", err)
	}
	return err
}

// raisePacket lets the server take the longest statement of the dump: hex
// digits make a value twice as long as it was when it was first stored.
func (r *restore) raisePacket(ctx context.Context) error {
	rows, err := r.s.query(ctx, "SELECT @@global.max_allowed_packet")
	if err != nil {
		return err
	}
	limit, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return fmt.Errorf("limit of a statement: %w", err)
	}
	want := min(int64(r.detail.Longest)+1<<20, 1<<30)
	if limit >= want {
		return nil
	}
	if r.j.packet == 0 {
		if err := r.j.add(ctx, record{Do: doPacket, Packet: limit}); err != nil {
			return err
		}
	}
	if err := r.s.exec(ctx, "SET GLOBAL max_allowed_packet = "+strconv.FormatInt(want, 10)); err != nil {
		return err
	}
	return r.reconnect(ctx) // the limit holds for new connections
}

func (r *restore) reconnect(ctx context.Context) error {
	s, err := r.c.connect(ctx, "")
	if err != nil {
		return err
	}
	r.s.close()
	*r.s = *s
	return nil
}

// lowerPacket puts the limit back.
func (r *restore) lowerPacket(ctx context.Context) error {
	if r.j.packet == 0 {
		return nil
	}
	return r.s.exec(ctx, "SET GLOBAL max_allowed_packet = "+strconv.FormatInt(r.j.packet, 10))
}

// change announces a statement and runs it.
func (r *restore) change(ctx context.Context, statement string) error {
	if err := r.j.add(ctx, record{Do: doRun, Statement: brief(statement)}); err != nil {
		return err
	}
	return r.s.exec(ctx, statement)
}

// finish removes the empty staging database and tells what is not as it was.
func (r *restore) finish(ctx context.Context) error {
	if err := r.dropEmpty(ctx, r.j.begun.New); err != nil {
		return err
	}
	if err := r.lowerPacket(ctx); err != nil {
		return err
	}
	missing, err := unknownDefiners(ctx, r.s.db, r.detail.Definers)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		r.warn(fmt.Sprintf("views, triggers, routines or events run as accounts that this server does not have: %s; make them, or what uses them fails", strings.Join(missing, ", ")))
	}
	return r.j.add(ctx, record{Do: doRestored})
}

// dropEmpty drops a database that must hold no table any more.
func (r *restore) dropEmpty(ctx context.Context, name string) error {
	left, err := baseTables(ctx, r.s.db, name)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("database %s still holds tables %s; it is kept", name, strings.Join(left, ", "))
	}
	return r.drop(ctx, name)
}

// drop drops a database that is there. Without one it needs no right to.
func (r *restore) drop(ctx context.Context, name string) error {
	there, err := r.s.exists(ctx, name)
	if err != nil || !there {
		return err
	}
	return r.change(ctx, "DROP DATABASE "+ident(name))
}

// meter tells how far the reading is.
type meter struct {
	r        io.Reader
	progress func(done, total int64)
	done     int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.done += int64(n)
	if m.progress != nil {
		m.progress(m.done, 0)
	}
	return n, err
}

// missing returns the names of a that are not in b.
func missing(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return slices.Contains(b, name) })
}
