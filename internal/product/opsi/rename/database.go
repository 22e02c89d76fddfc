package rename

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Database is the opsi database, as administrator.
type Database interface {
	// Query runs one reading statement; NULL is "NULL".
	Query(ctx context.Context, statement string) ([][]string, error)
	// Transact runs changing statements in one transaction: all or none.
	Transact(ctx context.Context, statements []string) error
}

// reference is a column that holds the id of a host. opsi's own tables, read in
// the schema of opsiconfd 4.3 and of python-opsi 4.2; which of them a database
// has is looked up.
type reference struct {
	table, column string
	keep          keep
}

// keep says what becomes of rows that name a host which is removed.
type keep int

const (
	drop    keep = iota // they describe that host and go with it
	unbind              // the row is worth something without the host
	inherit             // the row now means the server that takes over the id
)

var references = []reference{
	{"HOST", "masterDepotId", inherit},
	{"PRODUCT_ON_CLIENT", "clientId", drop},
	{"PRODUCT_ON_DEPOT", "depotId", drop},
	{"CONFIG_STATE", "objectId", drop},
	{"PRODUCT_PROPERTY_STATE", "objectId", drop},
	{"OBJECT_TO_GROUP", "objectId", drop},
	{"SOFTWARE_CONFIG", "clientId", drop},
	{"LICENSE_ON_CLIENT", "clientId", drop},
	{"SOFTWARE_LICENSE", "boundToHost", unbind},
}

// hardware is the beginning of the tables that opsi makes for each class of
// devices; the rows of a host's devices have its id in hostId.
const hardware = "HARDWARE_CONFIG_"

// values are columns of text or of JSON in which names of servers occur.
var values = []reference{
	{table: "CONFIG_STATE", column: "values"},
	{table: "CONFIG_VALUE", column: "value"},
	{table: "PRODUCT_PROPERTY_STATE", column: "values"},
	{table: "PRODUCT_PROPERTY_VALUE", column: "value"},
	{table: "HOST", column: "depotRemoteUrl"},
	{table: "HOST", column: "depotWebdavUrl"},
	{table: "HOST", column: "repositoryRemoteUrl"},
	{table: "HOST", column: "workbenchRemoteUrl"},
}

// schema is what the database's own catalogue says of its tables.
type schema struct {
	columns map[string][]string // table → columns in order
	keys    map[string][]string // table → columns of the primary key
	stamps  map[string][]string // table → columns that a change would set to now
	foreign []reference         // columns with a foreign key to HOST
}

func readSchema(ctx context.Context, db Database) (*schema, error) {
	s := &schema{columns: map[string][]string{}, keys: map[string][]string{}, stamps: map[string][]string{}}
	rows, err := db.Query(ctx, `SELECT c.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_KEY, c.EXTRA
		FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
		WHERE c.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION`)
	if err != nil {
		return nil, fmt.Errorf("read the tables of opsi's database: %w", err)
	}
	for _, r := range rows {
		table, column := r[0], r[1]
		s.columns[table] = append(s.columns[table], column)
		if r[2] == "PRI" {
			s.keys[table] = append(s.keys[table], column)
		}
		if strings.Contains(strings.ToLower(r[3]), "on update") {
			s.stamps[table] = append(s.stamps[table], column)
		}
	}
	if !s.has("HOST", "hostId") {
		return nil, fmt.Errorf("the database has no table HOST with a column hostId: it is not opsi's")
	}
	rows, err = db.Query(ctx, `SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE
		WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = 'HOST' AND REFERENCED_COLUMN_NAME = 'hostId'`)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys of opsi's database: %w", err)
	}
	for _, r := range rows {
		s.foreign = append(s.foreign, reference{r[0], r[1], drop})
	}
	return s, nil
}

func (s *schema) has(table, column string) bool { return slices.Contains(s.columns[table], column) }

// references are the columns of this database that hold ids of hosts.
func (s *schema) references() []reference {
	var all []reference
	add := func(r reference) {
		same := func(o reference) bool { return o.table == r.table && o.column == r.column }
		if s.has(r.table, r.column) && !slices.ContainsFunc(all, same) {
			all = append(all, r)
		}
	}
	for _, r := range references {
		add(r)
	}
	for _, table := range sortedKeys(s.columns) {
		if strings.HasPrefix(table, hardware) {
			add(reference{table, "hostId", drop})
		}
	}
	for _, r := range s.foreign {
		add(r)
	}
	return all
}

// still keeps the columns that would be set to the time of the change.
func (s *schema) still(table string) string {
	var b strings.Builder
	for _, column := range s.stamps[table] {
		fmt.Fprintf(&b, ", %[1]s = %[1]s", name(column))
	}
	return b.String()
}

// name quotes the name of a table or of a column.
func name(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// literal writes a text so that no mode and no character set of the connection
// changes it.
func literal(s string) string {
	if s == "" {
		return "''"
	}
	return "_utf8mb4 X'" + hex.EncodeToString([]byte(s)) + "'"
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
