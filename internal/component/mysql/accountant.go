package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"
)

// accountant applies account statements. An account that fails is a warning: the
// application's login is tried by a check of its own.
type accountant struct {
	r      *restore
	conn   *sql.Conn
	create bool
	failed []string
}

func (a *accountant) apply(ctx context.Context, text string) error {
	s, err := parseAccount(text, a.r.c.opts.Database)
	if err != nil {
		return err
	}
	name := s.name()
	if slices.Contains(a.failed, name) {
		return nil
	}
	if keep, why := a.protected(ctx, s.account); keep {
		a.failed = append(a.failed, name)
		a.r.warn(fmt.Sprintf("account %s is left as it is: %s", name, why))
		return nil
	}
	if s.kind == "CREATE" {
		known, err := a.known(ctx, s.account)
		if err != nil {
			return err
		}
		if known {
			return a.revokeAll(ctx, s.account)
		}
		if a.create {
			if err := a.r.j.add(ctx, record{Do: doAccount, Account: name}); err != nil {
				return err
			}
		}
	}
	if err := a.r.j.add(ctx, record{Do: doRun, Statement: s.kind + " " + name}); err != nil {
		return err
	}
	// The server must read the statement as it was read here.
	if _, err := a.conn.ExecContext(ctx, "SET SESSION sql_mode = ''"); err != nil {
		return err
	}
	if _, err = a.conn.ExecContext(ctx, text); isError(err, errSyntax) && s.kind != "GRANT" {
		err = a.old(ctx, s)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.failed = append(a.failed, name)
		a.r.failed = append(a.r.failed, "account "+name)
		a.r.warn(fmt.Sprintf("account %s could not be restored: %s", name, withoutText(err)))
	}
	return nil
}

// revokeAll takes from an account that exists what it may do on the database;
// the grants of the script follow.
func (a *accountant) revokeAll(ctx context.Context, x account) error {
	x, _, err := readAccount(ctx, a.conn, a.r.c.opts.Database, x.user, x.host)
	if err != nil {
		return err
	}
	for _, g := range x.grants {
		if err := a.r.change(ctx, revoke(g)); err != nil && !isError(err, errNoSuchGrant, errNoTableGrant, errNoRoutineGrant, errNoSuchTable) {
			return err
		}
	}
	return nil
}

// old does with a server before MySQL 5.7 and MariaDB 10.1.3 what CREATE USER IF
// NOT EXISTS and ALTER USER do with newer ones.
func (a *accountant) old(ctx context.Context, s accountStatement) error {
	_, err := a.conn.ExecContext(ctx, "GRANT USAGE ON *.* TO "+strings.TrimSpace(s.name()+" "+s.identity))
	return err
}

// withoutText describes a server's error by its number: its text repeats the
// statement, in which the hash of a password stands.
func withoutText(err error) string {
	var e *driver.MySQLError
	if errors.As(err, &e) {
		return fmt.Sprintf("the server refuses with error %d", e.Number)
	}
	return err.Error()
}

// protected tells whether an account must not be touched: an administrator, or
// the one that restores.
func (a *accountant) protected(ctx context.Context, x account) (bool, string) {
	if slices.Contains(administrators, x.user) {
		return true, "it is an administrator of the server"
	}
	if rows, err := query(ctx, a.conn, "SELECT CURRENT_USER()"); err == nil && rows[0][0] == x.user+"@"+x.host {
		return true, "it is the account that restores"
	}
	lines, err := column(ctx, a.conn, "SHOW GRANTS FOR "+x.name())
	if err != nil {
		return false, ""
	}
	for _, line := range lines {
		on, ok := grantTarget(line)
		if ok && on == "*" && !strings.HasPrefix(line, "GRANT USAGE ") {
			return true, "it has rights on the whole server"
		}
	}
	return false, ""
}

func (a *accountant) known(ctx context.Context, x account) (bool, error) {
	rows, err := query(ctx, a.conn, "SELECT 1 FROM mysql.user WHERE User = ? AND Host = ?", x.user, x.host)
	return len(rows) > 0, err
}
