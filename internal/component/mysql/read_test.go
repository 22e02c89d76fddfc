package mysql

import (
	"errors"
	"strings"
	"testing"
)

func TestReadDump(t *testing.T) {
	second := strings.ReplaceAll(strings.ReplaceAll(honest[strings.Index(honest, "DROP"):], "Clients", "Jobs"), "b;", "c;")
	whole := honest + second + ending
	for name, text := range map[string]string{
		"whole":           whole,
		"without locks":   strings.NewReplacer("LOCK TABLES `Clients` WRITE;\n", "", "UNLOCK TABLES;\n", "").Replace(honest) + ending,
		"with rights":     honest + "GRANT ALL ON *.* TO `x`@`%`;\n" + ending,
		"without comment": "CREATE TABLE a (b INT);\nINSERT INTO a VALUES (1);\n",
	} {
		warnings, err := ReadDump(t.Context(), strings.NewReader(text))
		if want := name == "without comment" || name == "with rights"; err != nil || len(warnings) > 0 != want {
			t.Errorf("%s: %q, %v", name, warnings, err)
		}
	}
	// What is missing in the middle of a dump that has its last line.
	from := func(mark string) int { return strings.Index(whole, mark) }
	rows, table := from("INSERT INTO `Clients`"), from("CREATE TABLE `Jobs`")
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                {"", ErrEmptyDump.Error()},
		"cut within a text":      {whole[:rows+31] + "\n" + ending, "inside a quoted text"},
		"cut after rows":         {whole[:from("UNLOCK")] + ending, "never unlocked"},
		"cut to the last line":   {whole[:table], "cut off"},
		"a piece of two tables":  {whole[:rows] + whole[from("INSERT INTO `Jobs`"):], "which the dump does not make"},
		"locked twice":           {whole[:rows] + whole[from("DROP TABLE IF EXISTS `Jobs`"):], "never unlocked"},
		"a definition":           {whole[:table] + whole[from("LOCK TABLES `Jobs`"):], "which the dump does not make"},
		"a piece of a statement": {whole[:rows] + whole[rows+len("INSERT INTO "):], "does not belong into a dump"},
		"a client command":       {honest + "\\! id\n" + ending, "client command"},
	} {
		if _, err := ReadDump(t.Context(), strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadDump(t.Context(), strings.NewReader("-- nothing\n")); !errors.Is(err, ErrEmptyDump) {
		t.Errorf("only comments: %v", err)
	}
}
