package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/component"
)

// Detail is what the kind keeps in the manifest. It holds no secret.
type Detail struct {
	Database string           `json:"database"`
	Role     string           `json:"role"`  // to whom all of it belongs
	Place    string           `json:"place"` // the server's socket, or host and port
	Server   string           `json:"server"`
	Version  int              `json:"version"` // as server_version_num
	Encoding string           `json:"encoding"`
	Collate  string           `json:"collate"`
	Ctype    string           `json:"ctype"`
	ICU      string           `json:"icu,omitempty"` // locale of ICU
	Tables   map[string]Table `json:"tables"`        // by the quoted full name
	Objects  map[string]int64 `json:"objects"`       // how many there are of each sort
	Roles    []string         `json:"roles,omitempty"`
	Grants   []Grant          `json:"grants,omitempty"` // on the database; none is PostgreSQL's default
	Bytes    int64            `json:"bytes"`            // of the dump
}

// Table is what is known of one table's content.
type Table struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"` // sum of 8 bytes of the SHA-256 of every row's text
}

// Grant is a right on the database itself.
type Grant struct {
	Role   string `json:"role"` // "" is everybody
	Right  string `json:"right"`
	Option bool   `json:"option,omitempty"`
}

func readDetail(record component.Record) (Detail, error) {
	var d Detail
	if err := json.Unmarshal(record.Detail, &d); err != nil {
		return d, fmt.Errorf("manifest: %w", err)
	}
	switch {
	case !plainName.MatchString(d.Database) || slices.Contains(ownDatabases, d.Database):
		return d, fmt.Errorf("manifest: %.70q is no name of a database", d.Database)
	case !plainName.MatchString(d.Role):
		return d, fmt.Errorf("manifest: %.70q is no name of a role", d.Role)
	case d.Bytes <= 0 || d.Version <= 0:
		return d, errors.New("manifest: the record of the database is incomplete")
	}
	for _, g := range d.Grants {
		if !slices.Contains([]string{"CREATE", "CONNECT", "TEMPORARY"}, g.Right) {
			return d, fmt.Errorf("manifest: %.70q is no right on a database", g.Right)
		}
	}
	return d, nil
}

func (d *Detail) rows() (n int64) {
	for _, t := range d.Tables {
		n += t.Rows
	}
	return n
}

// foreign leaves out what belongs to the server.
const foreign = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

// tables counts and digests every table that the session's transaction sees.
func (s *session) tables(ctx context.Context) (map[string]Table, error) {
	names, err := s.texts(ctx, `SELECT pg_catalog.format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""'))
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND `+foreign+` ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	tables := make(map[string]Table, len(names))
	for _, name := range names {
		var t Table
		err := s.conn.QueryRow(ctx, `SELECT count(*), coalesce(sum(('x' || pg_catalog.encode(pg_catalog.substr(
			pg_catalog.sha256(pg_catalog.convert_to(r::text, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint), 0)::text FROM ONLY `+name+` r`).Scan(&t.Rows, &t.Digest)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		tables[name] = t
	}
	return tables, nil
}

// objects counts what else there is, by sort.
func (s *session) objects(ctx context.Context) (map[string]int64, error) {
	rows, err := s.conn.Query(ctx, `
		SELECT CASE c.relkind WHEN 'i' THEN 'indexes' WHEN 'I' THEN 'partitioned indexes' WHEN 'S' THEN 'sequences' WHEN 'v' THEN 'views'
			WHEN 'm' THEN 'materialized views' WHEN 'p' THEN 'partitioned tables' ELSE 'relations of sort ' || c.relkind::text END, count(*)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind NOT IN ('r', 't', 'c') AND `+foreign+` GROUP BY 1
		UNION ALL SELECT 'functions', count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE `+foreign+`
		UNION ALL SELECT 'triggers', count(*) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT 'constraints', count(*) FROM pg_catalog.pg_constraint x JOIN pg_catalog.pg_namespace n ON n.oid = x.connamespace WHERE `+foreign)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var sort string
		var n int64
		if err := rows.Scan(&sort, &n); err != nil {
			return nil, err
		}
		if n > 0 {
			all[sort] = n
		}
	}
	return all, rows.Err()
}

// unsupported lists what is in the database that would not come back.
func (s *session) unsupported(ctx context.Context, role string) ([]string, error) {
	return s.texts(ctx, `
		SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'
		UNION ALL SELECT 'large objects' WHERE EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
		UNION ALL SELECT 'event trigger ' || evtname FROM pg_catalog.pg_event_trigger
		UNION ALL SELECT 'publication ' || pubname FROM pg_catalog.pg_publication
		UNION ALL SELECT 'foreign table ' || relname FROM pg_catalog.pg_class WHERE relkind = 'f'
		UNION ALL SELECT DISTINCT 'what belongs to role ' || pg_catalog.pg_get_userbyid(owner) FROM (
			SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database()
			UNION ALL SELECT nspowner FROM pg_catalog.pg_namespace n WHERE `+foreign+` AND nspname <> 'public'
			UNION ALL SELECT relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE `+foreign+`
			UNION ALL SELECT proowner FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE `+foreign+`
			UNION ALL SELECT typowner FROM pg_catalog.pg_type p JOIN pg_catalog.pg_namespace n ON n.oid = p.typnamespace WHERE `+foreign+`
			) o (owner) WHERE owner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1)
		ORDER BY 1 LIMIT 20`, role)
}

// describe fills what is known of the database as a whole.
func (s *session) describe(ctx context.Context, d *Detail) (warnings []string, err error) {
	// What newer versions know is read by name, so that older ones do not miss it.
	err = s.conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num')::int, pg_catalog.pg_encoding_to_char(encoding),
		datcollate, datctype, CASE to_jsonb(d)->>'datlocprovider' WHEN 'i' THEN coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale', '') ELSE '' END
		FROM pg_catalog.pg_database d WHERE datname = current_database()`).Scan(&d.Server, &d.Version, &d.Encoding, &d.Collate, &d.Ctype, &d.ICU)
	if err != nil {
		return nil, err
	}
	d.Roles, err = s.texts(ctx, `SELECT DISTINCT r.rolname FROM pg_catalog.pg_shdepend x JOIN pg_catalog.pg_roles r ON r.oid = x.refobjid
		JOIN pg_catalog.pg_database b ON b.datname = current_database()
		WHERE x.refclassid = 'pg_catalog.pg_authid'::regclass AND x.deptype <> 'o' AND r.rolname <> $1
		AND (x.dbid = b.oid OR x.classid = 'pg_catalog.pg_database'::regclass AND x.objid = b.oid) ORDER BY 1`, d.Role)
	if err != nil {
		return nil, err
	}
	rows, err := s.conn.Query(ctx, `SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable FROM pg_catalog.pg_database b,
		pg_catalog.aclexplode(b.datacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee WHERE b.datname = current_database() ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	if d.Grants, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Grant]); err != nil {
		return nil, err
	}
	settings, err := s.texts(ctx, `SELECT unnest(setconfig) FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database b ON b.oid = s.setdatabase
		WHERE b.datname = current_database()`)
	if len(settings) > 0 {
		warnings = append(warnings, "settings of the database (ALTER DATABASE … SET) are not captured: "+strings.Join(settings, ", "))
	}
	return warnings, err
}

// miscounted names the tables that two databases do not have with as many rows.
func miscounted(was, is map[string]Table) []string {
	return slices.DeleteFunc(component.Unlike(was, is), func(name string) bool {
		before, had := was[name]
		now, has := is[name]
		return had && has && before.Rows == now.Rows
	})
}
