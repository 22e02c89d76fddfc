package mysql

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
)

const honest = `/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40101 SET NAMES utf8 */;
DROP TABLE IF EXISTS ` + "`Clients`" + `;
CREATE TABLE ` + "`Clients`" + ` (GUID CHAR(50) PRIMARY KEY, LASTCONTACT TIMESTAMP NOT NULL DEFAULT '0000-00-00 00:00:00') ENGINE=MyISAM DEFAULT CHARSET=latin1;
LOCK TABLES ` + "`Clients`" + ` WRITE;
/*!40000 ALTER TABLE ` + "`Clients`" + ` DISABLE KEYS */;
INSERT INTO ` + "`Clients`" + ` VALUES ('ä','0000-00-00 00:00:00'),('b;\'','2020-01-01 00:00:00');
/*!40000 ALTER TABLE ` + "`Clients`" + ` ENABLE KEYS */;
UNLOCK TABLES;
`

const ending = "-- Dump completed on 2026-11-21\n"

func stageText(t *testing.T, text string) (*Staged, error) {
	t.Helper()
	return stageBytes(t, []byte(text))
}

func stageBytes(t *testing.T, data []byte) (*Staged, error) {
	t.Helper()
	if _, err := host.Local().Look("mariadbd", "mysqld"); err != nil {
		t.Skip("needs mariadb-server")
	}
	st, err := Stage(t.Context(), bytes.NewReader(data), StageOptions{Database: "smt", State: t.TempDir(), Dir: stagingDir()})
	if st != nil {
		t.Cleanup(func() { _ = st.Close(t.Context()) })
	}
	return st, err
}

// stagingDir is shared by the cases: making the server's data takes the time.
func stagingDir() string { return fmt.Sprintf("%s/mysql-stage-%d", memoryRoot(), os.Getpid()) }

func TestStageAndRestore(t *testing.T) {
	l := newLab(t)
	dump := honest + "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER sneaky BEFORE INSERT ON Clients FOR EACH ROW SET @x = 1 */;\n" +
		"DELIMITER ;;\nCREATE DEFINER=`root`@`localhost` PROCEDURE p() BEGIN DROP DATABASE mysql; END ;;\nDELIMITER ;\n" +
		"GRANT ALL ON *.* TO evil@'%';\n" + ending
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, strings.ReplaceAll(dump, "smt", l.name)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	staged, err := Stage(t.Context(), &packed, StageOptions{Database: l.name, State: t.TempDir(), Dir: stagingDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close(t.Context())
	if got := strings.Join(staged.Skipped, "; "); got != "trigger sneaky; procedure p; accounts and rights" {
		t.Errorf("skipped %s", got)
	}
	if staged.Tables != 1 || staged.Rows != 2 || len(staged.Warnings) != 1 || !strings.Contains(staged.Warnings[0], "trigger sneaky, procedure p") {
		t.Errorf("%+v", staged)
	}
	st := &store{}
	captured, err := staged.Capture(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if objects := string(st.streams["databases/"+l.name+".objects.sql"]); strings.Contains(objects, "sneaky") || strings.Contains(objects, "evil") || strings.Contains(objects, stageUser) {
		t.Errorf("foreign objects came through:\n%s", objects)
	}
	if err := l.component(memory(t), nil).Restore(t.Context(), st, component.RestoreOptions{Record: recordOf(t, captured)}); err != nil {
		t.Fatal(err)
	}
	if got := l.column("SELECT HEX(GUID) FROM " + table(l.name, "Clients") + " ORDER BY HEX(GUID) DESC"); got[0] != "E4" || got[1] != "623B27" {
		t.Errorf("rows %q", got)
	}
}

func TestStageRefuses(t *testing.T) {
	marker := t.TempDir() + "/marker"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "dump is empty"},
		{"no tables", "-- nothing\n" + ending, "no table"},
		{"cut off", honest, "cut off"},
		{"cut in a row", honest[:len(honest)-120], "cut off"},
		{"shell", honest + "\\! touch " + marker + "\n" + ending, "client command"},
		{"shell behind a delimiter", honest + "DELIMITER //\n\\! touch " + marker + "\n//\n" + ending, "client command"},
		{"system", honest + "system touch " + marker + "\n;" + ending, "does not belong"},
		{"source", honest + "source /etc/passwd;\n" + ending, "does not belong"},
		{"reads a file", honest + "LOAD DATA INFILE '/etc/passwd' INTO TABLE Clients;\n" + ending, "does not belong"},
		{"reads a client's file", honest + "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE Clients;\n" + ending, "does not belong"},
		{"hidden reading", honest + "/*!50000 LOAD */ DATA INFILE '/etc/passwd' INTO TABLE Clients;\n" + ending, "does not belong"},
		{"writes a file", honest + "SELECT 1 INTO OUTFILE '" + marker + "';\n" + ending, "does not belong"},
		{"writes a file from SET", honest + "SET @a = (SELECT 1 INTO OUTFILE '" + marker + "');\n" + ending, "computed"},
		{"other database", honest + "INSERT INTO mysql.global_priv VALUES ('%','evil','{}');\n" + ending, "another database"},
		{"other database, quoted", honest + "DROP TABLE `mysql` . `global_priv`;\n" + ending, "another database"},
		{"reads other databases", honest + "INSERT INTO Clients SELECT User, NOW() FROM mysql.global_priv;\n" + ending, "computed"},
		{"plugin", honest + "INSTALL PLUGIN x SONAME 'x.so';\n" + ending, "does not belong"},
		{"two at once", honest + "/*! DROP TABLE Clients; DROP DATABASE smt */;\n" + ending, "syntax"},
		{"data directory", honest + "CREATE TABLE d (a INT) ENGINE=InnoDB DATA DIRECTORY='/tmp';\n" + ending, "outside the server"},
		{"index directory", honest + "CREATE TABLE d (a INT) ENGINE=MyISAM /*!50100 INDEX */ DIRECTORY '/tmp';\n" + ending, "outside the server"},
		{"only another database", "CREATE DATABASE other;\nUSE other;\nCREATE TABLE a (x INT);\n" + ending, "it holds database other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := stageText(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a hostile dump wrote a file")
	}
}

func TestStageTakesItsDatabaseOutOfMany(t *testing.T) {
	st, err := stageText(t, "CREATE DATABASE `mysql`;\nUSE `mysql`;\nCREATE TABLE user (a INT);\nINSERT INTO user VALUES (1);\n"+
		"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `smt`;\nUSE `smt`;\nSET @@GLOBAL.GTID_PURGED='x';\n"+honest+"USE other;\nDROP TABLE Clients;\n"+ending)
	if err != nil {
		t.Fatal(err)
	}
	if st.Tables != 1 || st.Rows != 2 {
		t.Errorf("%+v", st)
	}
}

func TestStageWithoutComments(t *testing.T) {
	st, err := stageText(t, "CREATE TABLE Clients (GUID INT PRIMARY KEY);\nINSERT IGNORE INTO Clients VALUES (1),(1);\nINSERT INTO Clients (GUID) VALUES (7);\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Warnings) != 2 || st.Rows != 2 {
		t.Errorf("%+v", st)
	}
}

func TestCompletedAt(t *testing.T) {
	for line, want := range map[string]string{
		"-- Dump completed on 2019-03-04  9:05:06": "2019-03-04 09:05:06",
		"-- Dump completed on 2019-03-04 19:05:06": "2019-03-04 19:05:06",
		"-- Dump completed on 2019-03-04":          "",
		"-- Dump completed":                        "",
		"-- Dump completed on 2019-13-04 19:05:06": "",
		"": "",
	} {
		got := ""
		if when := completedAt(line); !when.IsZero() {
			got = when.Format("2006-01-02 15:04:05")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestStageBounds(t *testing.T) {
	if _, err := io.Copy(io.Discard, &bounded{r: strings.NewReader(strings.Repeat("x", 100)), left: 99}); err == nil {
		t.Error("a dump larger than allowed was taken")
	}
	if _, err := unpack(strings.NewReader("\x1f\x8bxx")); err == nil {
		t.Error("a broken gzip file was taken")
	}
}

func TestDistinct(t *testing.T) {
	if got := strings.Join(distinct([]string{"trigger x", "view y", "view y"}), ", "); got != "trigger x, view y" {
		t.Error(got)
	}
}
