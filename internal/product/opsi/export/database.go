package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

// sandboxLine is what newer MariaDB clients write first. Older ones, and all of
// MySQL, stop at it; the rest of the dump is the same with or without.
const sandboxLine = `/*M!999999\- enable the sandbox mode */`

// database writes the section with the tables, which is what mysqldump writes for
// opsi-backup. Views, triggers, routines and accounts are never in its archives:
// the account that loads it may not make them.
func (e *exporter) database(ctx context.Context) error {
	if !e.wants(archive.Database, "database") {
		return nil
	}
	record, err := e.manifest.Component("database")
	if err != nil {
		return err
	}
	for _, stream := range record.Streams {
		if !strings.HasSuffix(stream, ".tables.sql") {
			continue
		}
		node, err := e.point.Find(ctx, path.Join(vault.Dir, stream))
		if err != nil {
			return fmt.Errorf("read the dump %s: %w", stream, err)
		}
		return e.dump(ctx, node)
	}
	return errors.New("the point's database has no dump of tables")
}

func (e *exporter) dump(ctx context.Context, node *repository.Node) error {
	f, err := e.point.OpenFile(ctx, node)
	if err != nil {
		return err
	}
	defer f.Close()
	m := e.member(archive.Database, e.name(backend.MySQL, "mysql"), "database.sql", node)
	m.User, m.Group, m.Mode, m.ModTime = "root", "root", 0o600, e.manifest.Moment
	r := bufio.NewReader(f)
	if first, err := r.Peek(len(sandboxLine)); err == nil && string(first) == sandboxLine {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		m.Size -= int64(len(line))
	}
	if err := e.w.Add(m, io.Reader(r)); err != nil {
		return err
	}
	e.report.Members++
	e.report.Bytes += m.Size
	return nil
}
