package smt

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/lab/machine"
)

const mirrorLock = runDir + "/smt-mirror.pid"

// sums are the digests of the line.
func sums(m *machine.Machine) digest {
	if legacy(m) {
		return digest{name: "sha"}
	}
	return digest{name: "sha256", prefixed: true}
}

// mirror is a double for smt-mirror: it takes SMT's lock, brings every enabled
// repository to what upstream holds, links packages that it has already, checks
// repomd.xml's sums and keeps RepositoryContentData. -d is debug, -L a log
// file, --deepverify reads all packages.
func mirror(m *machine.Machine, c *machine.Call) int {
	logTo, deep := "", false
	for i, a := range c.Args {
		switch {
		case (a == "-L" || a == "--logfile") && i+1 < len(c.Args):
			logTo = c.Args[i+1]
		case a == "--deepverify":
			deep = true
		}
	}
	say := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		c.Printf("%s\n", line)
		if logTo != "" {
			_ = appendLog(logTo, time.Now().Format(time.DateTime)+" smt-mirror - [info]  "+line)
		}
	}
	if err := dropPrivileges(m); err != nil {
		return c.Fail(1, "%s: %v", c.Name, err)
	}
	unlock, err := takeLock(mirrorLock)
	if errors.Is(err, errLocked) {
		say("Mirror process is still running.")
		return 0
	}
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	defer unlock()
	db, conf, err := connect()
	if err != nil {
		return c.Fail(1, "Cannot connect to database: %v", err)
	}
	defer db.Close()
	if d, err := time.ParseDuration(mirrorTime(m)); err == nil {
		time.Sleep(d)
	}
	enabled, err := query(db, "SELECT NAME, IFNULL(TARGET,''), LOCALPATH FROM Catalogs WHERE DOMIRROR = 'Y' ORDER BY NAME, TARGET")
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	_, known := upstream(m)
	bad := 0
	for _, row := range enabled {
		dir := filepath.Join(conf.mirrorTo(), "repo", row[2])
		say("Mirroring: %s %s into %s", row[0], row[1], dir)
		t := &mirrorRun{db: db, dir: dir, digest: sums(m), deep: deep}
		found := false
		for _, k := range known {
			if k.name == row[0] && k.target == row[1] && k.source != "C" {
				found, err = true, t.fetch(k)
			}
		}
		if !found {
			err = verifyMetadata(dir, t.digest) // nobody upstream has it
		}
		if err != nil {
			say("ERROR %s: %v", row[0], err)
			bad++
			continue
		}
		say("=> downloaded %d, linked %d, up to date %d", t.fetched, t.linked, t.same)
		if hasColumn(db, "Catalogs", "LAST_MIRROR") {
			_, err = db.Exec("UPDATE Catalogs SET LAST_MIRROR = NOW() WHERE NAME = ? AND IFNULL(TARGET,'') = ?", row[0], row[1])
			if err != nil {
				return c.Fail(1, "%v", err)
			}
		}
	}
	say("Mirroring finished: %d repositories, %d with errors.", len(enabled), bad)
	if bad > 0 {
		return 1
	}
	return 0
}

// dropPrivileges makes the process user smt, as SMT's tools do from 1.1 on: a
// tree or a configuration with the wrong owner then fails as it does for them.
func dropPrivileges(m *machine.Machine) error {
	if machine.MustPart[Spec](m).Schema == "0.09" || os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := machine.IDs("smt:www")
	if err != nil {
		return err
	}
	return errors.Join(syscall.Setgroups([]int{gid}), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
}

// mirrorTime can be changed on a running system for one test.
func mirrorTime(m *machine.Machine) string {
	if raw, err := readFile(machine.Home + "/mirror-time"); err == nil {
		return strings.TrimSpace(raw)
	}
	return machine.MustPart[Spec](m).MirrorTime
}

type mirrorRun struct {
	db                    *sql.DB
	dir                   string
	digest                digest
	deep                  bool
	fetched, linked, same int
}

// fetch brings one repository up to date.
func (t *mirrorRun) fetch(c catalog) error {
	for _, p := range c.packages {
		if err := t.file(p.location(), p.file(), p.content(), built(p.file())); err != nil {
			return err
		}
	}
	files, err := metadata(c, t.digest)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join("repodata", f.name)
		if err := t.file(name, f.name, f.content, built(c.name)); err != nil {
			return err
		}
	}
	return verifyMetadata(t.dir, t.digest)
}

// file brings one file up to date: it is there, or linked, or downloaded.
func (t *mirrorRun) file(location, name string, content []byte, when time.Time) error {
	path, sum := filepath.Join(t.dir, location), t.digest.sum(content)
	good, err := t.upToDate(path, sum, len(content))
	if err != nil {
		return err
	}
	switch {
	case good:
		t.same++
	case t.link(path, name, sum):
		t.linked++
	default:
		if err := put(path, content, when); err != nil {
			return err
		}
		t.fetched++
	}
	if name == "repomd.xml" {
		return nil
	}
	return remember(t.db, path, name, sum, t.digest.name)
}

// upToDate trusts size and name of a package unless it reads deep, but always
// reads metadata.
func (t *mirrorRun) upToDate(path, sum string, size int) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.Size() != int64(size) {
		return false, err
	}
	if !t.deep && strings.HasSuffix(path, ".rpm") {
		return true, nil
	}
	content, err := os.ReadFile(path)
	return err == nil && t.digest.sum(content) == sum, err
}

// link takes a file with that name and sum that another repository has.
func (t *mirrorRun) link(path, name, sum string) bool {
	if !hasTable(t.db, "RepositoryContentData") {
		return false
	}
	rows, err := query(t.db, "SELECT localpath FROM RepositoryContentData WHERE name = ? AND checksum = ? AND localpath <> ?", name, sum, path)
	if err != nil {
		return false
	}
	for _, r := range rows {
		if content, err := os.ReadFile(r[0]); err != nil || t.digest.sum(content) != sum {
			continue
		}
		if mirrorDirs(filepath.Dir(path)) != nil {
			return false
		}
		_ = os.Remove(path)
		if os.Link(r[0], path) == nil {
			return true
		}
	}
	return false
}

// remember keeps the cache of mirrored files, where the schema has one.
func remember(db *sql.DB, path, name, sum, kind string) error {
	if !hasTable(db, "RepositoryContentData") {
		return nil
	}
	text, args := "REPLACE INTO RepositoryContentData (localpath, name, checksum) VALUES (?, ?, ?)", []any{path, name, sum}
	if hasColumn(db, "RepositoryContentData", "checksum_type") {
		text, args = "REPLACE INTO RepositoryContentData (localpath, name, checksum, checksum_type) VALUES (?, ?, ?, ?)", append(args, kind)
	}
	_, err := db.Exec(text, args...)
	return err
}

var errLocked = errors.New("locked")

// takeLock makes a pid file; one whose process is gone counts as none.
func takeLock(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o775); err != nil {
		return nil, err
	}
	for range 2 {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
			if err = errors.Join(err, f.Close()); err != nil {
				return nil, err
			}
			return func() { _ = os.Remove(path) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if _, alive := machine.PidAlive(path); alive {
			return nil, errLocked
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, errLocked
}
