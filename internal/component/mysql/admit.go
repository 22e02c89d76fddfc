package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	driver "github.com/go-sql-driver/mysql"
	"github.com/google/renameio/v2"

	log "lifeboat/internal/component/journal"
)

// Admit lets the application's own account in with its configured password: the
// account is made if there is none, and gets every right on the database if it
// has none there. It returns what was done, "" when the account got in already.
// What was before is kept in Env.State for Withdraw.
func (c *Component) Admit(ctx context.Context) (string, error) {
	refusal := c.Login(ctx)
	if refusal == nil {
		return "", nil
	}
	if !Refused(refusal) {
		return "", refusal
	}
	name, err := c.admit(ctx, refusal)
	if err != nil {
		return "", fmt.Errorf("give the account %s of database %s its configured password: %w", c.opts.User, c.opts.Database, err)
	}
	if err := c.Login(ctx); err != nil {
		return "", err
	}
	return "account " + name + " has the configured password", nil
}

// Refused tells whether a failed Login is one of the account or its password, and
// not of the way to the server.
func Refused(err error) bool {
	return isError(err, errAccessDenied, errSocketDenied, errDatabaseDenied)
}

// Refused tells what the function of that name tells.
func (c *Component) Refused(err error) bool { return Refused(err) }

func (c *Component) admit(ctx context.Context, refusal error) (string, error) {
	s, err := c.connect(ctx, "")
	if err != nil {
		return "", err
	}
	defer s.close()
	if there, err := s.exists(ctx, c.opts.Database); err != nil {
		return "", err
	} else if !there {
		return "", fmt.Errorf("there is no database %s", c.opts.Database)
	}
	j, err := openJournal(c.env.State, c.accountJournal(), true)
	if err != nil {
		return "", err
	}
	defer j.close()
	if j.rolling && !j.rolledBack {
		return "", errors.New("its rollback has begun and has to end first")
	}
	conn, err := s.session(ctx, c.opts.Database)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	a := &accountant{r: &restore{c: c, s: s, j: j, warn: func(string) {}}, conn: conn}
	x, err := a.refused(ctx, refusal)
	if err != nil {
		return "", err
	}
	if keep, why := a.protected(ctx, x); keep {
		return "", fmt.Errorf("account %s is left as it is: %s", x.name(), why)
	}
	return x.name(), a.admit(ctx, x)
}

// refused finds the account that the server has looked at: the one of the host
// that it names in its refusal, else one whose pattern covers that.
func (a *accountant) refused(ctx context.Context, refusal error) (account, error) {
	x := account{user: a.r.c.opts.User, host: "localhost"}
	var said *driver.MySQLError
	if errors.As(refusal, &said) {
		if _, rest, ok := strings.Cut(said.Message, "'"+x.user+"'@'"); ok {
			if from, _, ok := strings.Cut(rest, "'"); ok {
				x.host = from
			}
		}
	}
	// The nameless account of a host comes before patterns.
	rows, err := query(ctx, a.conn, `SELECT Host FROM mysql.user WHERE User = ? AND Host <> '' AND (Host = ? OR ? LIKE Host AND
		NOT EXISTS (SELECT 1 FROM mysql.user WHERE User = '' AND Host = ?)) ORDER BY Host = ? DESC, LENGTH(Host) DESC`,
		x.user, x.host, x.host, x.host, x.host)
	if err != nil {
		return x, err
	}
	if len(rows) > 0 {
		x.host = rows[0][0]
	}
	return x, nil
}

func (a *accountant) admit(ctx context.Context, x account) error {
	j := a.r.j
	switch {
	case j.begun == nil || j.rolledBack:
		if err := j.add(ctx, record{Do: doBegin, Account: x.name()}); err != nil {
			return err
		}
	case j.begun.Account != x.name():
		return fmt.Errorf("account %s was given it, and %s is refused now", j.begun.Account, x.name())
	}
	known, err := a.known(ctx, x)
	if err != nil {
		return err
	}
	had := account{}
	if known {
		if had, err = a.keep(ctx, x); err != nil {
			return err
		}
	} else if err := j.add(ctx, record{Do: doAccount, Account: x.name()}); err != nil {
		return err
	}
	if err := a.setPassword(ctx, x, known); err != nil {
		return err
	}
	if len(had.grants) > 0 {
		return nil
	}
	// In a grant a database is a pattern.
	pattern := strings.NewReplacer("_", `\_`, "%", `\%`).Replace(a.r.c.opts.Database)
	return a.r.change(ctx, "GRANT ALL PRIVILEGES ON "+ident(pattern)+".* TO "+x.name())
}

// keep saves a present account as it is, unless this run has saved or made it.
func (a *accountant) keep(ctx context.Context, x account) (account, error) {
	j, database := a.r.j, a.r.c.opts.Database
	had, _, err := readAccount(ctx, a.conn, database, x.user, x.host)
	if err != nil || j.saved || len(j.accounts) > 0 {
		return had, err
	}
	saved := had
	saved.identity = cmp.Or(saved.identity, "IDENTIFIED BY ''")
	script := (&objects{database: database, accounts: []account{saved}}).script()
	if err := renameio.WriteFile(j.savedPath(), script, 0o600); err != nil {
		return had, fmt.Errorf("save the present account: %w", err)
	}
	if err := log.SyncDir(a.r.c.env.State); err != nil {
		return had, err
	}
	return had, j.add(ctx, record{Do: doSaved})
}

// setPassword sends the password to the server and to nowhere else: neither the
// journal nor an error has it.
func (a *accountant) setPassword(ctx context.Context, x account, known bool) error {
	password := literal(a.r.c.opts.Password)
	verb := "CREATE USER "
	if known {
		verb = "ALTER USER "
	}
	if err := a.r.j.add(ctx, record{Do: doRun, Statement: verb + x.name()}); err != nil {
		return err
	}
	_, err := a.conn.ExecContext(ctx, verb+x.name()+" IDENTIFIED BY "+password)
	if known && isError(err, errSyntax) { // before MySQL 5.7 and MariaDB 10.2
		_, err = a.conn.ExecContext(ctx, "SET PASSWORD FOR "+x.name()+" = PASSWORD("+password+")")
	}
	if err != nil {
		return errors.New(withoutText(err)) //nolint:errorlint // its text may hold the password
	}
	return nil
}

// Withdraw makes the account what it was before Admit. Without an Admit it does
// nothing; it may be repeated.
func (c *Component) Withdraw(ctx context.Context) error {
	if err := c.withdraw(ctx); err != nil {
		return fmt.Errorf("give account %s its former password and rights: %w", c.opts.User, err)
	}
	return nil
}

func (c *Component) withdraw(ctx context.Context) error {
	j, err := c.admitted()
	if err != nil || j == nil {
		return err
	}
	defer j.close()
	if j.begun == nil || j.rolledBack {
		return nil
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer s.close()
	r := &restore{c: c, s: s, j: j, warn: func(string) {}}
	if err := j.add(ctx, record{Do: doRollback}); err != nil {
		return err
	}
	if err := r.dropMade(ctx); err != nil {
		return err
	}
	if j.saved {
		if err := r.applySaved(ctx); err != nil {
			return err
		}
	}
	if len(r.failed) > 0 {
		return fmt.Errorf("the server refuses it; put back by hand: %s", strings.Join(r.failed, ", "))
	}
	if err := j.add(ctx, record{Do: doRolled}); err != nil {
		return err
	}
	return c.forget()
}

// forget removes what was kept of the account: it has the hash of a password.
func (c *Component) forget() error {
	j, err := c.admitted()
	if err != nil || j == nil {
		return err
	}
	defer j.close()
	if err := os.Remove(j.savedPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// admitted opens the journal of an Admit; nil where there was none.
func (c *Component) admitted() (*journal, error) {
	if c.env.State == "" {
		return nil, nil
	}
	return openJournal(c.env.State, c.accountJournal(), false)
}

// accountJournal names the journal of Admit.
func (c *Component) accountJournal() string { return c.opts.Database + ".account" }
