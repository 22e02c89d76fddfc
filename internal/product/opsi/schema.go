package opsi

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/product"
)

// schemaVersion reads the version that opsi's own updates keep in the database. A
// row without an end is an update that runs, or that was interrupted. Databases of
// old servers have no table OPSI_SCHEMA, and no version then.
func schemaVersion(ctx context.Context, query product.Query) (string, error) {
	there, err := query(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'OPSI_SCHEMA'")
	if err != nil {
		return "", fmt.Errorf("schema version of opsi: %w", err)
	}
	if len(there) == 1 && len(there[0]) == 1 && there[0][0] == "0" {
		return "", nil
	}
	rows, err := query(ctx, "SELECT version, updateEnded FROM OPSI_SCHEMA")
	if err != nil {
		return "", fmt.Errorf("schema version of opsi: %w", err)
	}
	newest := -1
	for _, row := range rows {
		if len(row) != 2 {
			continue
		}
		n, err := strconv.Atoi(row[0])
		if err != nil || n < 0 {
			return "", fmt.Errorf("schema version of opsi: %q is no version", row[0])
		}
		if row[1] == "NULL" || row[1] == "" || strings.HasPrefix(row[1], "0000-00-00") {
			return "", product.ErrUpgrading
		}
		newest = max(newest, n)
	}
	if newest < 0 {
		return "", fmt.Errorf("schema version of opsi: OPSI_SCHEMA is empty")
	}
	return strconv.Itoa(newest), nil
}

// always are the tables that every schema has. The tables of the hardware audit
// come from /etc/opsi/hwaudit and differ from site to site.
var always = []string{
	"AUDIT_SOFTWARE_TO_LICENSE_POOL", "CONFIG", "CONFIG_STATE", "CONFIG_VALUE", "GROUP", "HOST",
	"LICENSE_CONTRACT", "LICENSE_ON_CLIENT", "LICENSE_POOL", "OBJECT_TO_GROUP",
	"PRODUCT", "PRODUCT_DEPENDENCY", "PRODUCT_ID_TO_LICENSE_POOL", "PRODUCT_ON_CLIENT", "PRODUCT_ON_DEPOT",
	"PRODUCT_PROPERTY", "PRODUCT_PROPERTY_STATE", "PRODUCT_PROPERTY_VALUE",
	"SOFTWARE", "SOFTWARE_CONFIG", "SOFTWARE_LICENSE", "SOFTWARE_LICENSE_TO_LICENSE_POOL", "WINDOWS_SOFTWARE_ID_TO_PRODUCT",
}

// tables lists what a database of that version has at least; one of an old server
// has no version.
func tables(text string) []string {
	if text == "" {
		return slices.Clone(always)
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		return nil
	}
	all := append(slices.Clone(always), "OPSI_SCHEMA")
	if v >= 10 { // opsi 4.3.0.25
		all = append(all, "USER")
	}
	slices.Sort(all)
	return all
}

// references lists what opsi's rows refer to, by foreign keys and without. A
// server that keeps its hosts in files has none in the database, and the rows of
// its licences and inventory refer to files then.
func references() []product.Reference {
	const hosts = "EXISTS (SELECT 1 FROM HOST)"
	toHost := func(table, column, where string) product.Reference {
		condition := hosts + " AND c.`" + column + "` <> ''"
		if where != "" {
			condition += " AND " + where
		}
		return product.Reference{Table: table, Columns: []string{column}, To: "HOST", ToColumns: []string{"hostId"}, Where: condition}
	}
	one := func(table, column, to, where string) product.Reference {
		return product.Reference{Table: table, Columns: []string{column}, To: to, ToColumns: []string{column}, Where: where}
	}
	return []product.Reference{
		toHost("PRODUCT_ON_CLIENT", "clientId", ""),
		toHost("PRODUCT_ON_DEPOT", "depotId", ""),
		toHost("SOFTWARE_CONFIG", "clientId", ""),
		toHost("LICENSE_ON_CLIENT", "clientId", ""),
		toHost("SOFTWARE_LICENSE", "boundToHost", ""),
		toHost("CONFIG_STATE", "objectId", ""),
		toHost("PRODUCT_PROPERTY_STATE", "objectId", ""),
		toHost("OBJECT_TO_GROUP", "objectId", "c.groupType = 'HostGroup'"),
		toHost("HOST", "masterDepotId", ""),
		{Table: "OBJECT_TO_GROUP", Columns: []string{"groupType", "groupId"}, To: "GROUP", ToColumns: []string{"type", "groupId"}},
		one("CONFIG_STATE", "configId", "CONFIG", "EXISTS (SELECT 1 FROM CONFIG)"),
		one("CONFIG_VALUE", "configId", "CONFIG", ""),
		one("SOFTWARE_LICENSE", "licenseContractId", "LICENSE_CONTRACT", ""),
		one("LICENSE_ON_CLIENT", "licensePoolId", "LICENSE_POOL", ""),
		one("LICENSE_ON_CLIENT", "softwareLicenseId", "SOFTWARE_LICENSE", ""),
		one("SOFTWARE_LICENSE_TO_LICENSE_POOL", "softwareLicenseId", "SOFTWARE_LICENSE", ""),
		one("SOFTWARE_LICENSE_TO_LICENSE_POOL", "licensePoolId", "LICENSE_POOL", ""),
		one("AUDIT_SOFTWARE_TO_LICENSE_POOL", "licensePoolId", "LICENSE_POOL", ""),
	}
}

// facts are what the profile's facts of the same names would have been on the
// machine that had a database of that schema.
func facts(schema string) map[string]string {
	if _, err := strconv.Atoi(schema); err != nil {
		return nil
	}
	return map[string]string{"schema": schema}
}
