package mysql

import (
	"strings"
	"testing"
)

func TestReadOptionFile(t *testing.T) {
	const text = `# comment
[mysqld]
user=server
[client]
user = "some one"   # who
password='it"s # in'
socket=/run/x#y
port
default_character_set=utf8
!includedir /etc
[mysqldump]
password=last\\one\s
`
	got, err := readOptionFile(strings.NewReader(text), "client", "mysqldump")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"user": "some one", "password": `last\one `, "socket": "/run/x", "port": "", "default-character-set": "utf8"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

// FuzzOptionFile: every value that can be written is read back.
func FuzzOptionFile(f *testing.F) {
	for _, s := range []string{"plain", `"`, `\`, `'`, "# x", " a ", "a\nb\tc\rd\be", `\n`, `a"b'c#d\e`, ";", "[x]", "=", "", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := writeOptionFile("client", [][2]string{{"password", value}})
		if err != nil {
			return
		}
		got, err := readOptionFile(strings.NewReader(text), "client")
		if err != nil || got["password"] != value {
			t.Fatalf("%q comes back as %q, %v", value, got["password"], err)
		}
	})
}

func FuzzReadOptionFile(f *testing.F) {
	f.Add("[client]\nuser=x\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = readOptionFile(strings.NewReader(text), "client") })
}

// FuzzAccount: whatever a statement says, it is refused or names one account.
func FuzzAccount(f *testing.F) {
	for _, s := range []string{
		"CREATE USER IF NOT EXISTS `a`@`b` IDENTIFIED BY PASSWORD '*X'", "GRANT SELECT (`x`), UPDATE ON `d`.`t` TO `a`@`b` WITH GRANT OPTION",
		"ALTER USER `a`@`b` REQUIRE NONE", "GRANT ALL ON `d`.* TO 'a'@'%'", "GRANT ALL ON `d`.* TO `a`@`b`,`c`@`d`",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAccount(text, "d")
		if err == nil && a.kind == "" {
			t.Fatalf("%q has no kind", text)
		}
		if back := revoke(text); back != "" && !strings.HasPrefix(back, "REVOKE ") {
			t.Fatalf("%q is taken back with %q", text, back)
		}
		splitIdentity(text)
		afterAccount(text)
	})
}
