package restserver

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseUsers(t *testing.T) {
	_, bob, err := NewToken("bob")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"alice:plain", "alice", "al ice:x", "../x:y", "a:{SHA256}00", "a:$apr1$x$y", bob + ":", bob + ":Full", bob + ":full:x",
	} {
		// The lines around it count.
		got, bad := parseUsers("users", []byte("\ufeff# people\r\n\r\n"+text+"\r\n "+bob+":append-only\n"+bob))
		if bad == nil || len(got) != 1 || got["bob"].access != AppendOnly ||
			!strings.HasPrefix(bad.Error(), "users: users:3: ") || !strings.Contains(bad.Error(), "users: users:5: user bob is there twice") {
			t.Errorf("%q gave %v, %v", text, got, bad)
		}
	}
}

// What goes wrong with the file of a running server harms nobody else, and is
// said once.
func TestUsersWhileServing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if _, err := OpenUsers(file, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	second := int64(1000)
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		second += 1000
		if err := os.Chtimes(file, time.Unix(second, 0), time.Unix(second, 0)); err != nil {
			t.Fatal(err)
		}
	}
	one, two, other := hashed(t, "a", "one"), hashed(t, "a", "two"), hashed(t, "b", "p")
	write(one, "nonsense", other)
	if _, err := OpenUsers(file, nil); err == nil || !strings.Contains(err.Error(), file+":2: ") {
		t.Errorf("a bad line at the start: %v", err)
	}
	write(one, other)
	var said bytes.Buffer
	u, err := OpenUsers(file, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil || !lets(u, "a", "one") || lets(u, "a", "two") {
		t.Fatalf("first: %v", err)
	}
	logged := func(what string, parts ...string) {
		t.Helper()
		text := said.String()
		said.Reset()
		if strings.Count(text, "\n") != min(1, len(parts)) {
			t.Errorf("%s: the log has %q", what, text)
		}
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q in %q", what, part, text)
			}
		}
	}
	write(two, other)
	if lets(u, "a", "one") || !lets(u, "a", "two") {
		t.Error("a changed password was not noticed")
	}
	logged("all is well")
	write(strings.Replace(two, "$", "", 1), other)
	if lets(u, "a", "two") || !lets(u, "b", "p") || lets(u, "", "") {
		t.Error("with one bad line")
	}
	logged("one bad line", "level=ERROR", file+":1: ", "user a", "let nobody in")
	write(one, other)
	if !lets(u, "a", "one") {
		t.Error("the mended file was not read")
	}
	logged("mended", "level=INFO", "right again")
	for what, spoil := range map[string]func() error{
		"chmod":  func() error { return os.Chmod(file, 0o622) },
		"remove": func() error { return os.Remove(file) },
		"large":  func() error { return os.Truncate(file, maxUsers+1) },
	} {
		write(one)
		lets(u, "a", "one")
		said.Reset()
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		second += 1000
		_ = os.Chtimes(file, time.Unix(second, 0), time.Unix(second, 0))
		if !lets(u, "a", "one") || lets(u, "a", "two") {
			t.Errorf("%s: those who were known are not let in", what)
		}
		logged(what, "level=ERROR", file, "stay")
		_ = os.Remove(file)
	}
	write("# nobody")
	if lets(u, "a", "one") {
		t.Error("a user who was taken out is let in")
	}
}

// What a user may remove is said by the user's line, else by the server.
func TestAccess(t *testing.T) {
	for _, appendOnly := range []bool{false, true} {
		s := newServer(t, Options{Private: true, AppendOnly: appendOnly, Auth: users(t,
			hashed(t, "plain", "p"), hashed(t, "adds", "p")+":append-only", hashed(t, "admin", "p")+":full")})
		for user, may := range map[string]bool{"plain": !appendOnly, "adds": false, "admin": true} {
			for kind, status := range map[string]int{"data": 200, "locks": 200} {
				if kind == "data" && !may {
					status = 403
				}
				path := fmt.Sprintf("/%s/%s/%s", user, kind, sum("x"))
				want(t, ask(s, user+":p", "POST", path, "x"), 200)
				want(t, ask(s, user+":p", "DELETE", path, ""), status)
			}
		}
	}
}

func TestChangeAccess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	for _, step := range []struct {
		access, want Access
		replace      bool
	}{
		{AppendOnly, AppendOnly, false},
		{AsServer, AppendOnly, true}, // a new token gives no more rights
		{Full, Full, true},
	} {
		_, line, _ := NewToken("a")
		if err := AddUser(file, line, step.access, step.replace); err != nil {
			t.Fatal(err)
		}
		if got, err := ListUsers(file); err != nil || len(got) != 1 || got[0].Access != step.want {
			t.Errorf("%v: %v, %v", step, got, err)
		}
	}
}
