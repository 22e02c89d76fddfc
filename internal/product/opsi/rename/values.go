package rename

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// like matches what may hold one of the old names, or letters written as escapes;
// Rewrite decides.
func (b *databasePlanner) like(column string) string {
	text := "CONVERT(" + name(column) + " USING utf8mb4)"
	return fmt.Sprintf("(%[1]s LIKE %[2]s OR LOCATE(%[3]s, %[1]s) > 0)", text, literal("%"+short(b.names.Old)+"%"), literal(`\u00`))
}

// values plans to rewrite the values of one column, row by row.
func (b *databasePlanner) values(ctx context.Context, r reference) error {
	keys := b.schema.keys[r.table]
	if !b.schema.has(r.table, r.column) || len(keys) == 0 {
		return nil
	}
	var columns []string
	for _, k := range keys {
		columns = append(columns, name(k))
	}
	columns = append(columns, name(r.column))
	rows, err := b.db.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s%s ORDER BY %s",
		strings.Join(columns, ", "), name(r.table), b.like(r.column), b.staying(r.table), strings.Join(columns[:len(keys)], ", ")))
	if err != nil {
		return fmt.Errorf("read %s.%s: %w", r.table, r.column, err)
	}
	for _, row := range rows {
		old := row[len(keys)]
		value := b.names.Rewrite(old)
		b.hand.look(fmt.Sprintf("%s.%s of %s", r.table, r.column, strings.Join(row[:len(keys)], " ")), value)
		if value == old {
			continue
		}
		var where, place []string
		for i, k := range keys {
			key := row[i]
			place = append(place, key)
			// By then the ids of hosts are renamed.
			if b.renamed(r.table, k) && key == b.names.Old {
				key = b.names.New
			}
			where = append(where, name(k)+" = "+literal(key))
		}
		condition := strings.Join(where, " AND ")
		double, err := b.double(ctx, r, keys, row, value)
		if err != nil {
			return err
		}
		if double != "" {
			b.add("%s", double)
			b.add("DELETE FROM %s WHERE %s", name(r.table), condition)
		} else {
			b.add("UPDATE %s SET %s = %s%s WHERE %s", name(r.table), name(r.column), literal(value), b.schema.still(r.table), condition)
		}
		b.Changes = append(b.Changes, Change{fmt.Sprintf("%s.%s of %s", r.table, r.column, strings.Join(place, " ")), old, value})
	}
	return nil
}

// staying leaves out the rows of a host that is removed: once the server has its
// id they could not be told from the server's own.
func (b *databasePlanner) staying(table string) string {
	if !b.there {
		return ""
	}
	var text strings.Builder
	for _, r := range append(b.schema.references(), reference{table: "HOST", column: "hostId"}) {
		if r.table == table && r.keep == drop {
			fmt.Fprintf(&text, " AND NOT (%s <=> %s)", name(r.column), literal(b.names.New))
		}
	}
	return text.String()
}

func (b *databasePlanner) renamed(table, column string) bool {
	return table == "HOST" && column == "hostId" ||
		slices.ContainsFunc(b.schema.references(), func(r reference) bool { return r.table == table && r.column == column })
}

// double finds, in the tables of possible values, a row that has the new value
// already, and returns the statement that makes it a default where ours is one.
func (b *databasePlanner) double(ctx context.Context, r reference, keys, row []string, value string) (string, error) {
	if r.column != "value" || !b.schema.has(r.table, "isDefault") {
		return "", nil
	}
	var same []string
	for _, c := range b.schema.columns[r.table] {
		if c != r.column && c != "isDefault" && !slices.Contains(keys, c) {
			same = append(same, fmt.Sprintf("o.%[1]s <=> n.%[1]s", name(c)))
		}
	}
	var own, other []string
	for i, k := range keys {
		own = append(own, fmt.Sprintf("o.%s = %s", name(k), literal(row[i])))
		other = append(other, "n."+name(k))
	}
	rows, err := b.db.Query(ctx, fmt.Sprintf("SELECT o.isDefault, %s FROM %[2]s o JOIN %[2]s n ON %s WHERE %s AND n.%s = %s LIMIT 1",
		strings.Join(other, ", "), name(r.table), strings.Join(append(same, "TRUE"), " AND "), strings.Join(own, " AND "), name(r.column), literal(value)))
	if err != nil || len(rows) == 0 {
		return "", err
	}
	var where []string
	for i, k := range keys {
		where = append(where, name(k)+" = "+literal(rows[0][i+1]))
	}
	return fmt.Sprintf("UPDATE %s SET isDefault = GREATEST(COALESCE(isDefault, 0), %s) WHERE %s",
		name(r.table), literal(strings.Replace(rows[0][0], "NULL", "0", 1)), strings.Join(where, " AND ")), nil
}

// told are columns in which people write; they are read out and left.
var told = []reference{
	{table: "HOST", column: "description"},
	{table: "HOST", column: "notes"},
	{table: "CONFIG", column: "description"},
	{table: "GROUP", column: "description"},
	{table: "GROUP", column: "notes"},
}

// mentions lists what people wrote about the old name.
func (b *databasePlanner) mentions(ctx context.Context) error {
	for _, r := range told {
		if !b.schema.has(r.table, r.column) {
			continue
		}
		rows, err := b.db.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s", name(r.column), name(r.table), b.like(r.column)))
		if err != nil {
			return fmt.Errorf("read %s.%s: %w", r.table, r.column, err)
		}
		for _, row := range rows {
			if b.names.Mentions(row[0]) {
				b.Left = append(b.Left, fmt.Sprintf("%s.%s: %s", r.table, r.column, row[0]))
			} else {
				b.hand.look(r.table+"."+r.column, row[0])
			}
		}
	}
	return nil
}
