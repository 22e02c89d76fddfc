package mysql

import (
	"slices"
	"strings"
	"testing"
)

func split(t *testing.T, script string, chunk int) ([]string, []int64, string, error) {
	t.Helper()
	var got []string
	var groups []int64
	s := newSplitter(func(s statement) error {
		got = append(got, string(s.text))
		groups = append(groups, s.groups)
		return nil
	})
	for rest := script; rest != ""; {
		n := min(chunk, len(rest))
		if _, err := s.Write([]byte(rest[:n])); err != nil {
			return got, groups, "", err
		}
		rest = rest[n:]
	}
	err := s.Close()
	return got, groups, s.lastComment(), err
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         []string
		comment      string
		bad          string
	}{
		{name: "empty"},
		{name: "comments only", script: "-- a\n# b\n/* c; */\n", comment: ""},
		{name: "two", script: "SELECT 1; SELECT 2 ;", want: []string{"SELECT 1", "SELECT 2"}},
		{name: "trailer", script: "SELECT 1;\n\n-- Dump completed on 2026\n", want: []string{"SELECT 1"}, comment: "-- Dump completed on 2026"},
		{name: "trailer then statement", script: "-- Dump completed\nSELECT 1;\n", want: []string{"SELECT 1"}},
		{name: "quotes", script: `INSERT INTO t VALUES ('a;b\'c;','d''e;',"f\";");`, want: []string{`INSERT INTO t VALUES ('a;b\'c;','d''e;',"f\";")`}},
		{name: "name with quote", script: "SELECT `a;'b`;SELECT 2;", want: []string{"SELECT `a;'b`", "SELECT 2"}},
		{name: "back quotes know no backslash", script: "SELECT `a\\`;SELECT 2;", want: []string{"SELECT `a\\`", "SELECT 2"}},
		{name: "comment inside is kept", script: "BEGIN -- it's\n x /* ; ' */; END;", want: []string{"BEGIN -- it's\n x /* ; ' */", "END"}},
		{name: "executable comment", script: "/*!50003 SELECT 1; SELECT 2 */;", want: []string{"/*!50003 SELECT 1; SELECT 2 */"}},
		{name: "sandbox line", script: "/*M!999999\\- enable the sandbox mode */ \nSELECT 1;", want: []string{"SELECT 1"}},
		{name: "sandbox line of 2024", script: "/*!999999\\- enable the sandbox mode */\nSELECT 1;", want: []string{"SELECT 1"}},
		{name: "delimiter", script: "DELIMITER ;;\nBEGIN a; b; END ;;\ndelimiter ;\nSELECT 1;", want: []string{"BEGIN a; b; END", "SELECT 1"}},
		{name: "delimiter in windows script", script: "DELIMITER $$\r\nBEGIN a; END$$\r\nDELIMITER ;\r\nSELECT 1;\r\n", want: []string{"BEGIN a; END", "SELECT 1"}},
		{name: "minus minus is no comment", script: "SELECT 1--2;", want: []string{"SELECT 1--2"}},
		{name: "client command", script: "SELECT 1;\n\\! touch /tmp/x\n", want: []string{"SELECT 1"}, bad: "line 2: a client command"},
		{name: "client command inside", script: "SELECT 1 \\g SELECT 2;", bad: "client command"},
		{name: "cut in text", script: "INSERT INTO t VALUES ('a", bad: "ends inside a quoted text"},
		{name: "cut after backslash", script: "INSERT INTO t VALUES ('a\\", bad: "ends inside a quoted text"},
		{name: "cut in statement", script: "SELECT 1;\nINSERT INTO t VALUES (1),", want: []string{"SELECT 1"}, bad: "line 2: the script ends inside a statement"},
		{name: "cut in comment", script: "SELECT 1; /* and", want: []string{"SELECT 1"}, bad: "ends inside a comment"},
		{name: "delimiter missing", script: "DELIMITER \nSELECT 1;", bad: "DELIMITER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, chunk := range []int{1, 2, 3, 17, 1 << 20} {
				got, _, comment, err := split(t, c.script, chunk)
				if !slices.Equal(got, c.want) {
					t.Errorf("chunk %d: got %q, want %q", chunk, got, c.want)
				}
				if c.bad == "" && (err != nil || comment != c.comment) {
					t.Errorf("chunk %d: comment %q, error %v", chunk, comment, err)
				}
				if c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)) {
					t.Errorf("chunk %d: error %v, want %q", chunk, err, c.bad)
				}
			}
		})
	}
}

func TestSplitCountsRows(t *testing.T) {
	for script, want := range map[string]int64{
		"INSERT INTO `t` VALUES (1,'(a)'),(2,'),(');":              2,
		"INSERT INTO `t` (`a`, `(b`) VALUES\n(1,2),\n(3,4);":       2,
		"INSERT INTO t VALUES (1,(2+(3))),(4,_binary '\\'(');":     2,
		"REPLACE INTO t VALUES (0x28);":                            1,
		"INSERT IGNORE INTO `x``(` VALUES (/* ( */ 1), -- (\n(2);": 2,
	} {
		var rows int64
		s := newSplitter(func(s statement) error { rows = classify(s.text).rows(s); return nil })
		if _, err := s.Write([]byte(script)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if rows != want {
			t.Errorf("%s: %d rows, want %d", script, rows, want)
		}
	}
}

func TestClassify(t *testing.T) {
	for script, want := range map[string]class{
		"/* nothing */": {verb: verbNothing},
		"/*!40000 ALTER TABLE `a` DISABLE KEYS */":    {verb: verbAlterTable, name: "a"},
		"DROP TABLE IF EXISTS `a`":                    {verb: verbDropTable, object: "TABLE", name: "a"},
		"CREATE TABLE IF NOT EXISTS `d`.`a` (x INT)":  {verb: verbCreateTable, object: "TABLE", name: "a", database: "d"},
		"CREATE SEQUENCE `s` start with 1":            {verb: verbCreateTable, object: "SEQUENCE", name: "s"},
		"create unique index i on t (a)":              {verb: verbCreateIndex, object: "INDEX", name: "i"},
		"INSERT INTO mysql.user VALUES (1)":           {verb: verbInsert, name: "user", database: "mysql"},
		"SET NAMES utf8mb4":                           {verb: verbSet},
		"/*!40101 SET @OLD_X=@@X */":                  {verb: verbSet},
		"SET GLOBAL general_log=1":                    {verb: verbSetGlobal},
		"SET @a=1, @@GLOBAL.general_log_file='/x'":    {verb: verbSetGlobal},
		"SET @@/**/global.x=1":                        {verb: verbSetGlobal},
		"/*!80000 SET PERSIST x=1 */":                 {verb: verbSetGlobal},
		"SET PASSWORD = 'x'":                          {verb: verbAccounts},
		"USE `other`":                                 {verb: verbUse, name: "other"},
		"LOCK TABLES `a` WRITE":                       {verb: verbLock, name: "a"},
		"LOAD DATA INFILE '/etc/passwd' INTO TABLE t": {verb: verbOther, name: "LOAD"},
		"SELECT 1 INTO OUTFILE '/tmp/x'":              {verb: verbOther, name: "SELECT"},
		"/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`l`*/ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @x=1 */": {verb: verbCreateObject, object: "TRIGGER", name: "t"},
		"CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1":                     {verb: verbCreateObject, object: "VIEW", name: "v"},
		"CREATE DEFINER=CURRENT_USER() PROCEDURE p() SELECT 1":                                                        {verb: verbCreateObject, object: "PROCEDURE", name: "p"},
		"CREATE USER a@b":                                {verb: verbAccounts, object: "USER", name: "a"},
		"GRANT ALL ON *.* TO x":                          {verb: verbAccounts},
		"INSTALL PLUGIN x SONAME 'y.so'":                 {verb: verbOther, name: "INSTALL"},
		"CREATE FUNCTION f RETURNS STRING SONAME 'x.so'": {verb: verbCreateObject, object: "FUNCTION", name: "f"},
		"DROP DATABASE mysql":                            {verb: verbOther, object: "DATABASE", name: "mysql"},
	} {
		if got := classify([]byte(script)); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", script, got, want)
		}
	}
}

// FuzzSplit: the cutting does not depend on how the bytes arrive, nothing
// panics, and no statement holds an unquoted delimiter.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		"SELECT 1;", "DELIMITER ;;\na;b;;", "/*!1 'x' */;", "-- x\n'\\", "`a``b`;(()(;)", "/*M!999999\\- x\nSELECT 2;", "DELIMITER '\nx", "/*/*!*/;*/;",
	} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, script string, chunk int) {
		if chunk < 1 || len(script) > 1<<16 {
			return
		}
		whole, groups, comment, err := split(t, script, len(script)+1)
		parts, groups2, comment2, err2 := split(t, script, chunk)
		if !slices.Equal(whole, parts) || !slices.Equal(groups, groups2) || comment != comment2 || (err == nil) != (err2 == nil) {
			t.Fatalf("whole %q %v, in parts %q %v", whole, err, parts, err2)
		}
		for _, s := range whole {
			classify([]byte(s))
		}
	})
}

// BenchmarkDumpCheck measures what validating costs beside compressing.
func BenchmarkDumpCheck(b *testing.B) {
	row := "(123456,'SLES11-SP1-Updates','it''s a \\'quoted\\' text of some length, as names and descriptions are',0x00FF00FF00FF00FF,NULL,'2026-11-21 00:00:00')"
	insert := []byte("INSERT INTO `t` VALUES\n" + strings.Repeat(row+",\n", 5000) + row + ";\n")
	b.SetBytes(int64(len(insert)))
	c := newDumpCheck(nil)
	for b.Loop() {
		for p := insert; len(p) > 0; p = p[min(len(p), 256<<10):] {
			if _, err := c.split.Write(p[:min(len(p), 256<<10)]); err != nil {
				b.Fatal(err)
			}
		}
	}
}
