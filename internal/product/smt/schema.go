package smt

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/product"
)

// version is a schema version in hundredths: 309 is 3.09. SMT keeps it as a
// floating point number, so 0.10 comes back from the database as 0.1.
type version int

func parseVersion(text string) (version, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || f < 0 || f >= 100 {
		return 0, fmt.Errorf("%q is no schema version", text)
	}
	return version(f*100 + 0.5), nil
}

func (v version) String() string { return fmt.Sprintf("%d.%02d", int(v)/100, int(v)%100) }

// upgrading is how SMT renames its row of migration_schema_version while it
// upgrades the schema; a time stamp follows.
const upgrading = "smt-schema-from-"

// schemaVersion reads the version that SMT's own migration keeps in the database.
func schemaVersion(ctx context.Context, query product.Query) (string, error) {
	rows, err := query(ctx, "SELECT name, version FROM migration_schema_version")
	if err != nil {
		return "", fmt.Errorf("schema version of SMT: %w", err)
	}
	under := false
	for _, row := range rows {
		switch {
		case len(row) != 2:
		case row[0] == "smt":
			v, err := parseVersion(row[1])
			if err != nil {
				return "", fmt.Errorf("schema version of SMT: %w", err)
			}
			return v.String(), nil
		case strings.HasPrefix(row[0], upgrading):
			under = true
		}
	}
	if under {
		return "", product.ErrUpgrading
	}
	return "", fmt.Errorf("schema version of SMT: migration_schema_version has no row named smt")
}

// history says at which schema version tables came; gone is when they went, 0
// for never.
var history = []struct {
	table      string
	came, gone version
}{
	{"Catalogs", 0, 0},
	{"ClientSubscriptions", 0, 0},
	{"Clients", 0, 0},
	{"MachineData", 0, 0},
	{"ProductCatalogs", 0, 0},
	{"Products", 0, 0},
	{"Registration", 0, 0},
	{"Subscriptions", 0, 0},
	{"Targets", 0, 0},
	{"migration_schema_log", 0, 300},
	{"migration_schema_version", 0, 0},
	{"Filters", 10, 0},
	{"JobQueue", 10, 0},
	{"RepositoryContentData", 10, 0},
	{"Patchstatus", 11, 0},
	{"Patches", 15, 0},
	{"PatchRefs", 15, 0},
	{"Packages", 15, 0},
	{"JobResults", 16, 0},
	{"StagingGroups", 100, 0},
	{"ProductExtensions", 200, 0},
	{"ProductMigrations", 205, 0},
}

// tables lists what a database of that version has at least. A database that
// was upgraded keeps tables that a fresh one does not have.
func tables(text string) []string {
	v, err := parseVersion(text)
	if err != nil || v < 9 {
		return nil
	}
	var all []string
	for _, h := range history {
		if v >= h.came && (h.gone == 0 || v < h.gone) {
			all = append(all, h.table)
		}
	}
	slices.Sort(all)
	return all
}

// references lists what SMT's rows refer to. Its schema has no foreign keys.
func references() []product.Reference {
	old := func(text string) bool { v, err := parseVersion(text); return err == nil && v < 200 }
	since := func(from version) func(string) bool {
		return func(text string) bool { v, err := parseVersion(text); return err == nil && v >= from }
	}
	one := func(table, column, to, toColumn string, when func(string) bool) product.Reference {
		return product.Reference{Table: table, Columns: []string{column}, To: to, ToColumns: []string{toColumn}, Schema: when}
	}
	return []product.Reference{
		one("Registration", "GUID", "Clients", "GUID", nil),
		one("MachineData", "GUID", "Clients", "GUID", nil),
		one("ClientSubscriptions", "GUID", "Clients", "GUID", nil),
		one("ClientSubscriptions", "SUBID", "Subscriptions", "SUBID", nil),
		one("Registration", "PRODUCTID", "Products", "PRODUCTDATAID", old),
		one("Registration", "PRODUCTID", "Products", "ID", since(200)),
		one("ProductCatalogs", "PRODUCTDATAID", "Products", "PRODUCTDATAID", old),
		one("ProductCatalogs", "PRODUCTID", "Products", "ID", since(200)),
		one("ProductCatalogs", "CATALOGID", "Catalogs", "CATALOGID", old),
		one("ProductCatalogs", "CATALOGID", "Catalogs", "ID", since(200)),
		one("JobQueue", "GUID_ID", "Clients", "ID", nil),
		one("Patchstatus", "CLIENT_ID", "Clients", "ID", nil),
		one("JobResults", "CLIENT_ID", "Clients", "ID", nil),
		{Table: "JobQueue", Columns: []string{"PARENT_ID", "GUID_ID"}, To: "JobQueue", ToColumns: []string{"ID", "GUID_ID"}},
		one("Filters", "CATALOG_ID", "Catalogs", "ID", nil),
		one("Filters", "STAGINGGROUP_ID", "StagingGroups", "ID", since(100)),
		one("Patches", "CATALOGID", "Catalogs", "ID", nil),
		one("Packages", "CATALOGID", "Catalogs", "ID", nil),
		one("PatchRefs", "PATCHID", "Patches", "ID", nil),
	}
}
