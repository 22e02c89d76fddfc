package mysql

import (
	"strings"
)

// token is a piece of a statement.
type token struct {
	kind tokenKind
	text string // as written; names and texts without their quotes
}

type tokenKind byte

const (
	kindWord tokenKind = 'w' // keyword, plain name or number
	kindName tokenKind = 'i' // `name`
	kindText tokenKind = 's' // 'text' or "text"
	kindMark tokenKind = 'p' // one other byte
)

// tokens returns at most limit tokens of a statement. Comments are passed over,
// and /*!12345 … */ is looked into, as the server does.
func tokens(stmt []byte, limit int) []token {
	var found []token
	for i := 0; i < len(stmt) && len(found) < limit; {
		c := stmt[i]
		rest := stmt[i:]
		switch {
		case c <= ' ':
			i++
		case c == '#', len(rest) > 2 && c == '-' && rest[1] == '-' && rest[2] <= ' ':
			for i < len(stmt) && stmt[i] != '\n' {
				i++
			}
		case hasPrefix(rest, "/*!"), hasPrefix(rest, "/*M!"):
			for i += 3; i < len(stmt) && (stmt[i] == '!' || stmt[i] >= '0' && stmt[i] <= '9'); {
				i++
			}
		case hasPrefix(rest, "*/"):
			i += 2
		case hasPrefix(rest, "/*"):
			end := strings.Index(string(rest[:min(len(rest), 1<<16)]), "*/")
			if end < 0 {
				return found
			}
			i += end + 2
		case c == '`' || c == '\'' || c == '"':
			value, n := unquote(rest)
			kind := kindText
			if c == '`' {
				kind = kindName
			}
			found = append(found, token{kind, value})
			i += n
		case wordByte(c):
			n := 1
			for n < len(rest) && wordByte(rest[n]) {
				n++
			}
			found = append(found, token{kindWord, string(rest[:n])})
			i += n
		default:
			found = append(found, token{kindMark, string(rest[:1])})
			i++
		}
	}
	return found
}

func hasPrefix(p []byte, prefix string) bool {
	return len(p) >= len(prefix) && string(p[:len(prefix)]) == prefix
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// unquote returns the value of the quoted piece that p begins with, and its
// length with quotes.
func unquote(p []byte) (string, int) {
	var value []byte
	end := p[0]
	for i := 1; i < len(p); i++ {
		switch {
		case p[i] == end && i+1 < len(p) && p[i+1] == end:
			i++
			value = append(value, end)
		case p[i] == end:
			return string(value), i + 1
		case p[i] == '\\' && end != '`' && i+1 < len(p):
			i++
			value = append(value, p[i])
		default:
			value = append(value, p[i])
		}
	}
	return string(value), len(p)
}

// verb is what a statement does, as far as a dump is concerned.
type verb string

// The verbs of dumps. Everything else is other.
const (
	verbInsert         verb = "INSERT"
	verbCreateTable    verb = "CREATE TABLE"
	verbDropTable      verb = "DROP TABLE"
	verbAlterTable     verb = "ALTER TABLE"
	verbCreateIndex    verb = "CREATE INDEX"
	verbLock           verb = "LOCK TABLES"
	verbTransaction    verb = "transaction"
	verbSet            verb = "SET"
	verbSetGlobal      verb = "SET GLOBAL"
	verbSetval         verb = "SETVAL"
	verbUse            verb = "USE"
	verbCreateDatabase verb = "CREATE DATABASE"
	verbCreateObject   verb = "CREATE"
	verbDropObject     verb = "DROP"
	verbAlterEvent     verb = "ALTER EVENT"
	verbAccounts       verb = "accounts"
	verbNothing        verb = "nothing"
	verbOther          verb = "other"
)

// class is what is known about a statement from its first words.
type class struct {
	verb     verb
	object   string // what kind of object, for createObject and dropObject: VIEW, TRIGGER …
	name     string // what it acts on, as written
	database string // that the name is qualified with, or ""
	columns  bool   // an INSERT with a list of columns
}

// rows is how many rows an INSERT statement holds.
func (c class) rows(s statement) int64 {
	if c.columns {
		return s.groups - 1
	}
	return s.groups
}

// reader walks over tokens.
type reader struct{ left []token }

func (r *reader) peek() token {
	if len(r.left) == 0 {
		return token{}
	}
	return r.left[0]
}

func (r *reader) next() token {
	t := r.peek()
	if len(r.left) > 0 {
		r.left = r.left[1:]
	}
	return t
}

// accept consumes the words if they come next, in this order.
func (r *reader) accept(words ...string) bool {
	if len(r.left) < len(words) {
		return false
	}
	for i, w := range words {
		if r.left[i].kind != kindWord || !strings.EqualFold(r.left[i].text, w) {
			return false
		}
	}
	r.left = r.left[len(words):]
	return true
}

// target reads a name that may be qualified.
func (r *reader) target(c class) class {
	c.name = r.next().text
	if t := r.peek(); t.kind == kindMark && t.text == "." {
		r.next()
		c.database, c.name = c.name, r.next().text
	}
	return c
}

// classify says what a statement does. It decides by what the server would
// execute: comments are no part of that, executable comments are.
func classify(stmt []byte) class {
	r := &reader{tokens(stmt, 64)}
	if len(r.left) == 0 {
		return class{verb: verbNothing}
	}
	switch {
	case r.accept("INSERT"), r.accept("REPLACE"):
		for r.accept("LOW_PRIORITY") || r.accept("DELAYED") || r.accept("HIGH_PRIORITY") || r.accept("IGNORE") || r.accept("INTO") {
			continue
		}
		c := r.target(class{verb: verbInsert})
		c.columns = r.peek() == token{kindMark, "("}
		return c
	case r.accept("CREATE"):
		return create(r)
	case r.accept("DROP"):
		return drop(r)
	case r.accept("ALTER"):
		return alter(r)
	case r.accept("LOCK", "TABLES"), r.accept("LOCK", "TABLE"):
		return r.target(class{verb: verbLock})
	case r.accept("UNLOCK", "TABLES"), r.accept("UNLOCK", "TABLE"):
		return class{verb: verbTransaction}
	case r.accept("START", "TRANSACTION"), r.accept("COMMIT"), r.accept("ROLLBACK"):
		return class{verb: verbTransaction}
	case r.accept("BEGIN", "WORK"), r.accept("BEGIN"): // and BEGIN NOT ATOMIC is a program
		if len(r.left) == 0 {
			return class{verb: verbTransaction}
		}
		return class{verb: verbOther, name: "BEGIN " + strings.ToUpper(r.peek().text)}
	case r.accept("SET"):
		return set(r)
	case r.accept("USE"):
		return r.target(class{verb: verbUse})
	case r.accept("DO", "SETVAL"), r.accept("SELECT", "SETVAL"):
		r.next()
		return r.target(class{verb: verbSetval})
	case r.accept("GRANT"), r.accept("REVOKE"):
		return class{verb: verbAccounts}
	}
	return class{verb: verbOther, name: strings.ToUpper(r.peek().text)}
}

func create(r *reader) class {
	r.accept("OR", "REPLACE")
	r.accept("TEMPORARY")
	// CREATE [ALGORITHM=…] [DEFINER=…] [SQL SECURITY …] [AGGREGATE] kind name
	for {
		switch {
		case r.accept("ALGORITHM"):
			r.next()
			r.next()
		case r.accept("DEFINER"):
			r.next()
			r.next()
			if t := r.peek(); t.kind == kindMark && t.text == "@" {
				r.next()
				r.next()
			} else if t.kind == kindMark && t.text == "(" { // CURRENT_USER()
				r.next()
				r.next()
			}
		case r.accept("SQL", "SECURITY"):
			r.next()
		case r.accept("AGGREGATE"), r.accept("UNIQUE"), r.accept("FULLTEXT"), r.accept("SPATIAL"):
		default:
			kind := strings.ToUpper(r.next().text)
			if kind == "PACKAGE" && r.accept("BODY") {
				kind = "PACKAGE BODY"
			}
			r.accept("IF", "NOT", "EXISTS")
			return r.target(class{verb: created(kind), object: kind})
		}
	}
}

func created(kind string) verb {
	switch kind {
	case "TABLE", "SEQUENCE":
		return verbCreateTable
	case "INDEX":
		return verbCreateIndex
	case "DATABASE", "SCHEMA":
		return verbCreateDatabase
	case "USER", "ROLE":
		return verbAccounts
	case "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE", "PACKAGE BODY":
		return verbCreateObject
	}
	return verbOther
}

func drop(r *reader) class {
	r.accept("TEMPORARY")
	kind := strings.ToUpper(r.next().text)
	if kind == "PACKAGE" && r.accept("BODY") {
		kind = "PACKAGE BODY"
	}
	r.accept("IF", "EXISTS")
	v := created(kind)
	switch v {
	case verbCreateTable:
		v = verbDropTable
	case verbCreateObject:
		v = verbDropObject
	case verbAccounts:
	default:
		v = verbOther
	}
	return r.target(class{verb: v, object: kind})
}

func alter(r *reader) class {
	switch {
	case r.accept("TABLE"), r.accept("IGNORE", "TABLE"):
		return r.target(class{verb: verbAlterTable})
	case r.accept("EVENT"):
		return r.target(class{verb: verbAlterEvent, object: "EVENT"})
	case r.accept("USER"):
		return class{verb: verbAccounts}
	case r.accept("DATABASE"), r.accept("SCHEMA"):
		return r.target(class{verb: verbCreateDatabase})
	}
	return class{verb: verbOther, name: "ALTER " + strings.ToUpper(r.peek().text)}
}

func set(r *reader) class {
	for _, t := range r.left {
		if t.kind != kindWord {
			continue
		}
		switch strings.ToUpper(t.text) {
		case "GLOBAL", "PERSIST", "PERSIST_ONLY", "SQL_LOG_BIN", "GTID_PURGED":
			return class{verb: verbSetGlobal}
		}
	}
	switch {
	case r.accept("PASSWORD"), r.accept("DEFAULT", "ROLE"):
		return class{verb: verbAccounts}
	case r.accept("STATEMENT"), r.accept("ROLE"):
		return class{verb: verbOther, name: "SET " + strings.ToUpper(r.peek().text)}
	}
	return class{verb: verbSet}
}
