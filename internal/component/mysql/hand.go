package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"lifeboat/internal/component"
)

// Extract writes both sections as files into dir.
func (c *Component) Extract(ctx context.Context, source component.Source, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("extract database %s: %w", c.opts.Database, err)
	}
	defer root.Close()
	for _, name := range []string{c.tablesStream(), c.objectsStream()} {
		if err := extract(ctx, source, root, name); err != nil {
			return fmt.Errorf("extract database %s: %w", c.opts.Database, err)
		}
	}
	return nil
}

func extract(ctx context.Context, source component.Source, root *os.Root, name string) error {
	r, err := source.OpenStream(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := root.OpenFile(path.Base(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// Stage loads what was captured into a private server on this machine.
func (c *Component) Stage(ctx context.Context, source component.Source, state string) (component.Staged, error) {
	r, err := source.OpenStream(ctx, c.tablesStream())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	st, err := Stage(ctx, r, StageOptions{Database: c.opts.Database, Product: c.product, State: state})
	if err != nil { // a nil *Staged would be no nil interface
		return nil, err
	}
	return st, nil
}

// Plan lists what Restore would change.
func (c *Component) Plan(ctx context.Context, _ component.Source, rec component.Record) ([]string, error) {
	d, err := detailOf(rec, c.opts.Database)
	if err != nil {
		return nil, err
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer s.close()
	lines := []string{fmt.Sprintf("load %d tables with %d rows beside database %s and check them", len(d.Tables), d.rows(), d.Database)}
	now, err := baseTables(ctx, s.db, d.Database)
	if err != nil {
		return nil, err
	}
	if len(now) > 0 {
		lines = append(lines, fmt.Sprintf("set the %d present tables aside in database %s", len(now), sideName(d.Database, "aside", c.env.Run)))
	}
	lines = append(lines, "put the loaded tables in place with one RENAME TABLE")
	for _, sort := range []struct {
		what string
		list []string
	}{{"views", d.Views}, {"triggers", d.Triggers}, {"routines", d.Routines}, {"events", d.Events}, {"accounts", d.Accounts}} {
		if len(sort.list) > 0 {
			lines = append(lines, fmt.Sprintf("make %s %s", sort.what, strings.Join(sort.list, ", ")))
		}
	}
	return lines, nil
}

// LoginCommand is the stock client's way to try what Login tries; it asks for
// the password.
func (c *Component) LoginCommand() []string {
	args := []string{"mysql", "-u", c.opts.User, "-p"}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	if socket := c.opts.socket(); socket != "" {
		add("-S", socket)
	} else {
		add("-h", c.opts.Host)
		add("-P", c.opts.Port)
	}
	return append(args, "-D", c.opts.Database, "-e", "SELECT 1")
}

// byHand tells how to restore the database with the servers' own client.
func byHand(rec component.Record) string {
	if len(rec.Streams) != 2 {
		return ""
	}
	name := strings.TrimSuffix(path.Base(rec.Streams[0]), ".tables.sql")
	d, err := detailOf(rec, name)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("Database `%[1]s` (%[2]d tables, %[3]d rows, from %[4]s). Stop whatever uses it. As administrator of the database server:\n\n"+
		"```sh\n"+
		"tail -n 1 /.lifeboat/%[7]s | grep 'Dump completed' &&    # else the dump is cut off: nothing more is done\n"+
		"{ ! mysql -e 'USE `%[1]s`' || (umask 077; mysqldump --routines --events %[1]s > before-%[1]s.sql); } &&    # keep what is there now, or nothing more is done\n"+
		"mysql -e 'DROP DATABASE IF EXISTS `%[1]s`; CREATE DATABASE `%[1]s` CHARACTER SET %[5]s COLLATE %[6]s' &&\n"+
		"mysql %[1]s < /.lifeboat/%[7]s &&\n"+
		"mysql --comments %[1]s < /.lifeboat/%[8]s &&\n"+
		"mysql -Ne 'SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = \"%[1]s\" AND TABLE_TYPE <> \"VIEW\"'    # %[2]d\n"+
		"```\n\n"+
		"An old client that stops at line 1 with “Unknown command '\\-'” wants that line removed: `sed '1{/999999/d}'`.\n",
		d.Database, len(d.Tables), d.rows(), d.Server, d.Charset, d.Collation, rec.Streams[0], rec.Streams[1])
}
