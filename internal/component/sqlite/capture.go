package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/component"
)

// Detail is what the kind keeps in the manifest.
type Detail struct {
	File        string           `json:"file"`
	User        string           `json:"user"`  // name, or number where it has none
	Group       string           `json:"group"` // the same
	Mode        fs.FileMode      `json:"mode"`  // permissions
	Pages       int64            `json:"pages"`
	PageSize    int64            `json:"page_size"`
	UserVersion int64            `json:"user_version"`
	Tables      map[string]Table `json:"tables"`
}

// Table is what is known of one table's content.
type Table struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"` // SHA-256 of all rows in their order
}

func readDetail(record component.Record) (Detail, error) {
	var d Detail
	if err := json.Unmarshal(record.Detail, &d); err != nil {
		return d, fmt.Errorf("manifest: %w", err)
	}
	if d.PageSize < 512 || d.PageSize > 65536 || d.Pages < 0 || d.Pages > math.MaxInt64/d.PageSize {
		return d, fmt.Errorf("manifest: %d pages of %d bytes are no SQLite database", d.Pages, d.PageSize)
	}
	return d, nil
}

// Capture streams the image of one moment. Others may write meanwhile.
func (c *Component) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	captured, err := c.capture(ctx, sink)
	return captured, c.wrap("capture", err)
}

func (c *Component) capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	var none component.Captured
	real, err := c.env.Host.Path(c.file)
	if err != nil {
		return none, err
	}
	image, err := open(ctx, real)
	if err != nil {
		return none, err
	}
	defer image.close()
	detail, err := c.describe(ctx, real, image)
	if err != nil {
		return none, err
	}
	pages := &pageReader{ctx: ctx, image: image}
	if _, err := sink.AddStream(ctx, c.stream(), pages); err != nil {
		return none, err
	}
	if want := detail.Pages * detail.PageSize; pages.given != want {
		return none, fmt.Errorf("read %d bytes of %d", pages.given, want)
	}
	var version string
	if err := image.tx.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return none, err
	}
	return component.Captured{
		Bytes: pages.given, Items: int64(len(image.tables)), Streams: []string{c.stream()},
		Tools: map[string]string{"sqlite": version}, Detail: detail,
	}, nil
}

// describe checks the image and tells what is in it.
func (c *Component) describe(ctx context.Context, real string, i *image) (Detail, error) {
	d := Detail{File: c.file, Pages: i.pages, PageSize: i.size, UserVersion: i.userVersion}
	info, err := os.Stat(real)
	if err != nil {
		return d, err
	}
	d.Mode = info.Mode().Perm()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		d.User, d.Group = strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
		if name, err := c.env.Host.UserName(st.Uid); err == nil {
			d.User = name
		}
		if name, err := c.env.Host.GroupName(st.Gid); err == nil {
			d.Group = name
		}
	}
	if err := i.check(ctx); err != nil {
		return d, err
	}
	d.Tables, err = i.contents(ctx)
	return d, err
}

// check runs SQLite's own look at the structure.
func (i *image) check(ctx context.Context) error {
	rows, err := i.tx.QueryContext(ctx, "PRAGMA integrity_check(5)")
	if err != nil {
		return err
	}
	defer rows.Close()
	var wrong []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			wrong = append(wrong, line)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the database is damaged: %s", strings.Join(wrong, "; "))
	}
	return nil
}

func (i *image) contents(ctx context.Context) (map[string]Table, error) {
	tables := map[string]Table{}
	for _, name := range i.tables {
		t, err := i.content(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("table %q: %w", name, err)
		}
		tables[name] = t
	}
	return tables, nil
}

// content counts and digests the rows of a table, each value with its type and
// length before it.
func (i *image) content(ctx context.Context, table string) (Table, error) {
	rows, err := i.tx.QueryContext(ctx, `SELECT * FROM "`+strings.ReplaceAll(table, `"`, `""`)+`" NOT INDEXED`)
	if err != nil {
		return Table{}, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return Table{}, err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for n := range values {
		into[n] = &values[n]
	}
	var t Table
	sum := sha256.New()
	var head [9]byte
	put := func(kind byte, value []byte) {
		head[0] = kind
		binary.LittleEndian.PutUint64(head[1:], uint64(len(value)))
		sum.Write(head[:])
		sum.Write(value)
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return Table{}, err
		}
		t.Rows++
		for _, value := range values {
			switch v := value.(type) {
			case nil:
				put('n', nil)
			case []byte:
				put('b', v)
			case string:
				put('s', []byte(v))
			case time.Time: // what the driver makes of columns declared as times
				put('t', []byte(v.UTC().Format(time.RFC3339Nano)))
			default:
				put('v', fmt.Append(nil, v))
			}
		}
		put('r', nil)
	}
	t.Digest = hex.EncodeToString(sum.Sum(nil))
	return t, rows.Err()
}

// pageReader reads the image page by page through the table sqlite_dbpage
// (sqlite.org/dbpage.html), which gives what the transaction sees, with what stands
// in the write-ahead log.
type pageReader struct {
	ctx   context.Context
	image *image
	next  int64 // page before the next
	rest  []byte
	given int64
}

// batch is how many pages are asked for at once.
const batch = 256

func (r *pageReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.next == r.image.pages {
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			return 0, fmt.Errorf("read pages of the database: %w", err)
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	r.given += int64(n)
	return n, nil
}

func (r *pageReader) fill() error {
	last := min(r.next+batch, r.image.pages)
	rows, err := r.image.tx.QueryContext(r.ctx, "SELECT pgno, data FROM sqlite_dbpage WHERE pgno BETWEEN ? AND ? ORDER BY pgno", r.next+1, last)
	if err != nil {
		return err
	}
	defer rows.Close()
	r.rest = make([]byte, 0, (last-r.next)*r.image.size)
	for rows.Next() {
		var number int64
		var data []byte
		if err := rows.Scan(&number, &data); err != nil {
			return err
		}
		if number != r.next+1 || int64(len(data)) != r.image.size {
			return fmt.Errorf("page %d of %d bytes came where page %d was due", number, len(data), r.next+1)
		}
		r.rest = append(r.rest, data...)
		r.next++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if r.next != last {
		return errors.New("pages are missing")
	}
	return nil
}
