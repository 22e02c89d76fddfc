package document

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// maxSeen bounds the rows whose keys are remembered. Beyond it rows that stand
// twice are left to whoever loads the dump, who only sees that they are missing.
const maxSeen = 10_000_000

// digest is that of a key with its table.
type digest [16]byte

// twice tells whether a row has a key that an earlier row of the table has. A
// server would take the first of them. It does not tell upper from lower case, nor
// white space at the end; of letters outside ASCII it knows more than is known here.
func (w *Writer) twice(t *table, row map[string]string) bool {
	var keys []digest
	for n, key := range t.keys() {
		if d, ok := w.digest(t, n, key, row); ok {
			keys = append(keys, d)
		}
	}
	for _, d := range keys {
		if _, seen := w.seen[d]; seen {
			return true
		}
	}
	for _, d := range keys {
		if len(w.seen) < maxSeen {
			w.seen[d] = struct{}{}
		}
	}
	return false
}

// keys are all by which the server tells rows apart.
func (t *table) keys() [][]string { return append([][]string{t.key}, t.unique...) }

// digest is false for a key that the row does not have: one that the server counts,
// or one of its unique ones with NULL in it.
func (w *Writer) digest(t *table, n int, key []string, row map[string]string) (d digest, ok bool) {
	h := fnv.New128a()
	fmt.Fprintf(h, "%s\x00%d", t.name, n)
	for _, column := range key {
		value, given := row[column]
		if !given || value == null || value == automatic {
			return d, false
		}
		fmt.Fprintf(h, "\x00%s", fold(value))
	}
	h.Sum(d[:0])
	return d, len(key) > 0
}

// fold makes quoted values alike that a server holds for one.
func fold(sql string) string {
	if text, ok := strings.CutSuffix(sql, "'"); ok {
		sql = strings.TrimRight(text, " ")
	}
	folded := []byte(sql)
	for i, c := range folded {
		if c >= 'A' && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}
