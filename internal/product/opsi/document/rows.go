package document

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
)

// Bounds of one INSERT.
const (
	statementRows  = 500
	statementBytes = 1 << 20
)

// Writer turns the objects of a document into a dump of opsi's database, as the
// tools of MariaDB write one: it can be loaded wherever such a dump can. Nothing is
// dropped without a word: Remarks tells of everything that found no place.
type Writer struct {
	out      *bufio.Writer
	tables   map[string]*table
	hardware map[string]*inventoried
	pending  map[string]*batch
	seen     map[digest]struct{}
	moment   time.Time
	schema   int
	err      error

	class   string // of the object being written
	ident   string
	remarks remarks
	rows    int64
	kept    int
}

// batch is an INSERT that is being collected.
type batch struct {
	text strings.Builder
	rows int
}

// NewWriter begins a dump. Close ends it.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{
		out: bufio.NewWriterSize(out, 64<<10), tables: maps.Clone(knownTables()),
		hardware: map[string]*inventoried{}, pending: map[string]*batch{}, seen: map[digest]struct{}{}, schema: SchemaVersion,
	}
	// The order among the tables does not matter while the references are not
	// looked at.
	w.print("-- opsi database, made of an opsiconfd backup document\n\nSET NAMES utf8mb4;\nSET TIME_ZONE='+00:00';\nSET SQL_MODE='NO_AUTO_VALUE_ON_ZERO';\nSET FOREIGN_KEY_CHECKS=0;\n\n")
	w.print("%s\n", schemaSQL)
	for _, name := range slices.Sorted(maps.Keys(inventory())) {
		h := inventory()[name]
		w.create(&hardware{name: name, device: slices.Clip(h.device), config: slices.Clip(h.config)})
	}
	return w
}

func (w *Writer) print(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, args...)
	}
}

// Moment says when the document was made. It stands for the times that objects
// lack and in the dump's last line.
func (w *Writer) Moment(t time.Time) { w.moment = t }

// Schema says which version the database is said to have; no other than those of
// opsi 4.3, whose tables take all columns that are made here.
func (w *Writer) Schema(version int) { w.schema = max(firstSchema, min(version, SchemaVersion)) }

// Object writes one object. Objects of unknown classes become remarks.
func (w *Writer) Object(name string, o Object) error {
	w.class, w.ident = excerpt.Line(name, 80), ""
	c := classOf(name)
	switch {
	case c == nil:
		w.note("the class is not known; its objects are left out", identOf(o, "id"))
		return w.err
	case c.table == "":
		return w.inventoryObject(name, o)
	}
	t := w.tables[c.table]
	row, ok := w.row(t, o, c)
	if !ok {
		return w.err
	}
	if w.twice(t, row) {
		w.note("table "+t.name+" has a row of that key already (upper and lower case are one to the database); the first one is taken, such objects are left out", w.ident)
		return w.err
	}
	if err := w.insert(t, row); err != nil {
		return err
	}
	if c.rows != nil {
		return c.rows(w, row, o)
	}
	return w.err
}

// row converts the attributes of an object that have columns in the table. It is
// false when the object cannot be a row.
func (w *Writer) row(t *table, o Object, c *class) (map[string]string, bool) {
	attributeOf := map[string]string{}
	for attribute, column := range c.rename {
		attributeOf[column] = attribute
	}
	named := func(column string) string {
		if a := attributeOf[column]; a != "" {
			return a
		}
		return column
	}
	keys := make([]string, len(t.key))
	for i, k := range t.key {
		keys[i] = named(k)
	}
	w.ident = identOf(o, keys...)
	row := map[string]string{}
	for i := range t.columns {
		col := &t.columns[i]
		attribute := named(col.name)
		v, given := o[attribute]
		sql, note, err := w.cell(col, v)
		isKey := slices.Contains(t.key, col.name)
		switch {
		case col.counter:
			continue
		case isKey && (!given || len(t.key) == 1 && (sql == "''" || sql == null)):
			w.note(fmt.Sprintf("without %s it is nothing; such objects are left out", attribute), w.ident)
			return nil, false
		case err != nil && (isKey || col.name == "values" || !col.null && !col.filled):
			w.note(fmt.Sprintf("%s holds what its column cannot; such objects are left out", attribute), w.ident)
			return nil, false
		case err != nil:
			w.note(fmt.Sprintf("%s holds what its column cannot; that value is left out", attribute), w.ident)
			sql = w.absent(col)
		case note != "":
			w.note(attribute+" "+note, w.ident)
		}
		if sql == null {
			sql = w.absent(col)
		}
		row[col.name] = sql
	}
	w.strangers(t, o, c)
	return row, true
}

func (w *Writer) cell(col *column, v any) (sql, note string, err error) {
	if col.name == "values" {
		s, err := valuesJSON(v)
		return quote(s), "", err
	}
	if s, ok := v.(string); ok && s == "" && emptied[col.name] {
		v = nil
	}
	return col.convert(v)
}

// absent is what stands where an object has nothing: the server of opsi would fill
// in the same, but for the times, for which the document's is nearer than today's.
func (w *Writer) absent(col *column) string {
	switch {
	case col.null:
		return null
	case col.filled && col.kind == kindTime && !w.moment.IsZero():
		w.note(col.name+" is not given; the time of the backup stands there", w.ident)
		return timestamp(w.moment)
	case col.filled:
		return automatic
	case col.kind == kindText:
		return "''"
	case col.name == "state": // of a software on a client: found at the last look
		return "1"
	}
	return "0"
}

// strangers tells of attributes that found no column.
func (w *Writer) strangers(t *table, o Object, c *class) {
	for attribute, v := range o {
		column := attribute
		if r, ok := c.rename[attribute]; ok {
			column = r
		}
		switch {
		case t.column(column) != nil && (c.rename == nil || c.rename["id"] != attribute):
		case attribute == "type", slices.Contains(c.listed, attribute), slices.Contains(c.computed, attribute):
		case slices.Contains(c.unused, attribute) && empty(v):
		case slices.Contains(c.unused, attribute):
			w.note("opsi 4.3 has no column for attribute "+attribute+"; its values are left out", w.ident)
		default:
			w.note("attribute "+excerpt.Line(attribute, 80)+" is not known; its values are left out", w.ident)
		}
	}
}

func empty(v any) bool {
	list, isList := v.([]any)
	return v == nil || v == "" || isList && len(list) == 0
}

// insert adds a row to the table's next INSERT. A column that the row lacks is
// left to the server.
func (w *Writer) insert(t *table, row map[string]string) error {
	b := w.pending[t.name]
	if b == nil {
		b = &batch{}
		w.pending[t.name] = b
	}
	if b.rows > 0 {
		b.text.WriteString(",\n")
	}
	b.text.WriteByte('(')
	first := true
	for _, c := range t.columns {
		if c.counter {
			continue
		}
		if !first {
			b.text.WriteByte(',')
		}
		first = false
		v, ok := row[c.name]
		if !ok {
			v = automatic
		}
		b.text.WriteString(v)
	}
	b.text.WriteByte(')')
	b.rows++
	w.rows++
	if b.rows >= statementRows || b.text.Len() >= statementBytes {
		w.flush(t)
	}
	return w.err
}

// flush writes what is collected for a table. Of two rows that only the server holds
// for one the first stays, and whoever loads the dump sees that one is missing.
func (w *Writer) flush(t *table) {
	b := w.pending[t.name]
	if b == nil || b.rows == 0 {
		return
	}
	var names []string
	for _, c := range t.columns {
		if !c.counter {
			names = append(names, "`"+c.name+"`")
		}
	}
	w.print("INSERT IGNORE INTO `%s` (%s) VALUES\n%s;\n", t.name, strings.Join(names, ","), b.text.String())
	delete(w.pending, t.name)
}

// Close writes the rest. The dump has its last line, and so is whole, only when
// nothing failed.
func (w *Writer) Close() error {
	for _, name := range slices.Sorted(maps.Keys(w.pending)) {
		w.flush(w.tables[name])
	}
	version := map[string]string{"version": fmt.Sprint(w.schema)}
	ended := " on " + w.moment.Local().Format(time.DateTime)
	if w.moment.IsZero() {
		version["updateStarted"], version["updateEnded"] = "NOW()", "NOW()"
		ended = ""
	} else {
		version["updateStarted"] = timestamp(w.moment)
		version["updateEnded"] = version["updateStarted"]
	}
	_ = w.insert(w.tables["OPSI_SCHEMA"], version)
	w.flush(w.tables["OPSI_SCHEMA"])
	w.print("\n-- Dump completed%s\n", ended)
	if w.err == nil {
		w.err = w.out.Flush()
	}
	if w.err != nil {
		return fmt.Errorf("write the rows of the database: %w", w.err)
	}
	return nil
}

// Rows is how many rows were written.
func (w *Writer) Rows() int64 { return w.rows }

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]{0,45}$`)

func identOf(o Object, attributes ...string) string {
	var parts []string
	for _, a := range attributes {
		switch v := o[a].(type) {
		case nil:
		case string:
			parts = append(parts, excerpt.Line(v, 80))
		default:
			parts = append(parts, excerpt.Line(fmt.Sprint(v), 80))
		}
	}
	return strings.Join(parts, ";")
}
