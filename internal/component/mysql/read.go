package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ReadDump reads a foreign dump, plain or packed with gzip or bzip2, to its end
// without a server: every statement must be one of a dump and whole, rows must
// belong to a table that the dump makes, and the last line must be the one that
// tools write last. It returns what is odd. What only a server sees, wrong values
// say, is not seen; Stage is the better judge where there is one.
func ReadDump(ctx context.Context, r io.Reader) (warnings []string, err error) {
	plain, err := unpack(r)
	if err != nil {
		return nil, err
	}
	c := newDumpCheck(nil)
	c.split.limit = stageStatement
	locked, skipped := "", []string(nil)
	c.split.emit = func(s statement) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := classify(s.text)
		if what := k.leftOut(); what != "" && len(skipped) < 1000 {
			skipped = append(skipped, what)
		}
		switch k.verb {
		case verbOther:
			return fmt.Errorf("line %d: %q does not belong into a dump", s.line, brief(string(s.text)))
		case verbLock:
			if locked != "" {
				return fmt.Errorf("line %d: table %s is locked and %s never unlocked: what stood between is missing", s.line, k.name, locked)
			}
			locked = k.name
		case verbTransaction:
			locked = ""
		case verbInsert:
			if !slices.Contains(c.tables, k.name) {
				return fmt.Errorf("line %d: rows of table %s, which the dump does not make", s.line, k.name)
			}
		}
		if runs(k.verb) {
			if err := ownForm(s.text, k.verb, false); err != nil {
				return fmt.Errorf("line %d: %w", s.line, notOwnForm(s, err))
			}
		}
		return c.statement(s)
	}
	if _, err := io.CopyBuffer(onlyWriter{c.split}, &bounded{r: plain, left: stageLimit}, make([]byte, 256<<10)); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	if err := c.split.Close(); err != nil {
		return nil, fmt.Errorf("the dump is cut off: %w", err)
	}
	switch {
	case len(c.tables) == 0:
		return nil, ErrEmptyDump
	case locked != "":
		return nil, fmt.Errorf("the dump is cut off: table %s is never unlocked", locked)
	case strings.HasPrefix(c.split.lastComment(), trailer):
	case c.split.comments:
		return nil, fmt.Errorf("the dump is cut off: the last line is not %q", trailer)
	default:
		warnings = append(warnings, noComments)
	}
	return append(warnings, tellLeftOut(skipped)...), nil
}

// noComments is told of a dump that lacks its last line as all other comments.
const noComments = "the dump was made without comments, so whether it is whole cannot be seen; compare the row counts"
