package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/product"
)

// Check compares the database with what was captured. References between rows
// and versions of the server are warnings.
func (c *Component) Check(ctx context.Context, rec component.Record) ([]component.Check, error) {
	d, err := detailOf(rec, c.opts.Database)
	if err != nil {
		return nil, err
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer s.close()
	if present, err := s.exists(ctx, d.Database); err != nil {
		return nil, err
	} else if !present {
		return []component.Check{{Name: "database " + d.Database, Expected: "present", Found: "absent"}}, nil
	}
	conn, err := s.session(ctx, d.Database)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	checks, err := c.compare(ctx, conn, s, d, d.Database)
	if err != nil {
		return nil, err
	}
	disturbed, err := c.disturbed(checks)
	if err != nil {
		return nil, err
	}
	objects, err := c.compareObjects(ctx, conn, d)
	return append(append(checks, disturbed...), objects...), err
}

// compare looks at tables, rows, checksums, schema version and references of
// database, which conn has as its default, and d describes.
func (c *Component) compare(ctx context.Context, conn querier, s *server, d *Detail, database string) ([]component.Check, error) {
	tables, err := listTables(ctx, conn, database)
	if err != nil {
		return nil, err
	}
	checks := []component.Check{tableList(d, tables)}
	sums := s.version.series() == d.Series
	var rows int64
	for _, want := range d.Tables {
		at := slices.IndexFunc(tables, func(t Table) bool { return t.Name == want.Name })
		if at < 0 {
			continue
		}
		found := tables[at]
		if err := countTable(ctx, conn, database, &found, sums && want.Checksum != "" && want.Engine == found.Engine); err != nil {
			return nil, err
		}
		rows += found.Rows
		if found.Rows != want.Rows {
			checks = append(checks, component.Check{Name: "rows of table " + want.Name, Expected: strconv.FormatInt(want.Rows, 10), Found: strconv.FormatInt(found.Rows, 10)})
		} else if found.Checksum != "" && found.Checksum != want.Checksum {
			checks = append(checks, component.Check{Name: "content of table " + want.Name, Expected: "checksum " + want.Checksum, Found: "checksum " + found.Checksum})
		}
	}
	checks = append(checks, component.Check{Name: "rows of all tables", OK: rows == d.rows(), Expected: strconv.FormatInt(d.rows(), 10), Found: strconv.FormatInt(rows, 10)})
	if !sums {
		checks = append(checks, component.Check{
			Name: "server version", Warning: true, Expected: d.Series, Found: s.version.series(),
			Hint: "contents were not compared by checksum, because these differ between servers",
		})
	}
	byProduct, err := c.compareProduct(ctx, conn, d)
	return append(checks, byProduct...), err
}

func tableList(d *Detail, tables []Table) component.Check {
	var found []string
	for _, t := range tables {
		found = append(found, t.Name)
	}
	k := component.Check{Name: "tables", Expected: fmt.Sprintf("%d tables", len(d.Tables)), Found: fmt.Sprintf("%d tables", len(found))}
	lost, extra := missing(d.tableNames(), found), missing(found, d.tableNames())
	k.OK = len(lost) == 0
	if len(lost) > 0 {
		k.Found += ", without " + strings.Join(lost, ", ")
	}
	if len(extra) > 0 {
		k.Found += ", and besides " + strings.Join(extra, ", ")
	}
	return k
}

// lacking warns of tables that the product's schema has and the database not.
func (c *Component) lacking(d *Detail) []string {
	if c.product.Schema.Tables == nil {
		return nil
	}
	var warnings []string
	of := "schema " + d.Schema
	if d.Schema == "" {
		of = "every schema"
	}
	for _, t := range missing(c.product.Schema.Tables(d.Schema), d.tableNames()) {
		warnings = append(warnings, fmt.Sprintf("table %s, which belongs to %s, is missing", t, of))
	}
	return warnings
}

func (c *Component) compareProduct(ctx context.Context, conn querier, d *Detail) ([]component.Check, error) {
	var checks []component.Check
	if c.product.Schema.Version != nil && d.Schema != "" {
		version, upgrading, err := schemaVersion(ctx, c.product, conn)
		k := component.Check{Name: "schema version", OK: err == nil && version == d.Schema, Expected: d.Schema, Found: version}
		if err != nil {
			k.Found = err.Error()
		}
		if upgrading {
			k.Found, k.OK = product.ErrUpgrading.Error(), d.Upgrading
		}
		checks = append(checks, k)
	}
	if d.Schema != "" && c.product.Schema.Tables != nil {
		lost := missing(c.product.Schema.Tables(d.Schema), d.tableNames())
		checks = append(checks, component.Check{
			Name: "tables of schema " + d.Schema, OK: len(lost) == 0, Warning: true, Lacking: true,
			Expected: "all", Found: strings.TrimSuffix("without "+strings.Join(lost, ", "), "without "),
		})
	}
	refs, err := c.references(ctx, conn, d)
	return append(checks, refs...), err
}

// references counts, for every reference that the product knows of, the rows that
// have no counterpart.
func (c *Component) references(ctx context.Context, conn querier, d *Detail) ([]component.Check, error) {
	var checks []component.Check
	for _, ref := range c.product.Schema.References {
		if ref.Schema != nil && !ref.Schema(d.Schema) {
			continue
		}
		if !slices.Contains(d.tableNames(), ref.Table) || !slices.Contains(d.tableNames(), ref.To) {
			continue
		}
		k := component.Check{Name: "references " + ref.String(), Warning: true, Expected: "0 without a counterpart"}
		n, err := orphans(ctx, conn, ref)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			k.Found = err.Error()
		default:
			k.OK, k.Found = n == "0", n+orphaned
		}
		checks = append(checks, k)
	}
	return checks, nil
}

// orphaned ends what a check of references found.
const orphaned = " without a counterpart"

// orphans counts the rows that refer to nothing.
func orphans(ctx context.Context, q querier, ref product.Reference) (string, error) {
	if len(ref.Columns) != len(ref.ToColumns) || len(ref.Columns) == 0 {
		return "", errors.New("the reference names different numbers of columns")
	}
	on, where := make([]string, len(ref.Columns)), []string{"p." + ident(ref.ToColumns[0]) + " IS NULL"}
	for i, c := range ref.Columns {
		on[i] = "p." + ident(ref.ToColumns[i]) + " = c." + ident(c)
		where = append(where, "c."+ident(c)+" IS NOT NULL")
	}
	if ref.Where != "" {
		where = append(where, "("+ref.Where+")")
	}
	rows, err := query(ctx, q, "SELECT COUNT(*) FROM "+ident(ref.Table)+" c LEFT JOIN "+ident(ref.To)+" p ON "+strings.Join(on, " AND ")+" WHERE "+strings.Join(where, " AND "))
	if err != nil {
		return "", err
	}
	return rows[0][0], nil
}

// compareObjects looks whether what hung on the tables is there.
func (c *Component) compareObjects(ctx context.Context, conn querier, d *Detail) ([]component.Check, error) {
	var checks []component.Check
	for _, sort := range []struct {
		name, query string
		want        []string
	}{
		{"views", "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?", d.Views},
		{"triggers", "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?", d.Triggers},
		{"routines", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?", d.Routines},
		{"events", "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?", d.Events},
	} {
		if len(sort.want) == 0 {
			continue
		}
		found, err := column(ctx, conn, sort.query, d.Database)
		if err != nil {
			return nil, err
		}
		lost := missing(sort.want, found)
		k := component.Check{Name: sort.name, OK: len(lost) == 0, Expected: strings.Join(sort.want, ", "), Found: strings.Join(found, ", ")}
		checks = append(checks, k)
	}
	return checks, nil
}
