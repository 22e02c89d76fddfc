package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fleet/record"
)

// tx is a transaction on one connection. After a statement failed, the whole
// transaction does, whatever its user makes of the error: PostgreSQL wants it, and
// what was half done must not stay in SQLite either.
type tx struct {
	ctx     context.Context
	run     statements
	failed  error
	audited bool // it writes the audit log
	eager   bool // it must not wait for others there
}

// statements runs SQL with ? for each argument.
type statements interface {
	exec(ctx context.Context, query string, args []any) (sql.Result, error)
	query(ctx context.Context, query string, args []any) (*sql.Rows, error)
}

func (t *tx) fail(err error) error {
	if err != nil && t.failed == nil {
		t.failed = err
	}
	return err
}

// ready is asked before each statement.
func (t *tx) ready(args []any) error {
	if t.failed != nil {
		return fmt.Errorf("an earlier statement of the transaction failed: %w", t.failed)
	}
	if err := t.ctx.Err(); err != nil {
		return t.fail(err)
	}
	for i, arg := range args {
		v, err := value(arg)
		if err != nil {
			return t.fail(err)
		}
		args[i] = v
	}
	return nil
}

// exec runs a statement and gives the number of rows it touched.
func (t *tx) exec(query string, args ...any) (int64, error) {
	if err := t.ready(args); err != nil {
		return 0, err
	}
	result, err := t.run.exec(t.ctx, query, args)
	if err != nil {
		if missing(err) {
			err = fmt.Errorf("%w: what it belongs to is not there", record.ErrNotFound)
		}
		return 0, t.fail(err)
	}
	n, err := result.RowsAffected()
	return n, t.fail(err)
}

// must is exec on rows that have to be there.
func (t *tx) must(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		return record.ErrNotFound
	}
	return err
}

// scanner is a row.
type scanner interface{ Scan(...any) error }

// all reads the rows of a query.
func all[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	if err := t.ready(args); err != nil {
		return nil, err
	}
	rows, err := t.run.query(t.ctx, query, args)
	if err != nil {
		return nil, t.fail(err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, t.fail(err)
		}
		list = append(list, v)
	}
	return list, t.fail(rows.Err())
}

// one reads one row.
func one[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	list, err := all(t, scan, query, args...)
	if err == nil && len(list) == 0 {
		err = record.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return list[0], nil
}

func scanInt(row scanner) (n int64, err error) { return n, row.Scan(&n) }

// exists tells whether a query has a row.
func (t *tx) exists(query string, args ...any) (bool, error) {
	list, err := all(t, scanInt, query, args...)
	return len(list) > 0, err
}

// bulk inserts rows, in statements of few different lengths so that each is prepared
// once.
func (t *tx) bulk(into string, columns int, suffix string, rows [][]any) error {
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	for len(rows) > 0 {
		n := min(1<<(bits.Len(uint(len(rows)))-1), 64)
		var args []any
		for _, row := range rows[:n] {
			args = append(args, row...)
		}
		if _, err := t.exec(`INSERT INTO `+into+` VALUES `+one+strings.Repeat(", "+one, n-1)+suffix, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// value turns an argument into what both databases take.
func value(arg any) (any, error) {
	switch v := arg.(type) {
	case string:
		if strings.IndexByte(v, 0) >= 0 || !utf8.ValidString(v) {
			return nil, record.ErrText
		}
		return v, nil
	case record.HostID:
		return value(string(v))
	case record.Role:
		return value(string(v))
	case time.Time:
		return micro(v), nil
	case json.RawMessage:
		return value([]byte(v))
	case []byte:
		if len(v) == 0 { // drivers differ in how they give back nothing
			return nil, nil
		}
		return v, nil
	case []string:
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		return string(b), nil
	case int:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	}
	return arg, nil
}

// micro is a time as the tables hold it.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant scans a time.
type instant struct{ to *time.Time }

func (i instant) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is %T in the database", src)
	}
	*i.to = time.Time{}
	if n != 0 {
		*i.to = time.UnixMicro(n).UTC()
	}
	return nil
}

// document scans JSON in a text.
type document struct{ to any }

func (d document) Scan(src any) error {
	switch v := src.(type) {
	case string:
		return json.Unmarshal([]byte(v), d.to)
	case []byte:
		return json.Unmarshal(v, d.to)
	}
	return fmt.Errorf("a document is %T in the database", src)
}

// limit checks how much of a list is asked for.
func limit(n int) (int, error) {
	if n < 1 || n > 1000 {
		return 0, fmt.Errorf("a page has 1 to 1000 entries, not %d", n)
	}
	return n, nil
}
