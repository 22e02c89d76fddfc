package smt

import (
	"database/sql"
	"fmt"
	"strings"

	"lifeboat/internal/lab/machine"
)

// sync is a double for smt-ncc-sync and smt-scc-sync: it logs in upstream with
// the credentials file and rebuilds products, catalogs and subscriptions. What
// an administrator chose (DOMIRROR, custom catalogs) stays.
func sync(m *machine.Machine, c *machine.Call) int {
	if strings.Contains(c.Name, "ncc") && !legacy(m) {
		return c.Fail(1, "%s: the Novell Customer Center is gone; use smt-scc-sync", c.Name)
	}
	if err := dropPrivileges(m); err != nil {
		return c.Fail(1, "%s: %v", c.Name, err)
	}
	username, password, err := m.ReadCredentials()
	if err == nil {
		err = m.CheckUpstream(username, password)
	}
	if err != nil {
		return c.Fail(1, "%s: %v", c.Name, err)
	}
	conf, err := readSettings()
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	if conf["NU"]["NUUser"] == "" || conf["NU"]["NUPass"] == "" {
		return c.Fail(1, "%s: no mirror credentials (NUUser, NUPass) in %s", c.Name, Config)
	}
	db, _, err := connect()
	if err != nil {
		return c.Fail(1, "Cannot connect to database: %v", err)
	}
	defer db.Close()
	products, catalogs := upstream(m)
	if err := writeUpstream(db, products, catalogs, false); err != nil {
		return c.Fail(1, "%s: %v", c.Name, err)
	}
	c.Printf("%s: %d products, %d repositories, subscriptions updated.\n", c.Name, len(products), len(catalogs)-1)
	return 0
}

// writeUpstream writes what the customer center knows. At first also the
// administrator's choices, as a server that has been in use holds them.
func writeUpstream(db *sql.DB, products []product, catalogs []catalog, first bool) error {
	withID := hasColumn(db, "Products", "ID")
	source := "N"
	if withID {
		source = "S"
	}
	for i, p := range products {
		cols, args := "PRODUCTDATAID, PRODUCT, VERSION, REL, ARCH, PRODUCTLOWER, VERSIONLOWER, RELLOWER, ARCHLOWER, FRIENDLY, PRODUCT_LIST, PRODUCT_CLASS, SRC", []any{
			p.id, p.name, p.version, p.rel, p.arch, strings.ToLower(p.name), strings.ToLower(p.version), p.rel, p.arch,
			fmt.Sprintf("%s %s %s", p.name, p.version, p.arch), "Y", p.class, source,
		}
		if withID {
			cols, args = "ID, "+cols, append([]any{i + 100}, args...)
		}
		if err := upsert(db, "Products", cols, args, "FRIENDLY, PRODUCT_CLASS"); err != nil {
			return err
		}
	}
	numbered := hasColumn(db, "Catalogs", "ID")
	for _, k := range catalogs {
		if k.source == "C" && !first {
			continue
		}
		id := catalogID(k.name, k.target)
		if withID {
			id = fmt.Sprint(1100 + k.id)
		}
		cols, args := "CATALOGID, NAME, DESCRIPTION, TARGET, LOCALPATH, EXTHOST, EXTURL, CATALOGTYPE, MIRRORABLE, SRC", []any{
			id, k.name, k.description, nullable(k.target), k.path, "https://nu.novell.com", k.url, k.kind, yesNo(k.mirrorable), k.source,
		}
		if numbered {
			cols, args = "ID, "+cols, append([]any{k.id}, args...)
		}
		if first {
			cols, args = cols+", DOMIRROR", append(args, yesNo(k.mirrored))
		}
		if err := upsert(db, "Catalogs", cols, args, "DESCRIPTION, LOCALPATH, EXTURL, MIRRORABLE"); err != nil {
			return err
		}
		for _, i := range k.products {
			cols, args := "PRODUCTDATAID, CATALOGID, OPTIONAL, SRC", []any{products[i].id, id, "N", k.source}
			if withID {
				cols, args = "PRODUCTID, CATALOGID, OPTIONAL, SRC", []any{i + 100, k.id, "N", k.source}
			}
			if err := upsert(db, "ProductCatalogs", cols, args, "OPTIONAL"); err != nil {
				return err
			}
		}
		if k.target != "" {
			if err := upsert(db, "Targets", "OS, TARGET, SRC", []any{"SUSE Linux Enterprise (" + k.target + ")", k.target, source}, "TARGET"); err != nil {
				return err
			}
		}
	}
	return writeSubscriptions(db, products)
}

// writeSubscriptions rebuilds them: they are upstream's data.
func writeSubscriptions(db *sql.DB, products []product) error {
	if _, err := db.Exec("DELETE FROM Subscriptions"); err != nil {
		return err
	}
	for i, p := range products {
		err := upsert(db, "Subscriptions", "SUBID, REGCODE, SUBNAME, SUBTYPE, SUBSTATUS, SUBSTARTDATE, SUBENDDATE, SUBDURATION, SERVERCLASS, PRODUCT_CLASS, NODECOUNT, CONSUMED",
			[]any{subscriptionID(i), fmt.Sprintf("%d@SLES-REG-%04d", 631+i, i), p.name + " subscription", "FULL", "ACTIVE", "2009-11-01 00:00:00", "2029-11-01 00:00:00", 7305, "OS", p.class, 100, 40}, "CONSUMED")
		if err != nil {
			return err
		}
	}
	return nil
}

func subscriptionID(i int) string { return fmt.Sprintf("%032x", 0x5b0c+i*7919) }

// upsert inserts a row or updates the columns named.
func upsert(db *sql.DB, table, cols string, args []any, update string) error {
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ")
	var sets []string
	for _, col := range strings.Split(update, ", ") {
		sets = append(sets, col+" = VALUES("+col+")")
	}
	_, err := db.Exec("INSERT INTO "+table+" ("+cols+") VALUES ("+marks+") ON DUPLICATE KEY UPDATE "+strings.Join(sets, ", "), args...)
	if err != nil {
		return fmt.Errorf("write %s: %w", table, err)
	}
	return nil
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}
