package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// safeDir is a directory that only root can write, with all above it.
func safeDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a directory outside of /tmp, and changes owners")
	}
	dir, err := os.MkdirTemp("/var/lib", "lifeboat-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestProgram(t *testing.T) {
	dir := safeDir(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
		must(os.Chmod(filepath.Join(dir, name), mode))
	}
	const script = "#!/bin/sh\ntrue\n"
	write("good", script, 0o755)
	write("env", "#!/usr/bin/env -S FOO=1 sh\n", 0o755)
	write("others", script, 0o757)
	write("open/hook", script, 0o755)
	must(os.Chmod(filepath.Join(dir, "open"), 0o777|os.ModeSticky))
	write("staff/hook", script, 0o755)
	must(os.Chown(filepath.Join(dir, "staff"), 0, 50)) // staff, in which nobody is
	must(os.Chmod(filepath.Join(dir, "staff"), 0o775|os.ModeSetgid))
	write("crew/hook", script, 0o755)
	must(os.Chown(filepath.Join(dir, "crew"), 0, 60)) // games, which is the own group of one
	must(os.Chmod(filepath.Join(dir, "crew"), 0o775))
	write("unknown/hook", script, 0o755)
	must(os.Chown(filepath.Join(dir, "unknown"), 0, 54321))
	must(os.Chmod(filepath.Join(dir, "unknown"), 0o775))
	write("nobodys", script, 0o755)
	must(os.Chown(filepath.Join(dir, "nobodys"), 65534, 65534))
	write("listed/hook", script, 0o755)
	if out, err := exec.Command("setfacl", "-m", "u:nobody:rwx", filepath.Join(dir, "listed")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(os.Mkdir(filepath.Join(dir, "directory"), 0o755))
	must(os.Symlink("good", filepath.Join(dir, "link")))
	must(os.Symlink("open/../good", filepath.Join(dir, "through")))
	must(os.Symlink(filepath.Join(dir, "open/hook"), filepath.Join(dir, "to-open")))
	must(os.Symlink("nowhere", filepath.Join(dir, "broken")))
	must(os.Symlink("loop", filepath.Join(dir, "loop")))
	write("plain", script, 0o644)
	write("interpreter", "#!/usr/bin/pyhton3\n", 0o755)
	write("by-env", "#!/usr/bin/env pyhton3\n", 0o755)
	write("windows", "#!/bin/sh\r\necho\r\n", 0o755)
	write("nothing", "#! \n", 0o755)
	write("by-unsafe", "#!"+filepath.Join(dir, "others")+"\n", 0o755)
	h := Local()
	for _, c := range []struct {
		name, user, want string
		unsafe           bool
	}{
		{name: "good"},
		{name: "env"},
		{name: "link"},
		{name: "staff/hook"},
		{name: "nobodys", user: "nobody"}, // who runs it anyway
		{name: "crew/hook", user: "games"},
		{name: "others", want: "everybody can write DIR/others (chmod o-w DIR/others", unsafe: true},
		{name: "open/hook", want: "everybody can write DIR/open", unsafe: true},
		{name: "to-open", want: "everybody can write DIR/open", unsafe: true},
		{name: "through", want: "everybody can write DIR/open", unsafe: true},
		{name: "crew/hook", want: "the group games can write DIR/crew, with its members games", unsafe: true},
		{name: "unknown/hook", want: "the group 54321 can write DIR/unknown, and who is in it is not known", unsafe: true},
		{name: "nobodys", want: "DIR/nobodys belongs to nobody", unsafe: true},
		{name: "listed/hook", want: "the access list of DIR/listed", unsafe: true},
		{name: "by-unsafe", want: "its first line names DIR/others: it is not run: everybody can write", unsafe: true},
		{name: "absent", want: "the program DIR/absent is not there"},
		{name: "broken", want: "DIR/broken is a symbolic link to nowhere, which is not there"},
		{name: "loop", want: "too many levels"},
		{name: "directory", want: "DIR/directory is no program"},
		{name: "plain", want: "DIR/plain is not executable (chmod +x DIR/plain)"},
		{name: "interpreter", want: "DIR/interpreter: its first line names the interpreter /usr/bin/pyhton3, which is not there"},
		{name: "by-env", want: "DIR/by-env: its first line has env look for pyhton3, which is in no directory of PATH"},
		{name: "windows", want: "its lines end as on Windows"},
		{name: "nothing", want: "names no interpreter"},
		{name: "good", user: "nobody-here", want: "nobody-here"},
	} {
		path, err := h.Program(t.Context(), filepath.Join(dir, c.name), c.user)
		if c.want == "" {
			if err != nil || path != filepath.Join(dir, c.name) {
				t.Errorf("%s: %s, %v", c.name, path, err)
			}
			continue
		}
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), c.want) || errors.Is(err, ErrUnsafe) != c.unsafe {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if path, err := h.Program(t.Context(), "sh", ""); err != nil || !filepath.IsAbs(path) {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := h.Program(t.Context(), "no-such-hook", ""); !errors.Is(err, ErrNoProgram) || !strings.Contains(err.Error(), "in no directory of PATH") {
		t.Error(err)
	}
	t.Setenv("PATH", filepath.Join(dir, "open")+":/usr/bin:/bin")
	if _, err := h.Program(t.Context(), "hook", ""); !errors.Is(err, ErrUnsafe) {
		t.Errorf("from an open directory of PATH: %v", err)
	}
}

// Of a mounted root only what stands below it counts, and links stay in it.
func TestProgramOfARoot(t *testing.T) {
	dir := t.TempDir() // below /tmp, which everybody can write
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"bin/shell": 0o755, "hooks/open": 0o757, "hooks/plain": 0o644, "real": 0o755} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("#!/bin/shell\n"), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"absolute": "/real", "relative": "../../../../../real", "lost": "/etc/passwd"} {
		if err := os.Symlink(target, filepath.Join(dir, "hooks", name)); err != nil {
			t.Fatal(err)
		}
	}
	h, err := At(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{
		"/real": "", "/hooks/absolute": "", "/hooks/relative": "",
		"/hooks/open": "everybody can write /hooks/open", "/hooks/plain": "is not executable",
		"/hooks/lost": "is a symbolic link to /etc/passwd, which is not there", "/bin/sh": "/bin/sh is not there",
	} {
		path, err := h.Program(t.Context(), name, "")
		if says == "" && (err != nil || path != name) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %q, %v", name, path, err)
		}
	}
}
