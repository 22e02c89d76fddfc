package host

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// What a package manager installs under our umask of 077 nobody else could read.
func TestCommandsHaveTheUsualUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := t.TempDir()
	if _, err := Local().Output(t.Context(), "mkdir", dir+"/made"); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(dir+"/made", &st); err != nil || st.Mode&0o777 != 0o755 {
		t.Errorf("mode %o, %v", st.Mode&0o777, err)
	}
}

func TestArgumentsAreNotInterpreted(t *testing.T) {
	for _, arg := range []string{"$HOME", "a b", "", "-n", "`id`", "$(id)", "\n", `"`, "'", "*"} {
		out, err := Local().Output(t.Context(), "printf", "%s", arg)
		if err != nil || string(out) != arg {
			t.Errorf("%q arrives as %q (%v)", arg, out, err)
		}
	}
	var exit *ExitError
	if _, err := Local().Output(t.Context(), "false"); !errors.As(err, &exit) || exit.Code != 1 {
		t.Errorf("false ended with %v", err)
	}
}

func TestSessionOfItsOwn(t *testing.T) {
	for _, session := range []bool{true, false} {
		var out bytes.Buffer
		if err := Local().Run(t.Context(), Command{Args: []string{"cat", "/proc/self/stat"}, Session: session, Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		// pid (cat) state parent group session, see proc_pid_stat(5)
		fields := strings.Fields(out.String())
		if len(fields) < 6 || fields[4] != fields[0] || (fields[5] == fields[0]) != session {
			t.Errorf("session %v: %s", session, out.String())
		}
	}
}
