package mysql

import (
	"context"
	"fmt"

	"lifeboat/internal/component"
	"lifeboat/internal/product"
)

// Count counts what is in the database now.
func (c *Component) Count(ctx context.Context) (component.Census, error) {
	census := component.Census{Rows: map[string]int64{}}
	err := c.census(ctx, &census)
	if err != nil {
		err = fmt.Errorf("count the rows of database %s: %w", c.opts.Database, err)
	}
	return census, err
}

func (c *Component) census(ctx context.Context, census *component.Census) error {
	s, err := c.connect(ctx, c.opts.Database)
	if err != nil {
		return err
	}
	defer s.close()
	conn, err := s.session(ctx, c.opts.Database)
	if err != nil {
		return err
	}
	defer conn.Close()
	tables, err := listTables(ctx, conn, c.opts.Database)
	if err != nil {
		return err
	}
	var names []string
	for _, t := range tables {
		if err := countTable(ctx, conn, c.opts.Database, &t, false); err != nil {
			return err
		}
		census.Rows[t.Name] = t.Rows
		names = append(names, t.Name)
	}
	if c.product.Schema.Version == nil {
		return nil
	}
	version, upgrading, err := schemaVersion(ctx, c.product, conn)
	if err != nil {
		return err
	}
	if upgrading {
		return product.ErrUpgrading
	}
	census.Schema = version
	if c.product.Schema.Tables != nil {
		census.Lacking = missing(c.product.Schema.Tables(version), names)
	}
	return nil
}
