package mysql

import (
	"bytes"
	"fmt"
	"strings"
)

// maxStatement bounds one statement, in bytes: the largest packet that a server takes.
const maxStatement = 1 << 30

// statement is one statement of a script.
type statement struct {
	text []byte // without delimiter; valid until the callback returns
	line int    // in the script, from 1
	// groups counts the parentheses at the outermost level: for an INSERT the
	// rows, and one more for a list of columns.
	groups int64
}

// splitter cuts a SQL script into statements, the way the servers' command line
// client does, but knows none of its commands besides DELIMITER and runs nothing.
// Write and Close return the first error, also of the callback.
type splitter struct {
	emit func(statement) error

	in        []byte // bytes not consumed yet
	text      []byte // the statement so far
	state     state
	exec      bool // inside /*! … */, whose content is SQL
	depth     int
	groups    int64
	line      int // of the next byte
	start     int // line where the statement began
	delimiter []byte
	comment   []byte // the line comment last seen between statements
	comments  bool   // any was seen
	limit     int
	err       error
}

// state is what the next byte belongs to.
type state int

const (
	plain        state = iota
	singleQuoted       // '…'
	doubleQuoted       // "…"
	backQuoted         // `…`
	lineComment        // -- … or # …
	blockComment       // /* … */
)

// quotes are what ends the quoted states.
var quotes = [...]byte{singleQuoted: '\'', doubleQuoted: '"', backQuoted: '`'}

// window is how many bytes are looked at together outside quotes; no mark is
// longer, and no delimiter may be.
const window = 16

// marks are the bytes that may mean something outside quotes and comments.
var marks = func() (t [256]bool) {
	for _, c := range []byte("'\"`-#/*\\") {
		t[c] = true
	}
	return t
}()

func newSplitter(emit func(statement) error) *splitter {
	return &splitter{emit: emit, line: 1, delimiter: []byte(";"), limit: maxStatement}
}

// Write takes the next bytes of the script.
func (s *splitter) Write(p []byte) (int, error) {
	if s.err == nil {
		s.in = append(s.in, p...)
		s.run(false)
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// Close takes the end of the script. A statement that is not ended is an error.
func (s *splitter) Close() error {
	if s.err == nil {
		s.run(true)
	}
	switch {
	case s.err != nil:
	case s.state == singleQuoted || s.state == doubleQuoted || s.state == backQuoted:
		s.fail(s.start, "the script ends inside a quoted text")
	case s.state == blockComment || s.exec:
		s.fail(s.line, "the script ends inside a comment")
	case len(s.text) > 0:
		s.fail(s.start, "the script ends inside a statement")
	}
	return s.err
}

// lastComment is the line comment that ended the script, or "".
func (s *splitter) lastComment() string { return strings.TrimSpace(string(s.comment)) }

func (s *splitter) fail(line int, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
	}
}

// run consumes what can be decided; without final, the rest waits for more.
func (s *splitter) run(final bool) {
	i := 0
	for s.err == nil && i < len(s.in) {
		n := 0
		switch p := s.in[i:]; {
		case s.state == lineComment || s.state == blockComment:
			n = s.inComment(p, final)
		case s.state != plain:
			n = s.inQuotes(p, final)
		case final || len(p) >= window:
			n = s.outside(p, final)
		}
		if n == 0 {
			break
		}
		i += n
	}
	s.in = append(s.in[:0], s.in[i:]...)
}

// skip consumes n bytes that belong to no statement.
func (s *splitter) skip(p []byte, n int) int {
	s.line += bytes.Count(p[:n], []byte{'\n'})
	return n
}

// take moves n bytes into the statement.
func (s *splitter) take(p []byte, n int) int {
	if len(s.text) == 0 {
		s.start, s.comment = s.line, nil
	}
	if len(s.text)+n > s.limit {
		s.fail(s.start, "a statement is longer than %d bytes", s.limit)
		return n
	}
	s.text = append(s.text, p[:n]...)
	return s.skip(p, n)
}

// inComment keeps comments inside statements, which bodies of routines have, and
// drops those between statements.
func (s *splitter) inComment(p []byte, final bool) int {
	n := 0
	if s.state == lineComment {
		if n = bytes.IndexByte(p, '\n'); n >= 0 {
			n++
			s.state = plain
		} else {
			n = len(p)
		}
	} else if n = bytes.Index(p, []byte("*/")); n >= 0 {
		n += 2
		s.state = plain
	} else if n = len(p) - 1; final {
		n = len(p)
	}
	if len(s.text) > 0 {
		if n > 0 {
			s.take(p, n)
		}
		return n
	}
	if s.comment != nil {
		s.comment = append(s.comment, p[:min(n, 1<<10-len(s.comment))]...)
	}
	return s.skip(p, n)
}

func (s *splitter) inQuotes(p []byte, final bool) int {
	end := quotes[s.state]
	for i := 0; i < len(p); i++ {
		if p[i] == end {
			s.state = plain
			return s.take(p, i+1)
		}
		if p[i] != '\\' || s.state == backQuoted {
			continue
		}
		if i++; i == len(p) && !final { // the escaped byte is still to come
			if i == 1 {
				return 0
			}
			return s.take(p, i-1)
		}
	}
	return s.take(p, len(p))
}

// outside consumes bytes outside quotes and comments.
func (s *splitter) outside(p []byte, final bool) int {
	if len(s.text) == 0 {
		if n := len(p) - len(bytes.TrimLeft(p, " \t\r\n\v\f")); n > 0 {
			return s.skip(p, n)
		}
		if isDelimiterCommand(p) {
			return s.setDelimiter(p, final)
		}
	}
	if n := s.ordinary(p); n > 0 {
		return s.take(p, n)
	}
	if !s.exec && bytes.HasPrefix(p, s.delimiter) {
		return s.end(p)
	}
	switch {
	case p[0] == '\'':
		s.state = singleQuoted
	case p[0] == '"':
		s.state = doubleQuoted
	case p[0] == '`':
		s.state = backQuoted
	case p[0] == '#', bytes.HasPrefix(p, []byte("--")) && (len(p) == 2 || p[2] <= ' '):
		return s.begin(p, lineComment)
	case len(s.text) == 0 && isSandboxMark(p):
		s.state = lineComment
		return s.skip(p, 2)
	case bytes.HasPrefix(p, []byte("/*!")), bytes.HasPrefix(p, []byte("/*M!")):
		s.exec = true
		return s.take(p, 3)
	case bytes.HasPrefix(p, []byte("/*")):
		return s.begin(p, blockComment)
	case s.exec && bytes.HasPrefix(p, []byte("*/")):
		s.exec = false
		return s.take(p, 2)
	case p[0] == '\\':
		s.fail(s.line, "a client command (backslash outside quotes) stands in the script; no dump has one")
		return 1
	}
	return s.take(p, 1)
}

// ordinary counts the bytes before the next that may mean something, and
// follows parentheses on the way.
func (s *splitter) ordinary(p []byte) int {
	first := s.delimiter[0]
	for n, c := range p {
		if marks[c] || c == first {
			return n
		}
		switch c {
		case '(':
			if s.depth == 0 {
				s.groups++
			}
			s.depth++
		case ')':
			s.depth--
		}
	}
	return len(p)
}

// begin enters a comment.
func (s *splitter) begin(p []byte, comment state) int {
	s.state = comment
	n := min(2, len(p))
	if p[0] == '#' {
		n = 1
	}
	if len(s.text) > 0 {
		return s.take(p, n)
	}
	s.comment = nil
	if comment == lineComment {
		s.comment, s.comments = bytes.Clone(p[:n]), true
	}
	return s.skip(p, n)
}

// end emits the statement and consumes the delimiter.
func (s *splitter) end(p []byte) int {
	text := bytes.TrimRight(s.text, " \t\r\n\v\f")
	if len(text) > 0 {
		s.err = s.emit(statement{text: text, line: s.start, groups: s.groups})
	}
	s.text, s.groups, s.depth = s.text[:0], 0, 0
	s.comment = nil
	return s.skip(p, len(s.delimiter))
}

// isSandboxMark recognises the first line of newer MariaDB dumps: a client
// command hidden in a comment, which older clients fail on and servers ignore.
func isSandboxMark(p []byte) bool {
	return bytes.HasPrefix(p, []byte("/*!999999\\-")) || bytes.HasPrefix(p, []byte("/*M!999999\\-"))
}

const delimiterWord = "delimiter"

func isDelimiterCommand(p []byte) bool {
	n := len(delimiterWord)
	return len(p) > n && bytes.EqualFold(p[:n], []byte(delimiterWord)) && (p[n] == ' ' || p[n] == '\t')
}

func (s *splitter) setDelimiter(p []byte, final bool) int {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		if !final && len(p) < 1<<10 {
			return 0 // the line is not complete
		}
		end = len(p)
	}
	fields := bytes.Fields(p[len(delimiterWord):end])
	if len(fields) == 0 || len(fields[0]) > window || bytes.ContainsAny(fields[0], "\\'\"`") {
		s.fail(s.line, "DELIMITER without a usable delimiter")
		return end
	}
	s.delimiter = bytes.Clone(fields[0])
	s.comment = nil
	return s.skip(p, end)
}
