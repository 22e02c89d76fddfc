package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/mysqld"
)

// Opsi compares opsi-backup's way with this program's: a dump by mysqldump and
// tar with bzip2, as opsi-backup makes them, beside a recovery point; the same
// files and the same database, on a server of its own, each from the beginning to
// the end with the dump.
type Opsi struct {
	Dir     string // for everything
	Program string // lifeboat
	DumpMB  int    // about, of the database, in 10⁶ bytes
	TreeMB  int    // of the files, in 10⁶ bytes
	Files   int
	Runs    int
	Log     io.Writer
}

// opsiWay is one of the two.
type opsiWay struct {
	name                    string
	create, restore         []Command
	first, second, restored []Sample
}

const opsiDatabase = "opsi"

// Run measures both, round by round, and returns the table as Markdown.
func (o Opsi) Run(ctx context.Context) (table string, err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return "", err
	}
	tree := filepath.Join(o.Dir, "server", "corpus", "tree")
	if _, err := Build(filepath.Join(o.Dir, "server"), Size{TreeMB: o.TreeMB, Files: o.Files}); err != nil {
		return "", err
	}
	// What lies here is made up: no harm in a server that runs as the user does.
	database := mysqld.Options{Dir: filepath.Join(o.Dir, "database"), Durable: true}
	if os.Geteuid() == 0 {
		database.User, database.Args = "root", []string{"--user=root"}
	}
	server, err := mysqld.Start(ctx, database)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	if err := o.fill(ctx, server.Socket()); err != nil {
		return "", err
	}
	sums, err := o.sums(ctx, server.Socket())
	if err != nil {
		return "", err
	}
	kept := filepath.Join(o.Dir, "kept")
	if _, err := MeasureAll(ctx, []Command{{Args: []string{"rm", "-rf", kept}}, {Args: []string{"cp", "-a", tree, kept}}}); err != nil {
		return "", err
	}
	ways := []*opsiWay{{name: "opsi-backup's way"}, {name: "lifeboat"}}
	for range o.Runs {
		for _, w := range ways {
			if err := o.one(ctx, w, tree, server.Socket()); err != nil {
				return "", fmt.Errorf("%s: %w", w.name, err)
			}
			if err := Compare(kept, tree); err != nil {
				return "", fmt.Errorf("%s: the restored tree differs: %w", w.name, err)
			}
			if now, err := o.sums(ctx, server.Socket()); err != nil || now != sums {
				return "", fmt.Errorf("%s: the restored database differs: %w", w.name, errors.Join(err, errors.New(now)))
			}
		}
	}
	return opsiTable(ways[0], ways[1]), nil
}

// one measures one way: create, create again, lose everything, restore.
func (o Opsi) one(ctx context.Context, w *opsiWay, tree, socket string) error {
	dir := filepath.Join(o.Dir, "way")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	if err := o.prepare(ctx, w, dir, tree, socket); err != nil {
		return err
	}
	measure := func(phase string, commands []Command, into *[]Sample) error {
		Cool()
		sample, err := MeasureAll(ctx, commands)
		if err != nil {
			return fmt.Errorf("%s: %w", phase, err)
		}
		fmt.Fprintf(o.Log, "%-18s %-14s %7.1f s, CPU %6.1f s\n", w.name, phase, sample.Wall.Seconds(), sample.CPU.Seconds())
		*into = append(*into, sample)
		return nil
	}
	if err := measure("create", w.create, &w.first); err != nil {
		return err
	}
	if err := measure("second create", w.create, &w.second); err != nil {
		return err
	}
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	if err := o.sql(ctx, socket, "DROP DATABASE "+opsiDatabase+"; CREATE DATABASE "+opsiDatabase, ""); err != nil {
		return err
	}
	return measure("restore", w.restore, &w.restored)
}

func (o Opsi) prepare(ctx context.Context, w *opsiWay, dir, tree, socket string) error {
	if w.name != "lifeboat" {
		dump, archive := filepath.Join(dir, "database.sql"), filepath.Join(dir, "archive.tar.bz2")
		w.create = []Command{
			{Args: []string{"rm", "-f", dump, archive}},
			{Args: []string{"mysqldump", "--socket=" + socket, "--user=root", "--lock-tables", "--add-drop-table", opsiDatabase}, Into: dump},
			{Args: []string{"tar", "--create", "--bzip2", "--format=posix", "--file", archive, "--directory", dir, "database.sql", "--directory", filepath.Dir(tree), "tree"}},
		}
		// Its restore verifies first: it reads the archive twice.
		w.restore = []Command{
			{Args: []string{"tar", "--extract", "--bzip2", "--to-stdout", "--file", archive}, Into: Nowhere},
			{Args: []string{"tar", "--extract", "--bzip2", "--preserve-permissions", "--file", archive, "--directory", filepath.Dir(tree), "tree"}},
			{Args: []string{"tar", "--extract", "--bzip2", "--file", archive, "--directory", dir, "--overwrite", "database.sql"}},
			{Args: []string{"mysql", "--socket=" + socket, "--user=root", opsiDatabase}, From: dump},
		}
		return nil
	}
	p := Place{Dir: dir, Store: filepath.Join(dir, "store"), Trees: []string{tree, tree}}
	if err := os.MkdirAll(p.Store, 0o700); err != nil {
		return err
	}
	if err := prepareLifeboat(ctx, p); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "etc", "profiles", "bench.yaml"), fmt.Appendf(nil, opsiProfile, tree, opsiDatabase, socket), 0o600); err != nil {
		return err
	}
	run := func(args ...string) []Command {
		return []Command{{
			Args: append([]string{o.Program, "--config", filepath.Join(dir, "etc", "lifeboat.yaml")}, args...),
			Env:  []string{"XDG_CACHE_HOME=" + filepath.Join(dir, "cache")},
		}}
	}
	w.create, w.restore = run("backup", "bench"), run("restore", "bench", "files", "database", "--yes")
	return nil
}

const opsiProfile = `profile: bench
title: What opsi-backup saves
detect: {file: /}
components:
  - name: files
    kind: files
    paths: [%q]
    importance: critical
    loss: Nothing; it can be built again.
  - name: database
    kind: mysql
    database: %q
    socket: %q
    user: root
    importance: critical
    loss: Nothing; it can be built again.
recovery:
  restore:
    - restore: files
    - restore: database
`

// fill makes the database, unless it is there.
func (o Opsi) fill(ctx context.Context, socket string) error {
	file := filepath.Join(o.Dir, "rows.sql")
	if err := writeRows(file, int64(o.DumpMB)*1e6); err != nil {
		return err
	}
	defer os.Remove(file)
	create := "DROP DATABASE IF EXISTS " + opsiDatabase + "; CREATE DATABASE " + opsiDatabase + " CHARACTER SET utf8mb4; USE " + opsiDatabase +
		"; CREATE TABLE SOFTWARE_CONFIG (config_id int NOT NULL PRIMARY KEY, clientId varchar(255) NOT NULL, name varchar(100) NOT NULL, version varchar(100) NOT NULL, uninstallString varchar(200), binaryName varchar(100), KEY client (clientId)) ENGINE=InnoDB"
	return errors.Join(o.sql(ctx, socket, create, ""), o.sql(ctx, socket, "", file))
}

// sql runs a statement, or those of a file.
func (Opsi) sql(ctx context.Context, socket, statement, file string) error {
	c := Command{Args: []string{"mysql", "--socket=" + socket, "--user=root", "--execute", statement}}
	if file != "" {
		c = Command{Args: []string{"mysql", "--socket=" + socket, "--user=root", opsiDatabase}, From: file}
	}
	_, err := Measure(ctx, c)
	return err
}

func (Opsi) sums(ctx context.Context, socket string) (string, error) {
	out, err := host.Local().Output(ctx, "mysql", "--socket="+socket, "--user=root", "-N", opsiDatabase, "--execute", "CHECKSUM TABLE SOFTWARE_CONFIG")
	return string(out), err
}

// writeRows writes inventory as opsi has it: many rows that are alike.
func writeRows(name string, bytes int64) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	defer func() { err = errors.Join(err, w.Flush(), f.Close()) }()
	r := newRand(4)
	for id := 1; bytes > 0; {
		var line strings.Builder
		line.WriteString("INSERT INTO SOFTWARE_CONFIG VALUES ")
		for i := range 2000 {
			if i > 0 {
				line.WriteByte(',')
			}
			fmt.Fprintf(&line, "(%d,'pc%04d.example.com','%s %s','%d.%d.%d','C:\\\\Program Files\\\\%s\\\\%s\\\\uninstall.exe /S','%s.exe')", id,
				r.IntN(2000), words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(20), r.IntN(100), r.IntN(10000),
				words[r.IntN(len(words))], words[r.IntN(len(words))], words[r.IntN(len(words))])
			id++
		}
		line.WriteString(";\n")
		n, err := w.WriteString(line.String())
		if err != nil {
			return err
		}
		bytes -= int64(n)
	}
	return nil
}

// opsiTable is both ways side by side, with how many times faster the second is.
func opsiTable(theirs, ours *opsiWay) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s, s | %s, s | times faster | goal |\n|---|---|---|---|---|\n", theirs.name, ours.name)
	for _, row := range []struct {
		name         string
		theirs, ours []Sample
		goal         int
	}{
		{"create", theirs.first, ours.first, 5},
		{"second create", theirs.second, ours.second, 8},
		{"restore", theirs.restored, ours.restored, 2},
	} {
		t, o := Median(row.theirs).Wall.Seconds(), Median(row.ours).Wall.Seconds()
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %s | %d |\n", row.name, t, o, strconv.FormatFloat(t/o, 'f', 1, 64), row.goal)
	}
	return b.String()
}
