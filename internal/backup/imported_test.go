package backup_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/backup"
	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/component"
	"lifeboat/internal/component/certificates"
	"lifeboat/internal/component/configuration"
	"lifeboat/internal/component/files"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/component/network"
	"lifeboat/internal/host"
	registry "lifeboat/internal/product"
	"lifeboat/internal/product/opsi"
	"lifeboat/internal/product/smt"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
	"lifeboat/profiles"
)

const (
	savedConf = "[LOCAL]\nurl = https://smt1.example.com/\n[DB]\nconfig = dbi:mysql:database=smt;host=localhost\nuser = smt\npass = x\n"
	savedDump = "-- MySQL dump 10.13\n--\n-- Host: localhost    Database: smt\n" +
		"CREATE TABLE `Catalogs` (ID INT, NAME TEXT, TARGET TEXT, DOMIRROR CHAR(1));\n" +
		"CREATE TABLE `Clients` (GUID CHAR(50), HOSTNAME TEXT);\nINSERT INTO `Clients` VALUES ('a','b'),('c','d');\n" +
		"CREATE TABLE `JobQueue` (ID INT, GUID_ID INT, NAME TEXT, TYPE INT);\n" +
		"CREATE TABLE `migration_schema_version` (name VARCHAR(128), version DOUBLE);\nINSERT INTO `migration_schema_version` VALUES ('smt',3.09);\n" +
		"-- Dump completed on 2019-03-04  9:05:06\n"
)

// saved is what an administrator keeps of SMT by hand.
func saved() map[string]string {
	return map[string]string{
		"var/lib/CAM/YaST_Default_CA/cacert.pem": "x", "var/lib/CAM/YaST_Default_CA/cacert.key": "x",
		"etc/smt.conf": savedConf, "etc/smt.d/novell.com-smt": "x\n",
		"etc/zypp/credentials.d/SCCcredentials": "username=x\n",
		"smt.sql":                               savedDump,
	}
}

// importFrom looks at what was saved of a product as its shipped profile does.
func importFrom(t *testing.T, product, from string) (*backup.Import, error) {
	t.Helper()
	if _, err := host.Local().Look("mariadbd", "mysqld"); err != nil {
		t.Skip("needs mariadb-server")
	}
	products := registry.Make(smt.Product(), opsi.Product())
	kinds := map[string]component.Kind{
		"files": files.Kind(), "configuration": configuration.Kind(), "network": network.Kind(),
		"certificates": certificates.Kind(), "mysql": mysql.Kind(products),
	}
	known, steps := profile.NewRegistry(), recovery.Steps()
	for name, kind := range kinds {
		known.Kinds[name] = kind.Definition
	}
	for name, step := range steps {
		known.Steps[name] = step.Definition
	}
	maps.Copy(known.Predicates, mysql.Predicates())
	known.Predicates["certificate"] = certificates.Predicate()
	p := products[product]
	maps.Copy(known.Predicates, p.Predicates)
	maps.Copy(known.Sources, p.Sources)
	for name, comparison := range p.Comparisons {
		known.Compares[name] = comparison.Summary
	}
	pr, err := profile.Catalogue{Registry: known, Shipped: profiles.FS}.Load(product)
	if err != nil {
		t.Fatal(err)
	}
	i, err := backup.NewImport(t.Context(), backup.Options{
		System: product, Profile: pr, Host: host.Local(), Vault: backuptest.New(t, "").Vault, StateDir: t.TempDir(),
		Catalog: &recovery.Catalog{Profile: known, Kinds: kinds, Products: products, Steps: steps},
	}, p, backup.Saved{Path: from, Force: []string{backup.Places}})
	if i != nil {
		t.Cleanup(func() { _ = i.Close(context.Background()) })
	}
	return i, err
}

// newImport looks at a directory with these files, 100 days old, as the
// shipped profile of SMT does.
func newImport(t *testing.T, texts map[string]string) (*backup.Import, error) {
	t.Helper()
	dir, old := t.TempDir(), time.Now().AddDate(0, 0, -100)
	for name, text := range texts {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	return importFrom(t, "smt", dir)
}

// importPoint imports what newImport looks at.
func importPoint(t *testing.T, texts map[string]string) *vault.Point {
	t.Helper()
	i, err := newImport(t, texts)
	if err != nil {
		t.Fatal(err)
	}
	return pointOf(t, i)
}

// pointOf makes the point.
func pointOf(t *testing.T, i *backup.Import) *vault.Point {
	t.Helper()
	run, err := runbook.New(runbook.Options{Dir: t.TempDir()}).Start(t.Context(), i.Runbook(), runbook.Meta{ID: i.RunID()})
	if err != nil {
		t.Fatalf("%v\n%+v", err, run)
	}
	return i.Point()
}

// What can be known of the lost machine is recorded, and nothing of the one
// that the import runs on.
func TestImportRecordsTheLostMachine(t *testing.T) {
	texts := saved()
	texts["etc/HOSTNAME"] = "lost.example.com\n"
	texts["etc/SuSE-release"] = "SUSE Linux Enterprise Server 12 (x86_64)\nVERSION = 12\nPATCHLEVEL = 3\n"
	m := importPoint(t, texts).Manifest
	want := map[string]string{
		"schema": "3.09", "line": "12", "hostname": "lost", "fqdn": "lost.example.com",
		"os": "SUSE Linux Enterprise Server 12 SP3", "os_id": "sles", "os_version": "12.3",
	}
	if !maps.Equal(m.Identity, want) {
		t.Errorf("identity %v, want %v", m.Identity, want)
	}
	if m.Host.Hostname != "lost" || m.Host.Arch != "" || len(m.Host.Interfaces) != 0 {
		t.Errorf("host %+v", m.Host)
	}
	if want := time.Date(2019, 3, 4, 9, 5, 6, 0, time.Local); !m.Moment.Equal(want) {
		t.Errorf("moment %s, want %s", m.Moment, want)
	}
	if m.Incomplete || len(m.Lacks()) != 0 {
		t.Errorf("incomplete %v, lacks %v", m.Incomplete, m.Lacks())
	}
	if len(m.Records["registrations"]) != 2 || m.Records["jobs"] == nil && len(m.Records) != 3 {
		t.Errorf("records %v", m.Records)
	}
	if os.Geteuid() == 0 && (m.Owners.Users[0] != "root" || m.Owners.Groups[0] != "root") {
		t.Errorf("owners %+v", m.Owners)
	}
}

// Without the machine's own files its name is that of SMT's address, and a dump
// that does not say when it was made is as old as its file.
func TestImportOfLess(t *testing.T) {
	texts := saved()
	texts["smt.sql"] = strings.Replace(savedDump, " on 2019-03-04  9:05:06", "", 1)
	// Of smt.d one file: restoring must leave the rest of that directory alone.
	texts["novell.com-smt"] = texts["etc/smt.d/novell.com-smt"]
	delete(texts, "etc/smt.d/novell.com-smt")
	p := importPoint(t, texts)
	m := p.Manifest
	for _, r := range m.Components {
		if want := []string{"/etc/smt.conf", "/etc/smt.d/novell.com-smt"}; r.Name == "configuration" && !slices.Equal(r.Paths, want) {
			t.Errorf("the configuration is %q, want %q", r.Paths, want)
		}
	}
	if want := map[string]string{"schema": "3.09", "line": "12", "hostname": "smt1", "fqdn": "smt1.example.com"}; !maps.Equal(m.Identity, want) {
		t.Errorf("identity %v, want %v", m.Identity, want)
	}
	if days := time.Since(p.Time()).Hours() / 24; days < 99 || days > 101 {
		t.Errorf("the point is of %s", p.Time())
	}
}

// Each critical part that is missing is named, and the point is incomplete.
func TestImportWithoutCriticalParts(t *testing.T) {
	texts := saved()
	delete(texts, "smt.sql")
	delete(texts, "etc/zypp/credentials.d/SCCcredentials")
	delete(texts, "etc/smt.conf") // of the component, smt.d is left
	p := importPoint(t, texts)
	m := p.Manifest
	if !m.Incomplete || !slices.Equal(m.Lacks(), []string{"credentials", "database"}) {
		t.Errorf("incomplete %v, lacks %v", m.Incomplete, m.Lacks())
	}
	warnings := strings.Join(m.Warnings, "\n")
	for _, part := range []string{"critical: not among what was saved: a dump of the database.", "critical: not among what was saved: smt.conf.", "critical: not among what was saved: NCCcredentials or SCCcredentials.", "name of the lost machine"} {
		if !strings.Contains(warnings, part) {
			t.Errorf("no warning with %q in\n%s", part, warnings)
		}
	}
	if days := time.Since(p.Time()).Hours() / 24; days < 99 || days > 101 {
		t.Errorf("the point is of %s", p.Time())
	}
}

func TestImportOfAnEmptyDump(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":       "",
		"only comments": "-- MySQL dump 10.13\n--\n-- Host: localhost    Database: smt\n-- Server version 5.0\n/*!40101 SET NAMES utf8 */;\n",
		"own comments":  "-- nothing here\n# really\n",
	} {
		t.Run(name, func(t *testing.T) {
			texts := saved()
			texts["smt.sql"] = text
			_, err := newImport(t, texts)
			if err == nil || !strings.Contains(err.Error(), "the dump smt.sql is empty") || !strings.Contains(err.Error(), "take another dump") {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("beside a whole one", func(t *testing.T) {
		texts := saved()
		texts["older.sql"] = ""
		if m := importPoint(t, texts).Manifest; m.Incomplete || !strings.Contains(strings.Join(m.Warnings, "\n"), "older.sql is an empty dump; smt.sql is taken") {
			t.Errorf("incomplete %v, warnings %q", m.Incomplete, m.Warnings)
		}
	})
}

// Stock restic gives every directory that it finds on the machine the permissions
// that the point has: those made up for an import lock nobody out.
func TestImportLocksNobodyOut(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // as the program runs
	p := importPoint(t, saved())
	for at, want := range map[string]os.FileMode{
		"/etc": 0o755, "/var": 0o755, "/var/lib": 0o755, "/etc/zypp": 0o755, "/etc/zypp/credentials.d": 0o755,
		"/etc/zypp/credentials.d/SCCcredentials": 0o600, "/.lifeboat": 0o700, "/.lifeboat/databases": 0o700,
	} {
		n, err := p.Find(t.Context(), at)
		if err != nil {
			t.Error(err)
		} else if n.Mode.Perm() != want || n.UID != 0 && os.Geteuid() == 0 {
			t.Errorf("%s: %v of %d, want %v", at, n.Mode, n.UID, want)
		}
	}
}

// Rows that refer to clients which the dump does not have are told, in the point
// and on its page.
func TestImportOfADumpWithoutClients(t *testing.T) {
	texts := saved()
	texts["smt.sql"] = strings.Replace(strings.Replace(savedDump, "INSERT INTO `Clients` VALUES ('a','b'),('c','d');\n", "", 1),
		"-- Dump completed", "CREATE TABLE `Registration` (GUID CHAR(50), PRODUCTID INT);\nINSERT INTO `Registration` VALUES ('a',1),('c',2);\n-- Dump completed", 1)
	i, err := newImport(t, texts)
	if err != nil {
		t.Fatal(err)
	}
	told := "references Registration[GUID] → Clients[GUID]: 2 without a counterpart"
	if !slices.Contains(i.Warnings(), "database: "+told) { // also before there is a point
		t.Errorf("warnings %q", i.Warnings())
	}
	p := pointOf(t, i)
	if all := strings.Join(p.Manifest.Noted(), "\n"); !strings.Contains(all, "database: "+told) {
		t.Errorf("noted: %s", all)
	}
	page, err := p.Text(t.Context(), vault.RunbookPath)
	if err != nil || !strings.Contains(string(page), told) {
		t.Errorf("%v\n%s", err, page)
	}
}
