package test

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeboat/internal/product/opsi/document/documenttest"
)

// exits runs a command that must end with exactly this code:
//
//	exits 4 on new lifeboat recover smt --yes
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("%q is no exit code", args[0])
	}
	if code := exitCode(ts, args[1:]); code != want {
		ts.Fatalf("%s ended with exit code %d, not %d", strings.Join(args[1:], " "), code, want)
	}
}

// exitCode runs a command; -1 is a signal.
func exitCode(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("%s: %v", args[0], err)
	return -1
}

// patience is how long something may take that happens by itself. It only
// bounds a failing test.
const patience = 60 * time.Second

// eventually repeats a command until it succeeds, or fails with a !:
//
//	eventually on old rcsmt status
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] eventually COMMAND [ARG...]")
	}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if (exitCode(ts, args) == 0) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s did not come to that within %v", strings.Join(args, " "), patience)
		}
	}
}

// waits is what lifeboat says last when a run needs a person.
var waits = regexp.MustCompile(`(?m)^lifeboat: the run waits: (.*)$`)

// administrator recovers a lab system as a person would: begins with the command
// that is given, does by hand what the run asks for, and resumes it until it
// ends or fails. The exit code must be the one given. CLIENT is a client.json.
//
//	administrator 0 new CLIENT lifeboat recover smt --yes …
func administrator(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: administrator CODE SYSTEM CLIENT COMMAND [ARG...]")
	}
	want, system, client := args[0], args[1], ts.MkAbs(args[2])
	protected := "smt"
	if i := slices.Index(args, "recover"); i >= 0 && i+1 < len(args) {
		protected = args[i+1]
	}
	inside := func(command ...string) []string { return append([]string{"on", system}, command...) }
	next := args[3:]
	for range 30 {
		code := exitCode(ts, inside(next...))
		text := ts.ReadFile("stderr")
		next = []string{"lifeboat", "recover", protected, "--resume"}
		if strings.Contains(text, "the sandbox went down") {
			continue // the machine restarts, and took the command with it
		}
		asked := waits.FindStringSubmatch(text)
		if code != 5 || asked == nil {
			if strconv.Itoa(code) != want {
				ts.Fatalf("the recovery ended with exit code %d, not %s", code, want)
			}
			return
		}
		var act []string
		switch {
		case strings.HasPrefix(asked[1], "Register"):
			act = inside("sh", "-c", "if command -v SUSEConnect; then SUSEConnect; else suse_register; fi")
		case strings.Contains(asked[1], "setup wizard"):
			act = inside("yast2", "smt-wizard")
		case strings.HasPrefix(asked[1], "Export"):
			act = inside("sh", "-c", `echo "ca password" | yast2 ca_mgm`)
		case strings.HasPrefix(asked[1], "Install opsi"):
			act = inside("sh", "-c", "echo deb https://download.opsi.org/ bookworm main >/etc/apt/sources.list.d/opsi.list && apt-get -y install opsi-server")
		case strings.HasPrefix(asked[1], "Restart"):
			continue
		case strings.Contains(asked[1], "client"):
			act = []string{"lab", "refresh", filepath.Join(ts.Getenv("LABS"), system), "--as", client}
		default:
			ts.Fatalf("no administrator knows what to do: %s", asked[1])
		}
		if code := exitCode(ts, act); code != 0 {
			ts.Fatalf("%s ended with exit code %d", strings.Join(act, " "), code)
		}
	}
	ts.Fatalf("the recovery does not come to an end")
}

// opsiDocument writes the sample of an opsiconfd backup document, without the
// configuration files whose names begin with PREFIX:
// opsidocument FILE ENCODING COMPRESSION [PASSWORD|-PREFIX].
func opsiDocument(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: opsidocument FILE ENCODING COMPRESSION [PASSWORD|-PREFIX]")
	}
	form, sample := documenttest.Form{Encoding: args[1], Compression: args[2]}, documenttest.Sample()
	if len(args) == 4 {
		if prefix, without := strings.CutPrefix(args[3], "-"); without {
			maps.DeleteFunc(sample["config_files"].(documenttest.Object), func(name string, _ any) bool { return strings.HasPrefix(name, prefix) })
		} else {
			form.Password = args[3]
		}
	}
	data, err := documenttest.Write(sample, form)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
