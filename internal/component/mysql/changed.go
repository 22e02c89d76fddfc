package mysql

import (
	"context"
	"fmt"
	"strconv"

	"lifeboat/internal/component"
)

// Changed lists the tables that others wrote to or made after Env.Since. Servers
// tell that by the second, and of InnoDB only since their own start.
func (c *Component) Changed(ctx context.Context) ([]string, error) {
	j, err := c.existingJournal()
	if err != nil || j == nil {
		return nil, err
	}
	defer j.close()
	if c.env.Since.IsZero() || !j.restored || j.rolling || j.discarded {
		return nil, nil
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer s.close()
	return (&restore{c: c, s: s, j: j}).changed(ctx)
}

func (r *restore) changed(ctx context.Context) ([]string, error) {
	since := r.c.env.Since
	if since.IsZero() || !r.j.restored || r.j.rolling {
		return nil, nil
	}
	// MySQL 8 keeps these times for a day unless told not to; others do not know it.
	_, _ = r.s.db.ExecContext(ctx, "SET SESSION information_schema_stats_expiry = 0")
	rows, err := r.s.db.QueryContext(ctx, `SELECT TABLE_NAME FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE'
		AND (UNIX_TIMESTAMP(UPDATE_TIME) > ? OR UNIX_TIMESTAMP(CREATE_TIME) > ?) ORDER BY 1`,
		r.c.opts.Database, since.Unix(), since.Unix())
	if err != nil {
		return nil, fmt.Errorf("database %s: look for what was written since: %w", r.c.opts.Database, err)
	}
	defer rows.Close()
	var changed []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		changed = append(changed, "table "+strconv.Quote(name)+" of database "+r.c.opts.Database)
	}
	return changed, rows.Err()
}

// Held tells in which database the present tables are set aside, and how large they
// are by the server's estimate.
func (c *Component) Held(ctx context.Context) ([]component.Held, error) {
	j, err := c.existingJournal()
	if err != nil || j == nil {
		return nil, err
	}
	defer j.close()
	if j.begun == nil || j.swap == nil || j.rolledBack || j.discarded {
		return nil, nil
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer s.close()
	var tables, bytes int64
	err = s.db.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", j.begun.Aside).Scan(&tables, &bytes)
	if err != nil {
		return nil, fmt.Errorf("database %s: look at what was set aside: %w", c.opts.Database, err)
	}
	if tables == 0 {
		return nil, nil
	}
	return []component.Held{{Place: "database " + j.begun.Aside, Bytes: bytes}}, nil
}

// Kept names the database in which Rollback has left tables that others wrote to.
func (c *Component) Kept(context.Context) ([]string, error) {
	j, err := c.existingJournal()
	if err != nil || j == nil {
		return nil, err
	}
	defer j.close()
	if !j.rolledBack || !j.keep || j.discarded {
		return nil, nil
	}
	return []string{"database " + j.begun.New}, nil
}
