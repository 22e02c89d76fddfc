package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// objects is what hangs on the tables of a database: the second section of a
// capture, and what a restore saves of the present database.
type objects struct {
	database string
	routines []object
	views    []object
	triggers []object
	events   []object
	accounts []account
	warnings []string
}

// object is one stored definition. Its text is in the character set that it was
// created in, byte by byte as the server keeps it.
type object struct {
	kind    string // VIEW, TRIGGER, PROCEDURE, FUNCTION, EVENT, PACKAGE, PACKAGE BODY
	name    string
	columns []string // of a view
	sqlMode string
	client  string // character_set_client
	connect string // collation_connection
	zone    string // of an event
	create  string
	definer string
}

// readObjects reads the definitions through one connection that has database as
// its default.
func readObjects(ctx context.Context, conn *sql.Conn, s *server, database string) (*objects, error) {
	o := &objects{database: database}
	if _, err := conn.ExecContext(ctx, "SET SESSION character_set_results = NULL"); err != nil {
		return nil, fmt.Errorf("read views, triggers and routines: %w", err)
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "SET NAMES utf8") }()
	for _, read := range []func(context.Context, *sql.Conn) error{o.readRoutines, o.readViews, o.readTriggers, o.readEvents} {
		if err := read(ctx, conn); err != nil {
			return nil, fmt.Errorf("read views, triggers and routines: %w", err)
		}
	}
	if err := o.readAccounts(ctx, conn, s); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return o, nil
}

func (o *objects) readRoutines(ctx context.Context, conn *sql.Conn) error {
	rows, err := query(ctx, conn, `SELECT ROUTINE_TYPE, ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES
		WHERE ROUTINE_SCHEMA = ? ORDER BY ROUTINE_TYPE, ROUTINE_NAME`, o.database)
	if err != nil {
		return err
	}
	for _, r := range rows {
		x, err := show(ctx, conn, r[0], r[1])
		if err != nil {
			return err
		}
		x.definer = r[2]
		o.routines = append(o.routines, x)
	}
	return nil
}

func (o *objects) readViews(ctx context.Context, conn *sql.Conn) error {
	rows, err := query(ctx, conn, `SELECT TABLE_NAME, DEFINER, CHARACTER_SET_CLIENT, COLLATION_CONNECTION
		FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME`, o.database)
	if err != nil {
		return err
	}
	for _, r := range rows {
		x, err := show(ctx, conn, "VIEW", r[0])
		if err != nil {
			return err
		}
		x.definer, x.client, x.connect = r[1], r[2], r[3]
		x.columns, err = column(ctx, conn, `SELECT COLUMN_NAME FROM information_schema.COLUMNS
			WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, o.database, x.name)
		if err != nil {
			return err
		}
		if len(x.columns) == 0 {
			o.warnings = append(o.warnings, fmt.Sprintf("view %s is broken: what it selects from is not there; it cannot be made again", oneLine(x.name)))
		}
		o.views = append(o.views, x)
	}
	return nil
}

func (o *objects) readTriggers(ctx context.Context, conn *sql.Conn) error {
	// SHOW TRIGGERS keeps the order in which triggers of one event fire.
	rows, err := query(ctx, conn, "SHOW TRIGGERS FROM "+ident(o.database))
	if err != nil {
		return err
	}
	for _, r := range rows {
		x, err := show(ctx, conn, "TRIGGER", r[0])
		if err != nil {
			return err
		}
		if len(r) > 7 {
			x.definer = r[7]
		}
		o.triggers = append(o.triggers, x)
	}
	return nil
}

func (o *objects) readEvents(ctx context.Context, conn *sql.Conn) error {
	rows, err := query(ctx, conn, `SELECT EVENT_NAME, DEFINER FROM information_schema.EVENTS
		WHERE EVENT_SCHEMA = ? ORDER BY EVENT_NAME`, o.database)
	if err != nil {
		return err
	}
	for _, r := range rows {
		x, err := show(ctx, conn, "EVENT", r[0])
		if err != nil {
			return err
		}
		x.definer = r[1]
		o.events = append(o.events, x)
	}
	return nil
}

// show asks for one definition. The columns that SHOW CREATE answers with differ
// by kind and server, so they are found by name.
func show(ctx context.Context, conn *sql.Conn, kind, name string) (object, error) {
	x := object{kind: kind, name: name}
	statement := "SHOW CREATE " + kind + " " + ident(name)
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return x, describe(err, statement)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return x, describe(err, statement)
	}
	cells := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	if !rows.Next() {
		return x, describe(errors.Join(errors.New("no answer"), rows.Err()), statement)
	}
	if err := rows.Scan(into...); err != nil {
		return x, describe(err, statement)
	}
	for i, c := range columns {
		switch c = strings.ToLower(c); {
		case strings.HasPrefix(c, "create ") || c == "sql original statement":
			x.create = cells[i].String
		case c == "sql_mode":
			x.sqlMode = cells[i].String
		case c == "character_set_client":
			x.client = cells[i].String
		case c == "collation_connection":
			x.connect = cells[i].String
		case c == "time_zone":
			x.zone = cells[i].String
		}
	}
	if x.create == "" {
		return x, fmt.Errorf("%s: the server does not show it; the account needs more rights: give an administrator's in /root/.my.cnf", statement)
	}
	return x, describe(rows.Err(), statement)
}

// script renders the objects for the servers' command line client and for
// restoring. Repeating it is harmless. Views are first made as placeholders, so
// that their order does not matter; events come last, so that none fires before
// everything is there.
func (o *objects) script() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "-- What hangs on the tables of database %s: routines, views, triggers, accounts, events.\n", ident(o.database))
	fmt.Fprintf(&b, "-- Load it into the database of the same name, after the tables.\n")
	b.WriteString("SET NAMES utf8;\nSET @lifeboat_sql_mode = @@sql_mode, @lifeboat_time_zone = @@time_zone;\nSET sql_mode = '';\n")
	all := o.renditions()
	for _, r := range all[:len(o.routines)] {
		b.WriteString(r.text)
	}
	for _, x := range o.views {
		if len(x.columns) == 0 { // broken: the server knows no column of it
			continue
		}
		fmt.Fprintf(&b, "\n-- placeholder of view %s\nCREATE OR REPLACE VIEW %s AS SELECT ", oneLine(x.name), ident(x.name))
		for i, c := range x.columns {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("1 AS " + ident(c))
		}
		b.WriteString(";\n")
	}
	for _, r := range all[len(o.routines):] {
		b.WriteString(r.text)
	}
	b.WriteString("\nSET sql_mode = @lifeboat_sql_mode;\nSET time_zone = @lifeboat_time_zone;\n\n" + trailer + "\n")
	return b.Bytes()
}

// rendition is one object as the script has it.
type rendition struct{ sort, name, text string }

// renditions are all objects in the script's order, the routines first.
func (o *objects) renditions() []rendition {
	var all []rendition
	add := func(sort, name string, write func(b *bytes.Buffer)) {
		var b bytes.Buffer
		write(&b)
		all = append(all, rendition{sort, name, b.String()})
	}
	for _, x := range o.routines {
		add("routine", x.name, func(b *bytes.Buffer) { x.write(b, "DROP "+x.kind+" IF EXISTS "+ident(x.name), x.create) })
	}
	for _, x := range o.views {
		add("view", x.name, func(b *bytes.Buffer) { x.write(b, "", "CREATE OR REPLACE "+strings.TrimPrefix(x.create, "CREATE ")) })
	}
	for _, x := range o.triggers {
		add("trigger", x.name, func(b *bytes.Buffer) { x.write(b, "DROP TRIGGER IF EXISTS "+ident(x.name), x.create) })
	}
	for _, a := range o.accounts {
		add("account", a.name(), a.write)
	}
	for _, x := range o.events {
		add("event", x.name, func(b *bytes.Buffer) { x.write(b, "DROP EVENT IF EXISTS "+ident(x.name), x.create) })
	}
	return all
}

// write renders one object. The surroundings that it was created in are set,
// because the server keeps them with it.
func (x object) write(b *bytes.Buffer, drop, create string) {
	fmt.Fprintf(b, "\n-- %s %s\n", strings.ToLower(x.kind), oneLine(x.name))
	if drop != "" {
		b.WriteString(drop + ";\n")
	}
	if x.zone != "" {
		fmt.Fprintf(b, "SET time_zone = %s;\n", literal(x.zone))
	}
	fmt.Fprintf(b, "SET sql_mode = %s;\n", literal(x.sqlMode))
	if x.client != "" && x.connect != "" {
		fmt.Fprintf(b, "SET character_set_client = %s, collation_connection = %s;\n", literal(x.client), literal(x.connect))
	}
	delimiter := delimiterFor(create)
	fmt.Fprintf(b, "DELIMITER %s\n%s\n%s\nDELIMITER ;\n", delimiter, create, delimiter)
	b.WriteString("SET NAMES utf8;\nSET sql_mode = '';\n")
}

// delimiterFor finds a delimiter that does not stand in the text.
func delimiterFor(text string) string {
	for _, d := range []string{";;", "$$", "//", "|||", "@@@@"} {
		if !strings.Contains(text, d) {
			return d
		}
	}
	d := "$end"
	for i := 0; strings.Contains(text, d) && len(d) < window-1; i++ {
		d = fmt.Sprintf("$end%d", i)
	}
	return d
}

// oneLine makes a name fit for a line comment.
func oneLine(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, name)
}

// names lists the objects of one sort.
func names(list []object) []string {
	var all []string
	for _, x := range list {
		all = append(all, x.name)
	}
	return all
}

// definers lists the accounts that objects run as.
func (o *objects) definers() []string {
	var all []string
	for _, x := range slices.Concat(o.routines, o.views, o.triggers, o.events) {
		if x.definer != "" && !slices.Contains(all, x.definer) {
			all = append(all, x.definer)
		}
	}
	slices.Sort(all)
	return all
}
