package smt

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
	"time"
)

// dump is a file that looks like a database dump, judged by its beginning.
type dump struct {
	from        string
	compression string
	database    string // as its header says; "" when it does not
	smt         bool   // tables of SMT stand at its beginning
	empty       bool   // nothing but comments stands in it
	when        time.Time
}

// dumpHead is how much of a dump is looked at, in bytes, unpacked.
const dumpHead = 256 << 10

var (
	dumpDatabase = regexp.MustCompile(`(?m)^-- Host: .*\bDatabase: *(\S*)`)
	dumpTable    = regexp.MustCompile("(?mi)^CREATE TABLE (?:IF NOT EXISTS )?`?(Catalogs|Clients|ClientSubscriptions)`?")
	// dumpName is what people call dumps; one that is empty has nothing else.
	dumpName = regexp.MustCompile(`(?i)(\.sql|dump)(\.(gz|bz2))?$`)
	// dumpAny is a statement that fills a database.
	dumpAny  = regexp.MustCompile(`(?mi)^\s*(CREATE|INSERT|REPLACE|USE)\s`)
	dumpNote = regexp.MustCompile(`(?m)^\s*(?:--|#|/\*).*$`)
	dumpMark = regexp.MustCompile(`(?m)^-- (?:MySQL|MariaDB) dump |^CREATE TABLE |^CREATE DATABASE `)
)

// readDump returns nil for a file that is no dump.
func readDump(file, from string) (*dump, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d := &dump{from: from, when: info.ModTime()}
	b := bufio.NewReader(f)
	magic, _ := b.Peek(3)
	var r io.Reader = b
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		d.compression = "gzip"
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil //nolint:nilerr,nilnil // a broken archive is no dump
		}
		r = z
	case bytes.HasPrefix(magic, []byte("BZh")):
		d.compression, r = "bzip2", bzip2.NewReader(b)
	}
	head, _ := io.ReadAll(io.LimitReader(r, dumpHead)) // what can be read is judged
	only := len(head) < dumpHead && !dumpAny.Match(head)
	switch {
	case dumpMark.Match(head):
		d.empty = only
	case dumpName.MatchString(path.Base(from)) && only && len(bytes.TrimSpace(dumpNote.ReplaceAll(head, nil))) == 0:
		d.empty = true
	default:
		return nil, nil //nolint:nilnil // no dump
	}
	if m := dumpDatabase.FindSubmatch(head); m != nil {
		d.database = strings.Trim(string(m[1]), "`")
	}
	d.smt = dumpTable.Match(head)
	return d, nil
}

// fits tells whether it may hold the database: by its header, or, when that names
// none, as in a dump of all databases, by what stands in it.
func (d dump) fits(database string) bool {
	if d.database != "" {
		return d.database == database || d.smt
	}
	return true
}
