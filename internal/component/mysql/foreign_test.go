package mysql

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
)

// formed has what tools write; the names of cases are the tools' or the traps'.
var formed = []struct {
	name, text string
	want       string // of the refusal; "" is none
}{
	{"mysqldump", "INSERT INTO `a` VALUES (1,-2.5e-3,NULL,'x''y\\'z;',_binary 'q',0xAB,x'0f',b'1')", ""},
	{"columns", "INSERT  IGNORE INTO `o`.`a` (`id`, b) VALUES\n(1,'(SELECT 1)'),\n(+2,DEFAULT)", ""},
	{"replace", "REPLACE INTO \"a\" VALUES (TRUE)", ""},
	{"rows of a query", "INSERT INTO a SELECT SLEEP(1e9)", "rows that are computed"},
	{"rows of a recursion", "INSERT INTO a WITH RECURSIVE c AS (SELECT 1) SELECT * FROM c", "rows that are computed"},
	{"rows of SET", "INSERT INTO a SET b = SLEEP(1e9)", "rows that are computed"},
	{"columns and a query", "INSERT INTO a (b) (SELECT 1)", "no rows"},
	{"a value that waits", "INSERT INTO a VALUES (SLEEP(1e9))", "computed"},
	{"a quoted function", "INSERT INTO a VALUES (1,`sleep`(1e9))", "computed"},
	{"behind a comment", "INSERT INTO a VALUES (1,/* x */ BENCHMARK(1e12,1))", "computed"},
	{"behind the rows", "INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE b = SLEEP(1e9)", "computed"},
	{"an expression", "INSERT INTO a VALUES ('x' RLIKE '(x+)+y')", "computed"},
	{"in a text", "INSERT INTO a VALUES (1 /*!99999 '*/,SLEEP(1e9)) -- '*/)", "comment inside a comment"},
	{"in a line comment", "INSERT INTO a VALUES (1 /*!99999 -- */,SLEEP(1e9))\n*/)", "comment inside a comment"},
	{"in nested comments", "INSERT INTO a VALUES (1 /*!99999 /* */ */)", "comment inside a comment"},
	{"behind an odd comment", "INSERT INTO a VALUES (1 --\x7f'\n,SLEEP(1e9)) -- '\n)", "computed"},
	{"a control character", "INSERT INTO a VALUES (\x01)", "control character"},
	{"settings", "/*!40101 SET @OLD=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */", ""},
	{"HeidiSQL", "/*!40101 SET SQL_MODE=IFNULL(@OLD_SQL_MODE, '') */", ""},
	{"a setting that waits", "SET @a = SLEEP(1e9)", "computed"},
	{"a setting of a query", "SET @a = (SELECT 1)", "computed"},
	{"another limit", "SET SESSION /*!100 `max_statement_time` */ = 0", "limits"},
	{"tables", "CREATE TABLE a (id INT /*!80023 INVISIBLE */, `select` CHAR(3) DEFAULT 'select', j JSON CHECK (json_valid(j)), s INT COMMENT 'sleep(1)') /*!50100 PARTITION BY HASH (id) */", ""},
	{"a table of a query", "CREATE TABLE a AS SELECT SLEEP(1e9)", "rows that are computed"},
	{"a column that waits", "CREATE TABLE a (x INT DEFAULT (SLEEP(1e9)))", "would wait"},
	{"a quoted function in a table", "ALTER TABLE a ADD x INT AS (`get_lock`('a', 1e9))", "would wait"},
	{"sequence", "DO SETVAL(`s`, 5, 0)", ""},
	{"more than a sequence", "SELECT SETVAL(`s`, 5, 0), SLEEP(1e9)", "computes"},
	{"a lock", "LOCK TABLES `a` WRITE", ""},
}

func TestOwnForm(t *testing.T) {
	for _, c := range formed {
		t.Run(c.name, func(t *testing.T) {
			k := classify([]byte(c.text))
			if !runs(k.verb) {
				t.Fatalf("it is %s and would not run", k.verb)
			}
			err := ownForm([]byte(c.text), k.verb, false)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if err := ownForm([]byte(`INSERT INTO "a\" VALUES (SLEEP(1e9)) -- "`), verbInsert, true); err == nil {
		t.Error("a backslash in a name")
	}
	for _, program := range []string{"BEGIN NOT ATOMIC SELECT SLEEP(1e9); END", "BEGIN WORK x"} {
		if k := classify([]byte(program)); k.verb != verbOther {
			t.Errorf("%q is %s", program, k.verb)
		}
	}
}

func TestStageEndsWhatTakesTooLong(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"computed rows", honest + "INSERT INTO Clients SELECT SLEEP(1e9), NOW();\n" + ending, "rows that are computed"},
		{"a program", honest + "DELIMITER //\nBEGIN NOT ATOMIC SELECT SLEEP(1e9); END//\n" + ending, "does not belong"},
		{"other texts", honest + "SET @a='NO_BACKSLASH';\nSET sql_mode=CONCAT(@a,'_ESCAPES');\n" + ending, "NO_BACKSLASH_ESCAPES"},
		{"other letters", honest + "SET NAMES gbk;\n" + ending, "character set gbk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := stageText(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := host.Local().Look("mariadbd", "mysqld"); err != nil {
		t.Skip("needs mariadb-server")
	}
	_, err := Stage(t.Context(), bytes.NewReader([]byte(honest+ending)), StageOptions{Database: "smt", State: t.TempDir(), Dir: stagingDir(), Statement: time.Nanosecond})
	if err == nil || !strings.Contains(err.Error(), "takes longer than 1ns") {
		t.Errorf("error %v", err)
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"opsi": "", "opsi-4.2_$": "", "mysql": "own", "MySQL": "own", "information_schema": "own", "performance_schema": "own", "sys": "own",
		"": "only letters", "../x": "only letters", "a`b": "only letters", "a b": "only letters", strings.Repeat("x", 65): "only letters",
	} {
		if err := CheckName(name); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzOwnForm: no statement is taken for rows that are written out when the words of
// what computes stand in it outside texts, by the other reader of statements.
func FuzzOwnForm(f *testing.F) {
	for _, c := range formed {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, stmt []byte) {
		k := classify(stmt)
		if !runs(k.verb) || ownForm(stmt, k.verb, false) != nil || ownForm(stmt, k.verb, true) != nil || k.verb != verbInsert {
			return
		}
		found := tokens(stmt, 1<<16)
		begun := false
		for i, word := range found[:max(0, len(found)-1)] {
			begun = begun || word.kind == kindWord && oneOf(word.text, "VALUES", "VALUE")
			if begun && word.kind == kindWord && oneOf(word.text, "SLEEP", "BENCHMARK") && found[i+1] == (token{kindMark, "("}) {
				t.Errorf("%q would run %s", stmt, word.text)
			}
		}
	})
}
