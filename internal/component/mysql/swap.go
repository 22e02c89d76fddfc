package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"lifeboat/internal/component"
	log "lifeboat/internal/component/journal"
)

// sectionLimit bounds the second section, in bytes.
const sectionLimit = 256 << 20

// savePresent keeps the definitions of the present database in Env.State: tables
// with triggers do not move between databases, so they will be removed.
func (r *restore) savePresent(ctx context.Context) error {
	conn, err := r.s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	o := &objects{database: r.c.opts.Database}
	if r.j.begun.Existed {
		if _, err := conn.ExecContext(ctx, "USE "+ident(o.database)); err != nil {
			return err
		}
		if o, err = readObjects(ctx, conn, r.s, o.database); err != nil {
			return err
		}
	}
	if err := r.addTouched(ctx, conn, o); err != nil {
		return err
	}
	script := o.script()
	if err := renameio.WriteFile(r.j.savedPath(), script, 0o600); err != nil {
		return fmt.Errorf("save what hangs on the present tables: %w", err)
	}
	if err := log.SyncDir(r.c.env.State); err != nil {
		return err
	}
	return r.j.add(ctx, record{Do: doSaved})
}

// addTouched adds the accounts that the second section will change though they
// have no rights on the present database.
func (r *restore) addTouched(ctx context.Context, conn *sql.Conn, o *objects) error {
	rows, err := query(ctx, conn, "SELECT User, Host FROM mysql.user")
	if err != nil {
		return err
	}
	for _, u := range rows {
		x := account{user: u[0], host: u[1]}
		there := slices.ContainsFunc(o.accounts, func(a account) bool { return a.name() == x.name() })
		if there || slices.Contains(administrators, x.user) || !slices.Contains(r.detail.Accounts, x.name()) {
			continue
		}
		if x, _, err = readAccount(ctx, conn, o.database, x.user, x.host); err != nil {
			return err
		}
		o.accounts = append(o.accounts, x)
	}
	return nil
}

// swap sets the present tables aside and puts the loaded ones in their place.
func (r *restore) swap(ctx context.Context) error {
	database, b := r.c.opts.Database, r.j.begun
	if err := r.j.add(ctx, record{Do: doClear}); err != nil {
		return err
	}
	if err := r.createDatabase(ctx, database, r.detail.Charset, r.detail.Collation); err != nil {
		return err
	}
	if err := r.clear(ctx); err != nil {
		return err
	}
	charset, collation := r.detail.Charset, r.detail.Collation
	if b.Existed {
		charset, collation = b.Charset, b.Collation
	}
	if err := r.createDatabase(ctx, b.Aside, charset, collation); err != nil {
		return err
	}
	err := r.change(ctx, "ALTER DATABASE "+ident(database)+" CHARACTER SET "+r.detail.Charset+" COLLATE "+r.detail.Collation)
	if err != nil && !isError(err, errUnknownCollation) {
		return err
	}
	if r.j.swap == nil {
		plan := record{Do: doSwap}
		if plan.Present, err = baseTables(ctx, r.s.db, database); err != nil {
			return err
		}
		if plan.Fresh, err = baseTables(ctx, r.s.db, b.New); err != nil {
			return err
		}
		if err := r.j.add(ctx, plan); err != nil {
			return err
		}
	}
	if err := r.move(ctx); err != nil {
		return err
	}
	return r.j.add(ctx, record{Do: doSwapped})
}

// move renames what is not yet where it belongs. Servers before MariaDB 10.6 and
// MySQL 8 may have done a part when they were killed; looking at the databases
// tells which.
func (r *restore) move(ctx context.Context) error {
	database, b, plan := r.c.opts.Database, r.j.begun, r.j.swap
	aside, err := baseTables(ctx, r.s.db, b.Aside)
	if err != nil {
		return err
	}
	fresh, err := baseTables(ctx, r.s.db, b.New)
	if err != nil {
		return err
	}
	var moves []string
	for _, t := range missing(plan.Present, aside) {
		moves = append(moves, table(database, t)+" TO "+table(b.Aside, t))
	}
	for _, t := range plan.Fresh {
		if slices.Contains(fresh, t) {
			moves = append(moves, table(b.New, t)+" TO "+table(database, t))
		}
	}
	if err := r.rename(ctx, moves); err != nil {
		return err
	}
	now, err := baseTables(ctx, r.s.db, database)
	if err != nil {
		return err
	}
	if !slices.Equal(now, plan.Fresh) {
		return fmt.Errorf("after the swap the tables are %v instead of %v", now, plan.Fresh)
	}
	return nil
}

// rename moves tables in one statement.
func (r *restore) rename(ctx context.Context, moves []string) error {
	if len(moves) == 0 {
		return nil
	}
	return r.change(ctx, "RENAME TABLE "+strings.Join(moves, ", "))
}

// clear removes views, triggers, routines and events of the database.
func (r *restore) clear(ctx context.Context) error {
	database := r.c.opts.Database
	for _, list := range []struct{ kind, query string }{
		{"EVENT", "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?"},
		{"TRIGGER", "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?"},
		{"VIEW", "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?"},
		{"PROCEDURE", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'PROCEDURE' AND ROUTINE_SCHEMA = ?"},
		{"FUNCTION", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA = ?"},
		{"PACKAGE", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'PACKAGE' AND ROUTINE_SCHEMA = ?"},
	} {
		found, err := column(ctx, r.s.db, list.query, database)
		if err != nil {
			return err
		}
		for _, name := range found {
			if err := r.change(ctx, "DROP "+list.kind+" IF EXISTS "+table(database, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// applySection applies the point's second section to the swapped tables.
func (r *restore) applySection(ctx context.Context, source component.Source) error {
	if err := r.j.add(ctx, record{Do: doObjects}); err != nil {
		return err
	}
	stream, err := source.OpenStream(ctx, r.c.objectsStream())
	if err != nil {
		return err
	}
	defer stream.Close()
	script, err := io.ReadAll(io.LimitReader(stream, sectionLimit))
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return r.apply(ctx, script, true)
}

// apply runs a script of objects. Only what such a script holds is run. With
// create, accounts that do not exist are made and remembered.
func (r *restore) apply(ctx context.Context, script []byte, create bool) error {
	conn, err := r.s.session(ctx, r.c.opts.Database)
	if err != nil {
		return err
	}
	defer conn.Close()
	a := &accountant{r: r, conn: conn, create: create}
	placeholders := map[string]bool{}
	split := newSplitter(func(s statement) error {
		k := classify(s.text)
		switch k.verb {
		case verbNothing, verbSet:
		case verbAccounts:
			return a.apply(ctx, string(s.text))
		case verbCreateObject, verbDropObject:
			if k.database != "" && k.database != r.c.opts.Database {
				return fmt.Errorf("line %d: %q reaches into another database", s.line, brief(string(s.text)))
			}
			if err := r.j.add(ctx, record{Do: doRun, Statement: k.object + " " + k.name}); err != nil {
				return err
			}
		default:
			return fmt.Errorf("line %d: %q does not belong here; it is refused", s.line, brief(string(s.text)))
		}
		_, err := conn.ExecContext(ctx, string(s.text))
		if k.object == "VIEW" && !placeholders[k.name] {
			if placeholders[k.name] = true; err != nil && ctx.Err() == nil { // it was broken before
				r.failed = append(r.failed, "view "+k.name)
				r.warn(fmt.Sprintf("view %s was broken and could not be made: %v", k.name, err))
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", s.line, describe(err, string(s.text)))
		}
		return nil
	})
	if _, err := split.Write(bytes.TrimSpace(script)); err != nil {
		return err
	}
	if err := split.Close(); err != nil {
		return err
	}
	if !strings.HasPrefix(split.lastComment(), trailer) {
		return fmt.Errorf("views, triggers and routines are cut off: the last line is not %q", trailer)
	}
	return nil
}

// applySaved brings back what hung on the tables before.
func (r *restore) applySaved(ctx context.Context) error {
	script, err := os.ReadFile(r.j.savedPath())
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("what hung on the tables before was saved and is gone: %w", err)
	}
	if err != nil {
		return err
	}
	return r.apply(ctx, script, false)
}
