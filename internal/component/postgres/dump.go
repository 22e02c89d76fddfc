package postgres

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// maxPiece bounds the SQL between two tables' rows, in bytes.
const maxPiece = 64 << 20

// trailer is the last line of a whole dump.
const trailer = "-- PostgreSQL database dump complete"

// copyLine is how pg_dump --quote-all-identifiers begins a table's rows.
var copyLine = regexp.MustCompile(`^COPY ("(?:[^"]|"")+"\."(?:[^"]|"")+")  ?(?:\(.*\) )?FROM stdin;\n$`)

// dump is what a scan has found.
type dump struct {
	rows     map[string]int64 // by the quoted full name
	complete bool             // the trailer is its end
}

// taker is given the parts of a dump in their order. Rows must be read to their end.
type taker interface {
	sql(text string) error
	rows(statement string, text io.Reader) error
}

// scan reads a dump in pg_dump's plain format. It runs nothing: the commands of psql,
// which end and begin newer dumps, are left out where they are no part of a statement.
func scan(r io.Reader, to taker) (*dump, error) {
	d := &dump{rows: map[string]int64{}}
	in := bufio.NewReaderSize(r, 256<<10)
	var piece, last strings.Builder // last is what may be the end
	begun := false
	flush := func() error {
		text := piece.String()
		piece.Reset()
		if strings.TrimSpace(text) == "" {
			return nil
		}
		return to.sql(text)
	}
	for {
		line, err := readLine(in, maxPiece-piece.Len()-last.Len())
		if err != nil && err != io.EOF {
			return d, err
		}
		bare := strings.TrimRight(line, "\n")
		switch m := copyLine.FindStringSubmatch(line); {
		case m != nil:
			piece.WriteString(last.String())
			last.Reset()
			if err := flush(); err != nil {
				return d, err
			}
			rows := &rowReader{in: in, fresh: true}
			if err := to.rows(bare, rows); err != nil {
				return d, err
			}
			if !rows.ended {
				return d, fmt.Errorf("the rows of table %s are cut off: %w", m[1], io.ErrUnexpectedEOF)
			}
			d.rows[m[1]] += rows.count
			d.complete = false
			continue
		case d.complete && (bare == "" || strings.HasPrefix(bare, "--") || strings.HasPrefix(bare, `\unrestrict `)):
			last.WriteString(line)
		case d.complete: // it was a line of a function
			d.complete = false
			piece.WriteString(last.String() + line)
			last.Reset()
		case !begun && strings.HasPrefix(line, `\restrict `):
		case bare == trailer:
			d.complete = true
			last.WriteString(line)
		default:
			begun = begun || bare != "" && !strings.HasPrefix(bare, "--")
			piece.WriteString(line)
		}
		if err == io.EOF {
			return d, flush()
		}
	}
}

func readLine(in *bufio.Reader, limit int) (string, error) {
	var line strings.Builder
	for {
		part, err := in.ReadSlice('\n')
		if line.Len()+len(part) > limit {
			return "", fmt.Errorf("the dump has more than %d bytes between the rows of two tables", maxPiece)
		}
		line.Write(part)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line.String(), err
		}
	}
}

// rowReader gives the lines up to the one that ends a table's rows, and counts them:
// a row is one line, line ends in values are written as \n.
type rowReader struct {
	in    *bufio.Reader
	rest  []byte
	fresh bool // at the beginning of a line
	ended bool
	count int64
}

func (r *rowReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		line, err := r.in.ReadSlice('\n')
		if r.fresh && string(line) == "\\.\n" {
			r.ended = true
			return 0, io.EOF
		}
		switch {
		case err == nil:
			r.count++
			r.fresh = true
		case errors.Is(err, bufio.ErrBufferFull):
			r.fresh = false
		case err == io.EOF:
			return 0, io.ErrUnexpectedEOF
		default:
			return 0, err
		}
		r.rest = line
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// counter is a taker that only reads.
type counter struct{}

func (counter) sql(string) error { return nil }

func (counter) rows(_ string, text io.Reader) error {
	_, err := io.Copy(io.Discard, text)
	return err
}

// compare says which tables or rows are missing or too many in the dump.
func (d *dump) compare(tables map[string]Table) error {
	if !d.complete {
		return fmt.Errorf("the dump is cut off: its last line is not %q", trailer)
	}
	found := make(map[string]Table, len(d.rows))
	for name, rows := range d.rows {
		found[name] = Table{Rows: rows}
	}
	if wrong := miscounted(tables, found); len(wrong) > 0 {
		return fmt.Errorf("the dump does not hold what the server counted: %s", strings.Join(wrong[:min(10, len(wrong))], ", "))
	}
	return nil
}
