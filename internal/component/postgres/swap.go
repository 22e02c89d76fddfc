package postgres

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/internal/component"
)

// swap exchanges the names in one transaction. A restore that was killed around it
// sees by the database beside whether it was committed.
func (r *restore) swap(ctx context.Context) error {
	b := r.j.begun
	if !r.j.swap {
		if err := r.j.add(ctx, record{Do: doSwap}); err != nil {
			return err
		}
	}
	waiting, err := r.admin.exists(ctx, b.New)
	if err != nil {
		return err
	}
	if waiting {
		names := [][2]string{{b.New, b.Database}}
		if b.Existed {
			names = [][2]string{{b.Database, b.Aside}, {b.New, b.Database}}
		}
		if err := r.admin.rename(ctx, names...); err != nil {
			return err
		}
	}
	return r.j.add(ctx, record{Do: doRestored})
}

// Rollback brings back the database as it was before Restore. What others wrote to
// the restored one meanwhile stays beside.
func (c *Component) Rollback(ctx context.Context) error {
	return c.wrap(ctx, "roll back", c.rollback(ctx))
}

func (c *Component) rollback(ctx context.Context) error {
	j, err := c.openJournal(false)
	if err != nil || j == nil {
		return err
	}
	defer j.close()
	switch {
	case j.begun == nil || j.rolledBack:
		return nil
	case j.discarding:
		return errors.New("what was set aside has been discarded")
	}
	r := &restore{c: c, j: j}
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer func() { r.admin.close() }()
	changed, err := r.changed(ctx)
	if err != nil {
		return err
	}
	if err := j.add(ctx, record{Do: doRollback, Keep: len(changed) > 0}); err != nil {
		return err
	}
	if j.swap && !j.back {
		if err := r.swapBack(ctx); err != nil {
			return err
		}
		if err := j.add(ctx, record{Do: doBack}); err != nil {
			return err
		}
	}
	if !j.keep {
		if err := r.admin.drop(ctx, j.begun.New); err != nil {
			return err
		}
		if err := r.dropRoles(ctx); err != nil {
			return err
		}
	}
	return j.add(ctx, record{Do: doRolled})
}

func (r *restore) swapBack(ctx context.Context) error {
	b := r.j.begun
	waiting, err := r.admin.exists(ctx, b.New)
	if err != nil || waiting { // the exchange never was, or is undone
		return err
	}
	names := [][2]string{{b.Database, b.New}}
	if b.Existed {
		names = append(names, [2]string{b.Aside, b.Database})
	}
	return r.admin.rename(ctx, names...)
}

// dropRoles removes the roles that the restore made, unless something else has come
// to belong to them.
func (r *restore) dropRoles(ctx context.Context) error {
	for _, role := range r.j.roles {
		if err := r.admin.exec(ctx, "DROP ROLE IF EXISTS "+ident(role)); err != nil && !isState(err, stateDependent) {
			return err
		}
	}
	return nil
}

// Discard drops what Restore set aside; after a Rollback, what others had written to.
func (c *Component) Discard(ctx context.Context) error {
	return c.wrap(ctx, "discard", c.discard(ctx))
}

func (c *Component) discard(ctx context.Context) error {
	j, err := c.openJournal(false)
	if err != nil || j == nil {
		return err
	}
	defer j.close()
	gone := ""
	switch {
	case j.begun == nil || j.discarded || j.rolledBack && !j.keep:
		return nil
	case j.rolledBack:
		gone = j.begun.New
	case j.rolling:
		return errors.New("its rollback has begun and has to end first")
	case !j.restored:
		return errors.New("the restore is not complete; resume it or roll it back")
	default:
		gone = j.begun.Aside
	}
	r := &restore{c: c, j: j}
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.admin.close()
	if err := j.add(ctx, record{Do: doDiscard}); err != nil {
		return err
	}
	if err := r.admin.drop(ctx, gone); err != nil {
		return err
	}
	return j.add(ctx, record{Do: doDiscarded})
}

// changed lists the tables that are not as they were loaded.
func (r *restore) changed(ctx context.Context) ([]string, error) {
	j := r.j
	if r.c.env.Since.IsZero() || !j.restored || j.rolling || j.discarding {
		return nil, nil
	}
	s, err := r.c.connect(ctx, r.a, j.begun.Database)
	if err != nil {
		return nil, err
	}
	defer s.close()
	now, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, name := range component.Unlike(j.loaded.Tables, now) {
		changed = append(changed, fmt.Sprintf("table %s of database %s", name, j.begun.Database))
	}
	return changed, nil
}

// Changed lists the tables that others wrote to since they were restored.
func (c *Component) Changed(ctx context.Context) ([]string, error) {
	j, err := c.openJournal(false)
	if err != nil || j == nil {
		return nil, c.wrap(ctx, "look for changes", err)
	}
	defer j.close()
	r := &restore{c: c, j: j}
	if r.a, err = c.readAddress(c.opts.URLFile); err != nil {
		return nil, c.wrap(ctx, "look for changes", err)
	}
	changed, err := r.changed(ctx)
	return changed, c.wrap(ctx, "look for changes", err)
}

// Kept names the database in which Rollback has left what others wrote.
func (c *Component) Kept(ctx context.Context) ([]string, error) {
	j, err := c.openJournal(false)
	if err != nil || j == nil {
		return nil, c.wrap(ctx, "look", err)
	}
	defer j.close()
	if !j.rolledBack || !j.keep || j.discarded {
		return nil, nil
	}
	return []string{"database " + j.begun.New}, nil
}

// Held tells in which database the present content is set aside.
func (c *Component) Held(ctx context.Context) ([]component.Held, error) {
	j, err := c.openJournal(false)
	if err != nil || j == nil {
		return nil, c.wrap(ctx, "look", err)
	}
	defer j.close()
	if j.begun == nil || !j.begun.Existed || !j.swap || j.back || j.rolledBack || j.discarded {
		return nil, nil
	}
	r := &restore{c: c, j: j}
	if err := r.enter(ctx); err != nil {
		return nil, c.wrap(ctx, "look", err)
	}
	defer r.admin.close()
	var held []component.Held
	rows, err := r.admin.conn.Query(ctx, `SELECT pg_catalog.pg_database_size(oid) FROM pg_catalog.pg_database WHERE datname = $1`, j.begun.Aside)
	if err != nil {
		return nil, c.wrap(ctx, "look", err)
	}
	defer rows.Close()
	for rows.Next() {
		h := component.Held{Place: "database " + j.begun.Aside}
		if err := rows.Scan(&h.Bytes); err != nil {
			return nil, c.wrap(ctx, "look", err)
		}
		held = append(held, h)
	}
	return held, c.wrap(ctx, "look", rows.Err())
}
