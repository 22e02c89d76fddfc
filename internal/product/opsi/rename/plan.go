package rename

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Change is one place where the server's name is written, and what will stand
// there. Old and New are whole values, for people.
type Change struct {
	Place    string
	Old, New string
}

func (c Change) String() string { return fmt.Sprintf("%s: %s → %s", c.Place, c.Old, c.New) }

// DatabasePlan is everything that a renaming does to a database.
type DatabasePlan struct {
	Changes []Change
	// Removed tells what goes because another host has the new id already, and
	// Aside are the statements that would bring those rows back.
	Removed []string
	Aside   []string
	// Left is what may name the old server, and nothing here can decide on.
	Left       []string
	statements []string
}

// Empty tells whether nothing of the old name is left to change.
func (p *DatabasePlan) Empty() bool { return len(p.statements) == 0 }

// PlanDatabase looks for the old id in every place of the database. It changes
// nothing. The old id must be that of a server, unless it is gone already.
func PlanDatabase(ctx context.Context, db Database, n Names) (*DatabasePlan, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	s, err := readSchema(ctx, db)
	if err != nil {
		return nil, err
	}
	b := &databasePlanner{DatabasePlan: &DatabasePlan{}, db: db, schema: s, names: n, hand: hand{names: n}}
	if b.there, err = b.server(ctx); err != nil {
		return nil, err
	}
	if b.there {
		if err := b.removeOther(ctx); err != nil {
			return nil, err
		}
		b.add("UPDATE HOST SET hostId = %s%s WHERE hostId = %s", literal(n.New), s.still("HOST"), literal(n.Old))
		b.Changes = append(b.Changes, Change{"HOST.hostId", n.Old, n.New})
	}
	for _, r := range s.references() {
		if err := b.reference(ctx, r); err != nil {
			return nil, err
		}
	}
	for _, r := range values {
		if err := b.values(ctx, r); err != nil {
			return nil, err
		}
	}
	err = b.mentions(ctx)
	b.Left = append(b.Left, b.hand.lines()...)
	return b.DatabasePlan, err
}

// Apply carries the plan out in one transaction. Foreign keys are not followed
// meanwhile: opsi 4.2 refuses to change an id that rows refer to, and opsi 4.3
// takes the host away from its licences.
func (p *DatabasePlan) Apply(ctx context.Context, db Database) error {
	if p.Empty() {
		return nil
	}
	return db.Transact(ctx, slices.Concat([]string{"SET SESSION foreign_key_checks = 0"}, p.statements))
}

type databasePlanner struct {
	*DatabasePlan
	db     Database
	schema *schema
	names  Names
	there  bool // the old id is; else it was renamed before
	hand   hand
}

func (b *databasePlanner) add(format string, args ...any) {
	b.statements = append(b.statements, fmt.Sprintf(format, args...))
}

// server tells whether the old id is still there, and refuses one that is no
// server's.
func (b *databasePlanner) server(ctx context.Context) (bool, error) {
	rows, err := b.db.Query(ctx, "SELECT type FROM HOST WHERE hostId = "+literal(b.names.Old))
	if err != nil {
		return false, err
	}
	if len(rows) == 1 {
		if kind := rows[0][0]; kind != "OpsiConfigserver" && kind != "OpsiDepotserver" {
			return false, fmt.Errorf("%s is a client in opsi's database (%s), not a server; nothing is renamed", b.names.Old, kind)
		}
		return true, nil
	}
	rows, err = b.db.Query(ctx, "SELECT hostId FROM HOST WHERE type = 'OpsiConfigserver' ORDER BY hostId")
	if err != nil {
		return false, err
	}
	if len(rows) == 0 || len(rows) == 1 && rows[0][0] == b.names.New {
		return false, nil // hosts are in the file backend, or it was done before
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r[0])
	}
	return false, fmt.Errorf("opsi's database knows no server %s; its config server is %s", b.names.Old, strings.Join(ids, ", "))
}

// removeOther plans to remove a host that has the new id already, as opsi does,
// after its rows were written down.
func (b *databasePlanner) removeOther(ctx context.Context) error {
	id := literal(b.names.New)
	rows, err := b.db.Query(ctx, "SELECT type, description FROM HOST WHERE hostId = "+id)
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		b.Removed = append(b.Removed, fmt.Sprintf("%s %s (%s), which has the new id already", rows[0][0], b.names.New, rows[0][1]))
		if err := b.setAside(ctx, "HOST", "hostId"); err != nil {
			return err
		}
		b.add("DELETE FROM HOST WHERE hostId = %s", id)
	}
	for _, r := range b.schema.references() {
		if r.keep == inherit {
			continue
		}
		where := fmt.Sprintf("FROM %s WHERE %s = %s", name(r.table), name(r.column), id)
		rows, err := b.db.Query(ctx, "SELECT COUNT(*) "+where)
		if err != nil {
			return err
		}
		if rows[0][0] == "0" {
			continue
		}
		if r.keep == unbind {
			if err := b.noteBinding(ctx, r); err != nil {
				return err
			}
			b.add("UPDATE %s SET %s = NULL%s WHERE %s = %s", name(r.table), name(r.column), b.schema.still(r.table), name(r.column), id)
			b.Removed = append(b.Removed, fmt.Sprintf("the binding of %s rows of %s to %s", rows[0][0], r.table, b.names.New))
			continue
		}
		if err := b.setAside(ctx, r.table, r.column); err != nil {
			return err
		}
		b.add("DELETE %s", where)
		b.Removed = append(b.Removed, fmt.Sprintf("%s rows of %s of %s", rows[0][0], r.table, b.names.New))
	}
	return nil
}

// setAside writes the rows down that name the new id.
func (b *databasePlanner) setAside(ctx context.Context, table, column string) error {
	var names, quoted []string
	for _, c := range b.schema.columns[table] {
		names, quoted = append(names, name(c)), append(quoted, "QUOTE("+name(c)+")")
	}
	rows, err := b.db.Query(ctx, fmt.Sprintf("SELECT CONCAT_WS(', ', %s) FROM %s WHERE %s = %s",
		strings.Join(quoted, ", "), name(table), name(column), literal(b.names.New)))
	if err != nil {
		return err
	}
	for _, r := range rows {
		b.Aside = append(b.Aside, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s);", name(table), strings.Join(names, ", "), r[0]))
	}
	return nil
}

// noteBinding writes down which rows were bound to the new id.
func (b *databasePlanner) noteBinding(ctx context.Context, r reference) error {
	keys := b.schema.keys[r.table]
	if len(keys) == 0 {
		return nil
	}
	var quoted []string
	for _, k := range keys {
		quoted = append(quoted, "CONCAT("+literal(name(k)+" = ")+", QUOTE("+name(k)+"))")
	}
	rows, err := b.db.Query(ctx, fmt.Sprintf("SELECT CONCAT_WS(' AND ', %s) FROM %s WHERE %s = %s",
		strings.Join(quoted, ", "), name(r.table), name(r.column), literal(b.names.New)))
	if err != nil {
		return err
	}
	for _, row := range rows {
		b.Aside = append(b.Aside, fmt.Sprintf("UPDATE %s SET %s = '%s' WHERE %s;", name(r.table), name(r.column), b.names.New, row[0]))
	}
	return nil
}

// reference plans to rename the id in one column.
func (b *databasePlanner) reference(ctx context.Context, r reference) error {
	rows, err := b.db.Query(ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE %s = %s", name(r.table), name(r.column), literal(b.names.Old)))
	if err != nil {
		return err
	}
	if rows[0][0] == "0" {
		return nil
	}
	b.add("UPDATE %s SET %s = %s%s WHERE %s = %s", name(r.table), name(r.column), literal(b.names.New), b.schema.still(r.table), name(r.column), literal(b.names.Old))
	b.Changes = append(b.Changes, Change{fmt.Sprintf("%s.%s (%s rows)", r.table, r.column, rows[0][0]), b.names.Old, b.names.New})
	return nil
}
