package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/product"
)

// Inspect looks at the live database.
func (c *Component) Inspect(ctx context.Context) (component.Inspection, error) {
	s, err := c.connect(ctx, "")
	if err != nil {
		return component.Inspection{}, err
	}
	defer s.close()
	in := component.Inspection{Detail: map[string]string{"server": s.version.text, "access": s.login.how}}
	if in.Present, err = s.exists(ctx, c.opts.Database); err != nil || !in.Present {
		return in, err
	}
	rows, err := s.query(ctx, `SELECT COUNT(*), COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0), COALESCE(SUM(ENGINE <> 'InnoDB'), 0)
		FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE <> 'VIEW'`, c.opts.Database)
	if err != nil {
		return in, err
	}
	in.Items, _ = strconv.ParseInt(rows[0][0], 10, 64)
	size, _ := strconv.ParseFloat(rows[0][1], 64)
	in.Bytes = int64(size)
	if rows[0][2] != "0" {
		in.Detail["lock"] = fmt.Sprintf("%s of %s tables cannot be read at one moment without one; writers wait while they are captured", rows[0][2], rows[0][0])
	}
	if c.product.Schema.Version != nil {
		version, upgrading, err := c.schemaVersion(ctx, s)
		if err != nil {
			in.Warnings = append(in.Warnings, err.Error())
		}
		if version != "" {
			in.Detail["schema"] = version
			if c.product.Facts != nil {
				in.Facts = c.product.Facts(version)
			}
		}
		if upgrading {
			in.Warnings = append(in.Warnings, product.ErrUpgrading.Error())
			in.Unsettled = "a schema upgrade is under way in database " + c.opts.Database
		}
	}
	return in, nil
}

// schemaVersion asks the product, on a connection of its own.
func (c *Component) schemaVersion(ctx context.Context, s *server) (version string, upgrading bool, err error) {
	conn, err := s.session(ctx, c.opts.Database)
	if err != nil {
		return "", false, err
	}
	defer conn.Close()
	return schemaVersion(ctx, c.product, conn)
}

// listTables reads the base tables and sequences of a database, without rows.
func listTables(ctx context.Context, q querier, database string) ([]Table, error) {
	rows, err := query(ctx, q, `SELECT TABLE_NAME, COALESCE(ENGINE, ''), COALESCE(TABLE_COLLATION, ''), TABLE_TYPE FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = ? AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME`, database)
	if err != nil {
		return nil, err
	}
	var tables []Table
	for _, r := range rows {
		tables = append(tables, Table{Name: r[0], Engine: r[1], Collation: r[2], Sequence: r[3] == "SEQUENCE", inexact: r[3] != "BASE TABLE"})
	}
	return tables, nil
}

// markInexact finds tables with floating point columns: dumps round those.
func markInexact(ctx context.Context, q querier, database string, tables []Table) error {
	found, err := column(ctx, q, `SELECT DISTINCT TABLE_NAME FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = ? AND DATA_TYPE IN ('float', 'double', 'real')`, database)
	if err != nil {
		return err
	}
	for i := range tables {
		tables[i].inexact = tables[i].inexact || slices.Contains(found, tables[i].Name)
	}
	return nil
}

// baseTables lists only the names.
func baseTables(ctx context.Context, q querier, database string) ([]string, error) {
	tables, err := listTables(ctx, q, database)
	var all []string
	for _, t := range tables {
		all = append(all, t.Name)
	}
	return all, err
}

// countTable fills in rows and, if wanted, the checksum.
func countTable(ctx context.Context, q querier, database string, t *Table, checksum bool) error {
	if t.Sequence {
		return nil
	}
	rows, err := query(ctx, q, "SELECT COUNT(*) FROM "+table(database, t.Name))
	if err != nil {
		return err
	}
	if t.Rows, err = strconv.ParseInt(rows[0][0], 10, 64); err != nil {
		return fmt.Errorf("count rows of %s: %w", t.Name, err)
	}
	if !checksum || t.inexact {
		return nil
	}
	if rows, err = query(ctx, q, "CHECKSUM TABLE "+table(database, t.Name)+" EXTENDED"); err != nil {
		return err
	}
	if len(rows) == 1 && len(rows[0]) == 2 && rows[0][1] != "NULL" {
		t.Checksum = rows[0][1]
	}
	return nil
}

// onlyTransactional tells whether one snapshot shows all tables at one moment.
func onlyTransactional(tables []Table) bool {
	for _, t := range tables {
		if !strings.EqualFold(t.Engine, "InnoDB") || t.Sequence {
			return false
		}
	}
	return true
}
