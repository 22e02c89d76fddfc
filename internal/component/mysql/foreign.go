package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A statement of a foreign dump runs in a server of ours, where it can do no harm
// but not end: SLEEP, BENCHMARK, a query over everything. So it runs only if it has
// the form that tools give it: rows are written out, settings are plain values, and
// definitions neither query nor wait.

// foreignWaits are functions that wait, as long as the dump likes.
var foreignWaits = []string{
	"BENCHMARK", "GET_LOCK", "MASTER_GTID_WAIT", "MASTER_POS_WAIT", "SLEEP", "SOURCE_POS_WAIT",
	"WAIT_FOR_EXECUTED_GTID_SET", "WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS",
}

// foreignLimits are settings that would let a statement take as long as it likes.
var foreignLimits = []string{"MAX_STATEMENT_TIME", "MAX_EXECUTION_TIME", "LOCK_WAIT_TIMEOUT"}

// ownForm says why a statement has not the form that a dump has; nil is that it has.
// ansi is that "…" is a name on the server.
func ownForm(stmt []byte, v verb, ansi bool) error {
	s := &scanner{left: stmt, ansi: ansi}
	switch v {
	case verbInsert:
		return s.rows()
	case verbSet:
		return s.setting()
	case verbSetval:
		return s.plainCall()
	case verbCreateTable, verbAlterTable, verbCreateIndex:
		return s.definition()
	}
	for { // the words of others were looked at already
		if t, err := s.next(); err != nil || t.kind == 0 {
			return err
		}
	}
}

// rows takes INSERT INTO name (columns) VALUES and values that are written out.
func (s *scanner) rows() error {
	for depth, begun := 0, false; ; {
		t, err := s.next()
		if err != nil || t.kind == 0 {
			if err == nil && !begun {
				err = errors.New("has no rows")
			}
			return err
		}
		switch mark := t.text; {
		case t.kind == kindMark && mark == "(":
			if depth++; depth > 1 {
				return errors.New("has values that are computed")
			}
		case t.kind == kindMark && mark == ")":
			depth--
		case !begun && t.kind == kindWord && depth == 0 && (strings.EqualFold(mark, "VALUES") || strings.EqualFold(mark, "VALUE")):
			begun = true
		case !begun && t.kind == kindWord && depth == 0 && oneOf(mark, "SELECT", "SET", "WITH", "TABLE"):
			return errors.New("has rows that are computed")
		case begun && !writtenOut(t):
			return errors.New("has values that are computed")
		}
	}
}

// writtenOut tells whether a token belongs to a value that is written out: a number, a
// text with its character set before it, or a word that stands for a value.
func writtenOut(t token) bool {
	switch t.kind {
	case kindText:
		return true
	case kindMark:
		return strings.Contains("(),.+-", t.text)
	case kindWord:
		c := t.text[0]
		return c >= '0' && c <= '9' || c == '_' || oneOf(t.text, "NULL", "DEFAULT", "TRUE", "FALSE", "X", "B", "N")
	}
	return false
}

// setting takes values, variables, and what tools do with those.
func (s *scanner) setting() error {
	for last := (token{}); ; {
		t, err := s.next()
		if err != nil || t.kind == 0 {
			return err
		}
		switch {
		case t.kind == kindMark && t.text == "(" && !oneOf(last.text, "IFNULL", "CONCAT"):
			return errors.New("sets what is computed")
		case t.kind == kindWord && strings.EqualFold(t.text, "SELECT"):
			return errors.New("sets what is computed")
		case (t.kind == kindWord || t.kind == kindName) && oneOf(t.text, foreignLimits...):
			return errors.New("lifts the limits of statements")
		}
		last = t
	}
}

// plainCall takes one call with values that are written out.
func (s *scanner) plainCall() error {
	for calls := 0; ; {
		t, err := s.next()
		if err != nil || t.kind == 0 {
			return err
		}
		if t.kind == kindMark && t.text == "(" {
			calls++
		}
		if calls > 1 {
			return errors.New("computes something")
		}
	}
}

// definition takes tables and indexes. What computes a column's value may be in
// them, a query and what waits may not.
func (s *scanner) definition() error {
	for last := (token{}); ; {
		t, err := s.next()
		if err != nil || t.kind == 0 {
			return err
		}
		switch {
		case t.kind == kindWord && strings.EqualFold(t.text, "SELECT"):
			return errors.New("has rows that are computed")
		case t.kind == kindMark && t.text == "(" && (last.kind == kindWord || last.kind == kindName) && oneOf(last.text, foreignWaits...):
			return errors.New("would wait")
		}
		last = t
	}
}

// runs tells whether statements of a foreign dump are run that do this.
func runs(v verb) bool {
	switch v {
	case verbInsert, verbCreateTable, verbDropTable, verbAlterTable, verbCreateIndex, verbLock, verbTransaction, verbSet, verbSetval:
		return true
	}
	return false
}

func oneOf(word string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}

// scanner yields the tokens of a statement and refuses what servers read in
// different ways, so that nothing they execute is taken for a text or a comment.
type scanner struct {
	left []byte
	ansi bool
	exec bool // inside /*! … */
}

// longestWord is how much of a word is kept, in bytes: one may be a file in hexadecimal.
const longestWord = 64

// next returns the next token, of kind 0 at the end. Texts come without their
// content.
func (s *scanner) next() (token, error) {
	for len(s.left) > 0 {
		c, rest := s.left[0], s.left
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			s.left = rest[1:]
		case c < ' ' || c == 0x7f:
			return token{}, fmt.Errorf("has the control character %q", c)
		case c == '#', c == '-' && len(rest) > 1 && rest[1] == '-' && (len(rest) == 2 || rest[2] <= ' ' || rest[2] == 0x7f):
			if s.exec {
				return token{}, errNested
			}
			_, s.left, _ = bytes.Cut(rest, []byte{'\n'})
		case !s.exec && (hasPrefix(rest, "/*!") || hasPrefix(rest, "/*M!")):
			n := bytes.IndexByte(rest, '!') + 1
			for n < len(rest) && (rest[n] == '!' || rest[n] >= '0' && rest[n] <= '9') {
				n++
			}
			s.exec, s.left = true, rest[n:]
		case hasPrefix(rest, "/*"):
			end := bytes.Index(rest[2:], []byte("*/"))
			if s.exec || end < 0 {
				return token{}, errNested
			}
			s.left = rest[2+end+2:]
		case s.exec && hasPrefix(rest, "*/"):
			s.exec, s.left = false, rest[2:]
		case c == '`' || c == '\'' || c == '"':
			return s.quoted(c)
		case wordByte(c):
			n := 1
			for n < len(rest) && wordByte(rest[n]) {
				n++
			}
			s.left = rest[n:]
			return token{kindWord, string(rest[:min(n, longestWord)])}, nil
		default:
			s.left = rest[1:]
			return token{kindMark, string(rest[:1])}, nil
		}
	}
	return token{}, nil
}

var errNested = errors.New("has a comment inside a comment that servers execute")

// quoted takes a name or a text.
func (s *scanner) quoted(quote byte) (token, error) {
	name := quote == '`' || quote == '"' && s.ansi
	i := 1
	for ; ; i++ {
		if i >= len(s.left) {
			return token{}, errors.New("ends inside a quoted text")
		}
		if c := s.left[i]; c == '\\' && quote != '`' {
			if name {
				return token{}, errors.New("has a backslash in a name")
			}
			i++
		} else if c == quote {
			if i+1 < len(s.left) && s.left[i+1] == quote {
				i++
				continue
			}
			break
		}
	}
	piece := s.left[1:i]
	s.left = s.left[i+1:]
	if s.exec && bytes.Contains(piece, []byte("*/")) {
		return token{}, errNested
	}
	if !name {
		return token{kind: kindText}, nil
	}
	value, _ := unquote(append(append([]byte{quote}, piece...), quote))
	return token{kindName, value}, nil
}
