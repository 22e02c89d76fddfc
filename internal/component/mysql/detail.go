package mysql

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"lifeboat/internal/component"
)

// Detail is what a recovery point's manifest records of a captured database.
type Detail struct {
	Database  string `json:"database"`
	Charset   string `json:"charset"`
	Collation string `json:"collation"`
	Server    string `json:"server"` // version as the server tells it
	Series    string `json:"series"` // "mariadb 10.11": checksums compare within one
	Product   string `json:"product,omitempty"`
	Schema    string `json:"schema,omitempty"`    // version, read by the product
	Upgrading bool   `json:"upgrading,omitempty"` // a schema upgrade was under way
	// Consistent is how the one moment was kept: "snapshot" or "locked".
	Consistent string   `json:"consistent"`
	Encoding   string   `json:"encoding"` // character set of the dump
	Longest    int      `json:"longest"`  // bytes of the longest statement
	Tables     []Table  `json:"tables"`
	Routines   []string `json:"routines,omitempty"`
	Views      []string `json:"views,omitempty"`
	Triggers   []string `json:"triggers,omitempty"`
	Events     []string `json:"events,omitempty"`
	Accounts   []string `json:"accounts,omitempty"`
	Definers   []string `json:"definers,omitempty"` // accounts that objects run as
}

// Table is one base table as it was at the moment of capture.
type Table struct {
	Name      string `json:"name"`
	Engine    string `json:"engine"`
	Collation string `json:"collation,omitempty"`
	Rows      int64  `json:"rows"`
	Checksum  string `json:"checksum,omitempty"` // of CHECKSUM TABLE … EXTENDED
	Sequence  bool   `json:"sequence,omitempty"`
	inexact   bool   // a dump does not bring it back bit by bit
}

var charsetName = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

// detailOf reads what a manifest says and checks what ends up in statements.
func detailOf(record component.Record, database string) (*Detail, error) {
	var d Detail
	if err := json.Unmarshal(record.Detail, &d); err != nil {
		return nil, fmt.Errorf("record of database %s in the manifest: %w", database, err)
	}
	switch {
	case len(d.Tables) == 0:
		return nil, fmt.Errorf("record of database %s in the manifest names no tables", database)
	case !charsetName.MatchString(d.Charset) || !charsetName.MatchString(d.Collation):
		return nil, fmt.Errorf("record of database %s in the manifest: character set %q %q is no name", database, d.Charset, d.Collation)
	case d.Database != database:
		return nil, fmt.Errorf("the record in the manifest is of database %s; it cannot be restored as %s, because routines and rights name their database", d.Database, database)
	}
	for _, t := range d.Tables {
		if t.Name == "" || len(t.Name) > 256 || strings.ContainsRune(t.Name, 0) {
			return nil, fmt.Errorf("record of database %s in the manifest: %q is no table name", database, t.Name)
		}
	}
	return &d, nil
}

// schemaOf is what a manifest says of the schema.
func schemaOf(record component.Record) (product, version string) {
	var d Detail
	if json.Unmarshal(record.Detail, &d) != nil {
		return "", ""
	}
	return d.Product, d.Schema
}

// tableNames lists the tables of the record.
func (d *Detail) tableNames() []string {
	all := make([]string, 0, len(d.Tables))
	for _, t := range d.Tables {
		all = append(all, t.Name)
	}
	return all
}

// rows sums the rows of all tables.
func (d *Detail) rows() (n int64) {
	for _, t := range d.Tables {
		n += t.Rows
	}
	return n
}
