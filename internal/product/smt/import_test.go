package smt

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/product"
)

const (
	savedConf = "[NU]\nNUUrl=https://nu.novell.com/\nNUPass=a#b;c\n[DB]\nconfig=DBI:mysql:database=smtdb;host=localhost\nuser=smt\n[LOCAL]\nMirrorTo=/data/mirror/\n"
	savedDump = "-- MySQL dump 10.11\n--\n-- Host: localhost    Database: smtdb\n\nCREATE TABLE `Catalogs` (a INT);\n-- Dump completed\n"
)

// describe is an import in lines, for comparing.
func describe(i *product.Import) string {
	var b strings.Builder
	for _, f := range i.Files {
		fmt.Fprintf(&b, "%s %s <- %s\n", f.Component, f.Path, f.From)
	}
	for _, d := range i.Dumps {
		fmt.Fprintf(&b, "%s %s <- %s %s\n", d.Component, d.Database, d.From, d.Compression)
	}
	return b.String()
}

func TestImportFlat(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"CAM/YaST_Default_CA/cacert.pem": "x",
		"CAM/YaST_Default_CA/cacert.key": "x",
		"smt.conf":                       savedConf,
		"smt.d/novell.com-smt":           "x",
		"novell.com-smt":                 "x",
		"NCCcredentials":                 "username=x\n",
		"default-server.conf":            "x",
		"network-notes.txt":              "10.0.0.1\n",
		"smt-db-backup.sh":               "mysqldump -uroot -psecret smt\n",
		"something else.txt":             "x",
		"other.sql":                      "-- MySQL dump 10\n-- Host: localhost    Database: wiki\nCREATE TABLE `page` (a INT);\n",
		"repo/README":                    "not SMT's",
		"empty.sql":                      "",
	} {
		put(t, filepath.Join(dir, name), text)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(savedDump))
	_ = z.Close()
	put(t, filepath.Join(dir, "db/smt-db-backup.sql.gz"), packed.String())
	put(t, filepath.Join(dir, "old.sql"), savedDump)
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "old.sql"), long, long); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	got, err := importSaved(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := `certificate-authority /var/lib/CAM <- CAM
configuration /etc/smt.conf <- smt.conf
configuration /etc/smt.d <- smt.d
credentials /etc/zypp/credentials.d/NCCcredentials <- NCCcredentials
apache /etc/apache2/default-server.conf <- default-server.conf
database smtdb <- db/smt-db-backup.sql.gz gzip
`
	if d := describe(got); d != want {
		t.Errorf("got\n%swant\n%s", d, want)
	}
	if got.Settings["mirror_to"] != "/data/mirror" || got.Settings["db_name"] != "smtdb" {
		t.Errorf("settings %v", got.Settings)
	}
	unknown := strings.Join(got.Unknown, ", ")
	if unknown != "empty.sql, etc, network-notes.txt, novell.com-smt, old.sql, other.sql, repo/README, smt-db-backup.sh, something else.txt" {
		t.Errorf("unknown: %s", unknown)
	}
	for _, word := range []string{"wiki", "older dump", "password of the database administrator", "note about the network", "Novell Customer Center", "nu.novell.com"} {
		if !strings.Contains(strings.Join(got.Warnings, "\n"), word) {
			t.Errorf("no warning about %s: %q", word, got.Warnings)
		}
	}
	for _, m := range got.Missing {
		if m.Critical {
			t.Errorf("missing: %+v", m)
		}
	}
}

func TestImportNested(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"backup/var/lib/CAM/My_CA/cacert.pem":            "x",
		"backup/etc/smt.conf":                            savedConf,
		"backup/etc/zypp/credentials.d/SCCcredentials":   "x",
		"backup/etc/cron.d/novell.com-smt":               "x",
		"backup/etc/apache2/vhosts.d/vhost-ssl.conf":     "x",
		"backup/etc/apache2/conf.d/x.conf":               "x",
		"backup/srv/www/htdocs/repo/$RCE/SLES/sle/a.rpm": "x",
		"smt.conf": "[LOCAL]\nMirrorTo=/wrong\n",
		"all.sql":  "CREATE DATABASE `mysql`;\n",
	} {
		put(t, filepath.Join(dir, name), text)
	}
	got, err := importSaved(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := `certificate-authority /var/lib/CAM <- backup/var/lib/CAM
configuration /etc/smt.conf <- backup/etc/smt.conf
cron-table /etc/cron.d/novell.com-smt <- backup/etc/cron.d/novell.com-smt
credentials /etc/zypp/credentials.d/SCCcredentials <- backup/etc/zypp/credentials.d/SCCcredentials
apache /etc/apache2/conf.d <- backup/etc/apache2/conf.d
apache /etc/apache2/vhosts.d <- backup/etc/apache2/vhosts.d
package-tree /data/mirror/repo <- backup/srv/www/htdocs/repo
database smtdb <- all.sql 
`
	if d := describe(got); d != want {
		t.Errorf("got\n%swant\n%s", d, want)
	}
}

func TestImportOfNothing(t *testing.T) {
	got, err := importSaved(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	critical := 0
	for _, m := range got.Missing {
		if m.Critical {
			critical++
		}
	}
	if len(got.Files)+len(got.Dumps) != 0 || critical != 4 {
		t.Errorf("%+v", got)
	}
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "x")
	for _, bad := range []string{file, file + "-that-is-not-there"} {
		if _, err := importSaved(t.Context(), bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// The name of the lost machine: its own file goes before SMT's address, and what
// is no name is none.
func TestImportNamesTheMachine(t *testing.T) {
	conf := func(url string) string { return "[LOCAL]\nurl=" + url + "\n" }
	for name, c := range map[string]struct {
		files map[string]string
		want  string // hostname of the facts
		file  string // path that is taken over
	}{
		"by its file":      {map[string]string{"HOSTNAME": "old.example.com\n", "smt.conf": conf("https://smt.example.com/")}, "", "/etc/HOSTNAME"},
		"by a newer file":  {map[string]string{"etc/hostname": "new\n"}, "", "/etc/hostname"},
		"a note":           {map[string]string{"hostname": "the name is smt\n", "smt.conf": conf("https://SMT.example.com:443/")}, "smt", ""},
		"by its address":   {map[string]string{"smt.conf": conf("http://smt/")}, "smt", ""},
		"only an address":  {map[string]string{"smt.conf": conf("https://10.0.0.1/")}, "", ""},
		"only an address6": {map[string]string{"smt.conf": conf("https://[fd00::1]/")}, "", ""},
		"itself":           {map[string]string{"smt.conf": conf("http://localhost/")}, "", ""},
		"no address":       {map[string]string{"smt.conf": conf("::%")}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				put(t, filepath.Join(dir, file), text)
			}
			got, err := importSaved(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			missing := false
			for _, m := range got.Missing {
				missing = missing || strings.Contains(m.What, "name of the lost machine")
			}
			if got.Facts["hostname"] != c.want || !strings.Contains(describe(got), c.file) || strings.Contains(strings.ToLower(describe(got)), "hostname") != (c.file != "") || missing != (c.want == "" && c.file == "") {
				t.Errorf("facts %v, missing %v, files\n%s", got.Facts, missing, describe(got))
			}
		})
	}
}

// A dump that failed last night does not hide the one before.
func TestImportPassesEmptyDumps(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "monday.sql"), savedDump)
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "monday.sql"), long, long); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "tuesday.sql"), "-- MySQL dump 10.11\n--\n-- Host: localhost    Database: smtdb\n/*!40101 SET NAMES utf8 */;\n")
	put(t, filepath.Join(dir, "smt.conf"), savedConf)
	put(t, filepath.Join(dir, "dump.log"), "")
	put(t, filepath.Join(dir, "query.sql"), "SELECT 1;\n")
	got, err := importSaved(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Dumps) != 1 || got.Dumps[0].From != "monday.sql" || !strings.Contains(strings.Join(got.Warnings, "\n"), "tuesday.sql is an empty dump") {
		t.Errorf("dumps %+v, warnings %q", got.Dumps, got.Warnings)
	}
	if err := os.Remove(filepath.Join(dir, "monday.sql")); err != nil {
		t.Fatal(err)
	}
	if got, err = importSaved(t.Context(), dir); err != nil || len(got.Dumps) != 1 || got.Dumps[0].From != "tuesday.sql" {
		t.Errorf("%v: %+v", err, got.Dumps)
	}
}

func TestFactsOfASchema(t *testing.T) {
	for schema, line := range map[string]string{"0.09": "1.0", "0.1": "1.1", "2.08": "11 SP3", "3.09": "12", "none": ""} {
		if got := facts(schema); got["line"] != line {
			t.Errorf("%s: %v", schema, got)
		}
	}
}
