package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// account is a user of the database, with what it may do there and nothing else.
type account struct {
	user, host string
	// identity is what follows CREATE USER name: IDENTIFIED … with a hash,
	// REQUIRE …; "" is no password.
	identity string
	grants   []string // GRANT statements on this database alone
}

// administrators are never made, changed or granted anything by a restore.
var administrators = []string{"root", "mysql", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "debian-sys-maint"}

func (a account) name() string { return ident(a.user) + "@" + ident(a.host) }

// readAccounts finds who has rights on the database.
func (o *objects) readAccounts(ctx context.Context, conn *sql.Conn, s *server) error {
	found, err := grantees(ctx, conn, o.database)
	if err != nil {
		if isError(err, errAccessDenied, errDatabaseDenied, errNeedsPrivilege, 1142, 1143) {
			o.warnings = append(o.warnings, "accounts and their rights were not read: "+s.login.how+" may not see them; give defaults_file with an administrator's access")
			return nil
		}
		return err
	}
	for _, u := range found {
		if u[1] == "" {
			o.warnings = append(o.warnings, fmt.Sprintf("role %s has rights on the database; roles are not captured", oneLine(u[0])))
			continue
		}
		if u[0] == "" || slices.Contains(administrators, u[0]) {
			continue
		}
		a, global, err := readAccount(ctx, conn, o.database, u[0], u[1])
		if err != nil {
			return err
		}
		if global {
			o.warnings = append(o.warnings, fmt.Sprintf("account %s has rights beyond the database; those are not captured", oneLine(a.name())))
		}
		o.accounts = append(o.accounts, a)
	}
	return nil
}

// grantees lists user and host of everybody named in the grant tables of the database.
func grantees(ctx context.Context, q querier, database string) ([][]string, error) {
	return query(ctx, q, `SELECT User, Host FROM mysql.db WHERE ? LIKE Db
		UNION SELECT User, Host FROM mysql.tables_priv WHERE Db = ?
		UNION SELECT User, Host FROM mysql.columns_priv WHERE Db = ?
		UNION SELECT User, Host FROM mysql.procs_priv WHERE Db = ?
		ORDER BY 1, 2`, database, database, database, database)
}

// readAccount reads one account. global tells that it has rights elsewhere.
func readAccount(ctx context.Context, conn *sql.Conn, database, user, host string) (a account, global bool, err error) {
	a = account{user: user, host: host}
	lines, err := column(ctx, conn, "SHOW GRANTS FOR "+a.name())
	if err != nil {
		return a, false, err
	}
	for _, line := range lines {
		on, ok := grantTarget(line)
		switch {
		case ok && on == database:
			grant, _ := splitIdentity(line)
			a.grants = append(a.grants, grant)
		case ok && on == "*" && strings.HasPrefix(line, "GRANT USAGE "):
			_, a.identity = splitIdentity(line)
		default:
			global = true
		}
	}
	// MySQL 5.7 and MariaDB 10.2 show the identity here; older ones only showed it
	// with the grants.
	_, _ = conn.ExecContext(ctx, "SET SESSION print_identified_with_as_hex = ON") // MySQL 8: hashes are not text
	if rows, err := column(ctx, conn, "SHOW CREATE USER "+a.name()); err == nil && len(rows) == 1 {
		r := &reader{tokens([]byte(rows[0]), 8)}
		if r.accept("CREATE", "USER") {
			a.identity = afterAccount(rows[0])
		}
	}
	return a, global, nil
}

// grantTarget returns the database that a GRANT line is about; "*" is all.
func grantTarget(line string) (database string, ok bool) {
	r := &reader{tokens([]byte(line), 1<<10)}
	if !r.accept("GRANT") {
		return "", false
	}
	depth := 0
	for len(r.left) > 0 {
		t := r.next()
		switch {
		case t == token{kindMark, "("}:
			depth++
		case t == token{kindMark, ")"}:
			depth--
		case depth == 0 && t.kind == kindWord && strings.EqualFold(t.text, "ON"):
			_ = r.accept("TABLE") || r.accept("PROCEDURE") || r.accept("FUNCTION") || r.accept("PACKAGE", "BODY") || r.accept("PACKAGE")
			name := r.next()
			if dot := r.next(); dot.kind != kindMark || dot.text != "." {
				return "", false
			}
			if name.kind == kindMark || name.kind == kindName || name.kind == kindWord {
				return strings.ReplaceAll(strings.ReplaceAll(name.text, `\_`, "_"), `\%`, "%"), true
			}
			return "", false
		}
	}
	return "", false
}

// splitIdentity parts a GRANT line of an old server into the grant and the
// identity that it shows with it.
func splitIdentity(line string) (grant, identity string) {
	at := outsideQuotes(line, " IDENTIFIED ")
	if at < 0 {
		at = outsideQuotes(line, " REQUIRE ")
	}
	if at < 0 {
		return line, ""
	}
	grant, identity = line[:at], line[at:]
	if with := outsideQuotes(identity, " WITH "); with >= 0 {
		if strings.Contains(identity[with:], "GRANT OPTION") {
			grant += " WITH GRANT OPTION"
		}
		identity = identity[:with]
	}
	return grant, strings.TrimSpace(identity)
}

// afterAccount returns what follows user@host in a CREATE USER statement.
func afterAccount(line string) string {
	rest := strings.TrimSpace(strings.TrimPrefix(line, "CREATE USER "))
	for range 2 { // user, host
		rest = strings.TrimPrefix(rest, "@")
		if rest == "" || strings.IndexByte("`'\"", rest[0]) < 0 {
			return strings.TrimSpace(rest)
		}
		_, n := unquote([]byte(rest))
		rest = rest[n:]
	}
	return strings.TrimSpace(rest)
}

// outsideQuotes finds text in a line where it is not quoted.
func outsideQuotes(line, text string) int {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '`' || c == '\'' || c == '"':
			quote = c
		case strings.HasPrefix(line[i:], text):
			return i
		}
	}
	return -1
}

// write renders the account. ALTER USER makes an existing account equal; both
// can be repeated.
func (a account) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n-- account %s\n", oneLine(a.name()))
	fmt.Fprintf(b, "CREATE USER IF NOT EXISTS %s;\n", strings.TrimSpace(a.name()+" "+a.identity))
	if a.identity != "" {
		fmt.Fprintf(b, "ALTER USER %s %s;\n", a.name(), a.identity)
	}
	for _, g := range a.grants {
		b.WriteString(g + ";\n")
	}
}

// accountStatement is what a restore knows about one statement of write.
type accountStatement struct {
	kind string // CREATE, ALTER, GRANT
	account
}

// parseAccount reads a statement that write rendered. Anything else is refused:
// accounts are where a script could do most harm.
func parseAccount(text, database string) (accountStatement, error) {
	refuse := func(why string) (accountStatement, error) {
		return accountStatement{}, fmt.Errorf("account statement %q is refused: %s", brief(text), why)
	}
	if strings.Contains(text, "/*") {
		return refuse("it holds a comment")
	}
	all := tokens([]byte(text), 1<<10)
	if len(all) == 1<<10 {
		return refuse("it is too long")
	}
	r := &reader{all}
	s := accountStatement{}
	switch {
	case r.accept("CREATE", "USER", "IF", "NOT", "EXISTS"):
		s.kind = "CREATE"
	case r.accept("ALTER", "USER"):
		s.kind = "ALTER"
	case r.accept("GRANT"):
		if on, ok := grantTarget(text); !ok || on != database {
			return refuse("it grants something outside database " + database)
		}
		s.kind = "GRANT"
		for len(r.left) > 0 && !r.accept("TO") {
			r.next()
		}
	default:
		return refuse("unknown form")
	}
	user, at, host := r.next(), r.next(), r.next()
	if (user.kind != kindName && user.kind != kindText) || at != (token{kindMark, "@"}) || (host.kind != kindName && host.kind != kindText) {
		return refuse("no account name where one belongs")
	}
	s.user, s.host = user.text, host.text
	switch s.kind {
	case "GRANT":
		if len(r.left) > 0 && !r.accept("WITH", "GRANT", "OPTION") || len(r.left) > 0 {
			return refuse("more follows the account name")
		}
	case "ALTER":
		s.identity = afterAccount(strings.Replace(text, "ALTER USER", "CREATE USER", 1))
	case "CREATE":
		s.identity = afterAccount(strings.Replace(text, "CREATE USER IF NOT EXISTS", "CREATE USER", 1))
	}
	for _, t := range r.left {
		if t == (token{kindMark, ","}) {
			return refuse("it names more than one account")
		}
	}
	return s, nil
}

// revoke turns a GRANT statement into its reverse.
func revoke(grant string) string {
	at := outsideQuotes(grant, " TO ")
	if at < 0 {
		return ""
	}
	who := strings.TrimSuffix(grant[at+len(" TO "):], " WITH GRANT OPTION")
	return "REVOKE " + strings.TrimPrefix(grant[:at], "GRANT ") + " FROM " + who
}
