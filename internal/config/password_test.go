package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// put writes a file with exactly this mode.
func put(t *testing.T, file, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPassword(t *testing.T) {
	dir := t.TempDir()
	const lines = "p w\"#'\r\n"
	file := put(t, filepath.Join(dir, "password"), lines, 0o600)
	group := put(t, filepath.Join(dir, "group"), lines, 0o640)
	t.Setenv("LIFEBOAT_TEST_PASSWORD", " from env\n")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, test := range []struct {
		name, want, warning string
		from                Password
	}{
		{name: "file", from: Password{File: file}, want: `p w"#'`},
		{name: "file of a group", from: Password{File: group}, want: `p w"#'`, warning: "chmod 600"},
		{name: "env", from: Password{Env: "LIFEBOAT_TEST_PASSWORD"}, want: " from env\n"},
		{name: "credential", from: Password{Credential: "password"}, want: `p w"#'`},
		{name: "credential of a unit with User=", from: Password{Credential: "group"}, want: `p w"#'`},
		{name: "command", from: Password{Command: []string{"echo", "from a command"}}, want: "from a command"},
		{name: "command in its directory", from: Password{Command: []string{"pwd"}, Dir: "/proc"}, want: "/proc"},
		{name: "command in the root", from: Password{Command: []string{"pwd"}}, want: "/"},
		{name: "command with our environment", from: Password{Command: []string{"printenv", "LIFEBOAT_TEST_PASSWORD"}}, want: "from env"},
	} {
		got, err := test.from.Read(t.Context())
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
		if warning := test.from.Warning(); (test.warning == "") != (warning == "") || !strings.Contains(warning, test.warning) {
			t.Errorf("%s: warning %q", test.name, warning)
		}
	}
}

// Stock restic takes the same password from the same bytes.
func TestPasswordAsRestic(t *testing.T) {
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("needs restic: it is the judge")
	}
	dir := t.TempDir()
	repo, right, at := filepath.Join(dir, "repo"), put(t, filepath.Join(dir, "right"), "p\u00e4 ss\nx", 0o600), filepath.Join(dir, "password")
	restic := func(args ...string) error {
		cmd := exec.Command("restic", append([]string{"--quiet", "--no-cache", "--repo", repo}, args...)...)
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=", "RESTIC_PASSWORD_FILE=", "RESTIC_PASSWORD_COMMAND=")
		return cmd.Run()
	}
	if err := restic("init", "--password-file", right); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, tt := range []struct {
		text         string
		file, output bool // opens, as a file and as what a command prints
	}{
		{"p\u00e4 ss\nx", true, true},
		{"\r\n\u00a0p\u00e4 ss\nx \t\r\n\n", true, true},
		{"\xef\xbb\xbf p\u00e4 ss\nx\n", true, false},
		{" \xef\xbb\xbfp\u00e4 ss\nx\n", false, false},
		{"\xff\xfep\x00\xe4\x00 \x00s\x00s\x00\n\x00x\x00\r\x00\n\x00", true, false},
		{"\xfe\xff\x00p\x00\xe4\x00 \x00s\x00s\x00\n\x00x", true, false},
		{"\xff\xfep\x00\xe4\x00 \x00s\x00s\x00\n\x00x\x00\n", false, false},
		{"p\u00e4 ss", false, false},
	} {
		put(t, at, tt.text, 0o600)
		if err := restic("cat", "config", "--password-file", at); (err == nil) != tt.file {
			t.Errorf("%q: restic with a file: %v", tt.text, err)
		}
		if tt.file == tt.output {
			// The answer is known, and each call takes half a second.
		} else if err := restic("cat", "config", "--password-command", "cat "+at); (err == nil) != tt.output {
			t.Errorf("%q: restic with a command: %v", tt.text, err)
		}
		for _, from := range []struct {
			Password
			want bool
		}{
			{Password{File: at}, tt.file},
			{Password{Credential: "password"}, tt.file},
			{Password{Command: []string{"cat", at}}, tt.output},
		} {
			got, err := from.Read(t.Context())
			if err != nil || (string(got) == "p\u00e4 ss\nx") != from.want {
				t.Errorf("%q: %q, %v", tt.text, got, err)
			}
		}
	}
}

func TestPasswordRefused(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	put(t, filepath.Join(dir, "open"), "x", 0o644)
	patience := commandPatience
	t.Cleanup(func() { commandPatience = patience })
	for _, test := range []struct {
		name, want string
		from       Password
	}{
		{"empty file", "is empty", Password{File: put(t, filepath.Join(dir, "empty"), "\n", 0o600)}},
		{"file for all", "chmod 600", Password{File: filepath.Join(dir, "open")}},
		{"file that its group may write", "chmod 600", Password{File: put(t, filepath.Join(dir, "writable"), "x", 0o660)}},
		{"large file", "larger than", Password{File: put(t, filepath.Join(dir, "large"), strings.Repeat("x", maxPassword+1), 0o600)}},
		{"missing file", "is not there: write the password", Password{File: filepath.Join(dir, "none")}},
		{"directory", "is a directory", Password{File: dir}},
		{"unset variable", "is not set", Password{Env: "LIFEBOAT_TEST_UNSET"}},
		{"credential for all", "chmod 600", Password{Credential: "open"}},
		{"no such credential", "LoadCredential=none:FILE", Password{Credential: "none"}},
		{"failing command", "exit code 1", Password{Command: []string{"false"}}},
		{"talking command", "no such entry", Password{Command: []string{"sh", "-c", "echo secret; echo no such entry >&2; exit 3"}}},
		{"silent command", "printed nothing", Password{Command: []string{"true"}}},
		{"command that hangs", "must not ask", Password{Command: []string{"sleep", "60"}}},
		{"command that never ends to print", "more than a password", Password{Command: []string{"yes", "secret"}}},
		{"missing command", "lifeboat-no-such-program", Password{Command: []string{"lifeboat-no-such-program"}}},
		{"nothing", "exactly one of", Password{}},
	} {
		commandPatience = patience
		if test.name == "command that hangs" {
			commandPatience = 200 * time.Millisecond
		}
		got, err := test.from.Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := (Password{Credential: "x"}).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "CREDENTIALS_DIRECTORY is not set") {
		t.Errorf("not started by systemd: %v", err)
	}
}

func TestParseCommand(t *testing.T) {
	for text, want := range map[string][]string{
		" pass  show lifeboat ":      {"pass", "show", "lifeboat"},
		`[pass, show, "my, secret"]`: {"pass", "show", "my, secret"},
		"[pass, 7]":                  {"pass", "7"},
		"":                           nil,
		"[]":                         nil,
		"[pass":                      nil,
		"[[a]]":                      nil,
		"pass show 'a b'":            nil,
		"cat file | head -1":         nil,
		"echo $SECRET":               nil,
	} {
		got, err := ParseCommand(text)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, text := range []string{"pass show x", `[a, "b c"]`, "[", "a 'b'", "[&a b, *a]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := ParseCommand(text)
		if (err == nil) != (len(words) > 0 && words[0] != "") {
			t.Errorf("%q, %v", words, err)
		}
	})
}
