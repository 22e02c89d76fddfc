package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// loader feeds a dump of tables to a server, statement by statement, through the
// driver: no client that knows commands, nothing on a command line, and the
// loading ends with this process. Only what belongs into a dump of tables runs.
type loader struct {
	conn *sql.Conn
	// foreign dumps come from people: what is no table is left out with a
	// remark. In a dump of our own it is an error.
	foreign  bool
	database string        // that a foreign dump is wanted of
	limit    time.Duration // of one statement; 0 is none
	ansi     bool          // "…" is a name

	elsewhere bool // between USE of another database and the next USE
	used      string
	check     *dumpCheck
	skipped   []string
}

func newLoader(conn *sql.Conn) *loader { return &loader{conn: conn, check: newDumpCheck(nil)} }

// load runs the script from r in the connection's database. The caller still
// has to compare what is there now.
func (l *loader) load(ctx context.Context, r io.Reader) error {
	// One transaction a table instead of one a statement; a dump brings its
	// own LOCK TABLES, which end each.
	if _, err := l.conn.ExecContext(ctx, "SET SESSION autocommit = 0"); err != nil {
		return err
	}
	var refused error
	l.check.split.emit = func(s statement) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.statement(ctx, s); err != nil {
			refused = fmt.Errorf("line %d: %w", s.line, err)
		}
		return refused
	}
	if _, err := io.CopyBuffer(onlyWriter{l.check.split}, r, make([]byte, 256<<10)); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if err := l.check.split.Close(); refused != nil {
		return refused
	} else if err != nil {
		return fmt.Errorf("the dump is cut off: %w", err)
	}
	if len(l.check.tables) == 0 {
		return ErrEmptyDump
	}
	for _, statement := range []string{"UNLOCK TABLES", "COMMIT", "SET SESSION autocommit = 1"} {
		if _, err := l.conn.ExecContext(ctx, statement); err != nil {
			return describe(err, statement)
		}
	}
	return nil
}

// onlyWriter keeps io.Copy from anything but Write.
type onlyWriter struct{ io.Writer }

func (l *loader) statement(ctx context.Context, s statement) error {
	k := classify(s.text)
	if k.verb == verbUse {
		return l.use(s, k)
	}
	if l.elsewhere {
		return nil
	}
	switch k.verb {
	case verbNothing:
		return nil
	case verbCreateTable, verbDropTable, verbAlterTable, verbInsert, verbLock, verbCreateIndex, verbSetval:
		if k.database != "" && (!l.foreign || !strings.EqualFold(k.database, l.database)) {
			return fmt.Errorf("%q reaches into another database; no dump of one database does", brief(string(s.text)))
		}
		if l.foreign && placesFiles(k, s) {
			return fmt.Errorf("%q puts files outside the server's directory; it is refused", brief(string(s.text)))
		}
	case verbSet, verbTransaction:
	case verbCreateObject, verbDropObject, verbAlterEvent, verbAccounts, verbSetGlobal, verbCreateDatabase:
		if l.foreign {
			l.skip(k.leftOut())
			return nil
		}
		return fmt.Errorf("%q does not belong into a dump of tables", brief(string(s.text)))
	default:
		return fmt.Errorf("%q does not belong into a dump; it is refused", brief(string(s.text)))
	}
	if l.foreign {
		if err := ownForm(s.text, k.verb, l.ansi); err != nil {
			return notOwnForm(s, err)
		}
	}
	if err := l.exec(ctx, s); err != nil {
		return err
	}
	if l.foreign && k.verb == verbSet {
		if err := l.reading(ctx); err != nil {
			return err
		}
	}
	return l.check.statement(s)
}

// notOwnForm refuses a statement that no tool has written.
func notOwnForm(s statement, why error) error {
	return fmt.Errorf("%q %w, as nothing in a dump does; it is refused", brief(string(s.text)), why)
}

// exec runs a statement, for as long as one may take.
func (l *loader) exec(ctx context.Context, s statement) error {
	limited := ctx
	if l.limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, l.limit)
		defer cancel()
	}
	_, err := l.conn.ExecContext(limited, string(s.text))
	if limited.Err() != nil && ctx.Err() == nil || isError(err, errTooLong) {
		return fmt.Errorf("%q takes longer than %s, as nothing in a dump does; it was ended", brief(string(s.text)), l.limit)
	}
	if err != nil {
		return describe(err, string(s.text))
	}
	return nil
}

// reading asks how the server reads texts now, and refuses ways in which it would
// end one elsewhere than we.
func (l *loader) reading(ctx context.Context) error {
	var mode, charset string
	if err := l.conn.QueryRowContext(ctx, "SELECT @@sql_mode, @@character_set_client").Scan(&mode, &charset); err != nil {
		return err
	}
	modes := strings.Split(mode, ",")
	l.ansi = slices.Contains(modes, "ANSI_QUOTES")
	if slices.Contains(modes, "NO_BACKSLASH_ESCAPES") {
		return errors.New("it sets sql_mode to NO_BACKSLASH_ESCAPES, with which texts are written in another way than in dumps")
	}
	if slices.Contains([]string{"big5", "cp932", "gb18030", "gbk", "sjis"}, charset) {
		return fmt.Errorf("it is written in the character set %s, whose letters may hold a backslash; take a dump with --default-character-set=utf8", charset)
	}
	return nil
}

// placesFiles finds DATA DIRECTORY and INDEX DIRECTORY in a table's definition.
func placesFiles(k class, s statement) bool {
	if k.verb != verbCreateTable && k.verb != verbAlterTable {
		return false
	}
	r := &reader{tokens(s.text, 1<<20)}
	for len(r.left) > 0 {
		if r.accept("DATA", "DIRECTORY") || r.accept("INDEX", "DIRECTORY") {
			return true
		}
		r.next()
	}
	return false
}

// use follows a dump of several databases and takes the wanted one.
func (l *loader) use(s statement, k class) error {
	if !l.foreign {
		return fmt.Errorf("%q leaves the database that is restored; no dump of ours does", brief(string(s.text)))
	}
	l.used = k.name
	l.elsewhere = k.name != l.database
	if l.elsewhere && !slices.Contains(ownDatabases, strings.ToLower(k.name)) {
		l.skip("database " + k.name)
	}
	return nil
}

// ownDatabases are those of the server itself, which nobody misses.
var ownDatabases = []string{"information_schema", "mysql", "performance_schema", "sys"}

// leftOut is what is not taken out of a foreign dump; "" for settings and databases,
// which are not worth a word.
func (k class) leftOut() string {
	switch k.verb {
	case verbCreateObject:
		return strings.ToLower(k.object) + " " + k.name
	case verbAccounts:
		return "accounts and rights"
	case verbAlterEvent:
		return "event " + k.name
	}
	return ""
}

// skip remembers what is left out.
func (l *loader) skip(what string) {
	if what != "" && len(l.skipped) < 1000 {
		l.skipped = append(l.skipped, what)
	}
}

// tellLeftOut warns of what is left out, if anything is.
func tellLeftOut(skipped []string) []string {
	if len(skipped) == 0 {
		return nil
	}
	return []string{"left out of the foreign dump, because it is of another database or would run as somebody on this server: " + strings.Join(distinct(skipped), ", ")}
}

// complete tells whether the dump ended with the line that tools write last.
func (l *loader) complete() bool {
	return strings.HasPrefix(l.check.split.lastComment(), trailer)
}
