package mysql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Rollback brings back the database as it was before Restore.
func (c *Component) Rollback(ctx context.Context) error {
	if err := c.rollback(ctx); err != nil {
		return fmt.Errorf("roll back database %s: %w", c.opts.Database, err)
	}
	return nil
}

func (c *Component) rollback(ctx context.Context) error {
	j, err := c.existingJournal()
	if err != nil || j == nil {
		return err
	}
	defer j.close()
	switch {
	case j.begun == nil || j.rolledBack:
		return nil
	case j.discarded:
		return errors.New("what was set aside has been discarded")
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer s.close()
	r := &restore{c: c, s: s, j: j, warn: func(string) {}}
	changed, err := r.changed(ctx)
	if err != nil {
		return err
	}
	if err := j.add(ctx, record{Do: doRollback, Keep: len(changed) > 0}); err != nil {
		return err
	}
	if j.clearing {
		if err := r.putBack(ctx); err != nil {
			return err
		}
	}
	if !j.keep {
		if err := r.drop(ctx, j.begun.New); err != nil {
			return err
		}
	}
	if err := r.dropEmpty(ctx, j.begun.Aside); err != nil {
		return err
	}
	if err := r.lowerPacket(ctx); err != nil {
		return err
	}
	if err := j.add(ctx, record{Do: doRolled}); err != nil {
		return err
	}
	if len(r.failed) > 0 {
		return fmt.Errorf("the tables are as they were; what could not be put back has to be by hand: %s", strings.Join(r.failed, ", "))
	}
	return nil
}

// existingJournal returns the journal, or nil when there was no Restore.
func (c *Component) existingJournal() (*journal, error) {
	if c.env.State == "" {
		return nil, nil //nolint:nilnil // nothing was restored
	}
	return openJournal(c.env.State, c.opts.Database, false)
}

// putBack reverses what happened from the removal of the first object on.
func (r *restore) putBack(ctx context.Context) error {
	b := r.j.begun
	if !b.Existed { // it goes at the end; until then it is worked in
		if err := r.createDatabase(ctx, r.c.opts.Database, "utf8", "utf8_general_ci"); err != nil {
			return err
		}
	}
	if err := r.dropMade(ctx); err != nil {
		return err
	}
	if err := r.clear(ctx); err != nil {
		return err
	}
	if r.j.swap != nil {
		if err := r.moveBack(ctx); err != nil {
			return err
		}
	}
	if !b.Existed {
		if err := r.applySaved(ctx); err != nil {
			return err
		}
		return r.dropEmpty(ctx, r.c.opts.Database)
	}
	if err := r.change(ctx, "ALTER DATABASE "+ident(r.c.opts.Database)+" CHARACTER SET "+b.Charset+" COLLATE "+b.Collation); err != nil {
		return err
	}
	return r.applySaved(ctx)
}

// moveBack sends whatever came after the swap to the staging database, also
// tables that the application made since, and brings the present tables back.
func (r *restore) moveBack(ctx context.Context) error {
	database, b := r.c.opts.Database, r.j.begun
	now, err := baseTables(ctx, r.s.db, database)
	if err != nil {
		return err
	}
	aside, err := baseTables(ctx, r.s.db, b.Aside)
	if err != nil {
		return err
	}
	var moves []string
	for _, t := range now {
		if stayed := slices.Contains(r.j.swap.Present, t) && !slices.Contains(aside, t); !stayed {
			moves = append(moves, table(database, t)+" TO "+table(b.New, t))
		}
	}
	for _, t := range aside {
		moves = append(moves, table(b.Aside, t)+" TO "+table(database, t))
	}
	if len(moves) > 0 {
		if err := r.createDatabase(ctx, b.New, b.charsetOr("utf8"), b.collationOr("utf8_general_ci")); err != nil {
			return err
		}
	}
	if err := r.rename(ctx, moves); err != nil {
		return err
	}
	now, err = baseTables(ctx, r.s.db, database)
	if err != nil {
		return err
	}
	if lost := missing(r.j.swap.Present, now); len(lost) > 0 {
		return fmt.Errorf("tables %v are neither in place nor set aside", lost)
	}
	return nil
}

func (r *record) charsetOr(other string) string {
	if r.Charset == "" {
		return other
	}
	return r.Charset
}

func (r *record) collationOr(other string) string {
	if r.Collation == "" {
		return other
	}
	return r.Collation
}

// dropMade drops the accounts that the restore made.
func (r *restore) dropMade(ctx context.Context) error {
	for _, name := range r.j.accounts {
		if err := r.change(ctx, "DROP USER "+name); err != nil && !isError(err, errCannotUser) {
			return err
		}
	}
	return nil
}

// Discard drops what Restore set aside; after a Rollback, the tables that others had
// written to.
func (c *Component) Discard(ctx context.Context) error {
	if err := errors.Join(c.discard(ctx), c.forget()); err != nil {
		return fmt.Errorf("discard the database set aside for %s: %w", c.opts.Database, err)
	}
	return nil
}

func (c *Component) discard(ctx context.Context) error {
	j, err := c.existingJournal()
	if err != nil || j == nil {
		return err
	}
	defer j.close()
	switch {
	case j.begun == nil || j.discarded || j.rolledBack && !j.keep:
		return nil
	case j.rolledBack:
		s, err := c.connect(ctx, "")
		if err != nil {
			return err
		}
		defer s.close()
		if err := (&restore{c: c, s: s, j: j}).drop(ctx, j.begun.New); err != nil {
			return err
		}
		return j.add(ctx, record{Do: doDiscarded})
	case j.rolling:
		return errors.New("its rollback has begun and has to end first")
	case !j.restored:
		return errors.New("the restore is not complete; resume it or roll it back")
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer s.close()
	r := &restore{c: c, s: s, j: j}
	if err := j.add(ctx, record{Do: doDiscard}); err != nil {
		return err
	}
	if err := r.drop(ctx, j.begun.Aside); err != nil {
		return err
	}
	if err := os.Remove(j.savedPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return j.add(ctx, record{Do: doDiscarded})
}
