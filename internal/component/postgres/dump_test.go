package postgres

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// kept is a taker that puts the parts together again.
type kept struct{ text strings.Builder }

func (k *kept) sql(text string) error {
	k.text.WriteString(text)
	return nil
}

func (k *kept) rows(statement string, text io.Reader) error {
	k.text.WriteString(statement + "\n")
	_, err := io.Copy(&k.text, text)
	k.text.WriteString("\\.\n")
	return err
}

const whole = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET x = 1;\nCOPY \"a\".\"b\" (\"c\") FROM stdin;\n1\n\\N\n\\.\n\n\n" +
	"CREATE FUNCTION f() AS '\n\\restrict x\n-- PostgreSQL database dump complete\n\n\\unrestrict x\n';\n--\n" + trailer + "\n--\n\n\\unrestrict abc\n\n"

func TestScan(t *testing.T) {
	var k kept
	d, err := scan(strings.NewReader(whole), &k)
	if err != nil || !d.complete || d.rows[`"a"."b"`] != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	want := strings.Replace(whole, "\\restrict abc\n", "", 1)
	want = want[:strings.LastIndex(want, trailer)]
	if got := k.text.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if err := d.compare(map[string]Table{`"a"."b"`: {Rows: 2}}); err != nil {
		t.Error(err)
	}
	for _, wrong := range []map[string]Table{{}, {`"a"."b"`: {Rows: 3}}, {`"a"."b"`: {Rows: 2}, `"a"."c"`: {}}} {
		if d.compare(wrong) == nil {
			t.Errorf("%v is what the dump holds", wrong)
		}
	}
	if _, err := scan(strings.NewReader(whole[:strings.Index(whole, "\\.\n")]), &kept{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("rows that are cut off: %v", err)
	}
	last := strings.LastIndex(whole, trailer)
	for n := range last {
		if d, err := scan(strings.NewReader(whole[:n]), &kept{}); err == nil && d.complete && !strings.HasSuffix(whole[:n], "x\n") && !strings.Contains(whole[:n], "x\n-- Post") {
			t.Errorf("a dump that is cut off after %d bytes is whole", n)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add(whole)
	f.Add("COPY \"a\".\"b\"  FROM stdin;\n\\.")
	f.Fuzz(func(t *testing.T, text string) {
		var k kept
		d, err := scan(strings.NewReader(text), &k)
		if err == nil && len(k.text.String()) > len(text) {
			t.Error("more came out than went in")
		}
		for name, n := range d.rows {
			if n < 0 || n > int64(len(text)) {
				t.Errorf("table %s has %d rows", name, n)
			}
		}
	})
}
