package scratch_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lifeboat/internal/scratch"
)

const childState = "SCRATCH_TEST_STATE"

// TestMain is also the process that dies with a directory and a file.
func TestMain(m *testing.M) {
	state := os.Getenv(childState)
	if state == "" {
		os.Exit(m.Run())
	}
	d, err := scratch.Make(state)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.Path(), "secret"), []byte("x"), 0o600)
	}
	if err == nil {
		_, err = scratch.File(state)
	}
	fmt.Println(d.Path(), err)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
}

// child starts a process that holds a directory; kill ends it without a word.
func child(t *testing.T, state string) (dir string, kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childState+"="+state)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = c.Process.Kill(); _ = c.Wait() }
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	lines.Scan()
	var failed string
	if _, err := fmt.Sscan(lines.Text(), &dir, &failed); err != nil || failed != "<nil>" {
		t.Fatalf("the child says %q", lines.Text())
	}
	return dir, kill
}

func left(t *testing.T, pattern ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDeadOnesAreRemovedAndLivingOnesNot(t *testing.T) {
	state := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	dir, kill := child(t, state)
	mine, err := scratch.Make(state)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(mine.Path()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := scratch.Sweep(state); err != nil {
		t.Fatal(err)
	}
	f, err := scratch.File(state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "secret")); err != nil {
		t.Fatalf("it lives: %v", err)
	}
	if n := len(left(t, state, ".lifeboat-scratch-*")); n != 2 {
		t.Errorf("%d files beside", n)
	}
	kill()
	if err := scratch.Sweep(state); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
	if _, err := os.Stat(mine.Path()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = scratch.File(state); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if found := left(t, state, ".lifeboat-scratch-*"); len(found) != 1 || found[0] != f.Name() {
		t.Errorf("files beside: %v", found)
	}
	if err := mine.Remove(); err != nil {
		t.Fatal(err)
	}
	if found := left(t, state, "scratch", "*"); len(found) != 0 {
		t.Errorf("left: %v", found)
	}
}

// What others may have made under such a name is left alone; a process that died
// before it had its lock is not.
func TestStrangersAreLeftAlone(t *testing.T) {
	place := t.TempDir()
	for name, mode := range map[string]os.FileMode{"lifeboat-scratch-1": 0o777, "lifeboat-other": 0o700, "lifeboat-scratch-2": 0o700} {
		dir := filepath.Join(place, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(place, "lifeboat-scratch-3")); err != nil {
		t.Fatal(err)
	}
	if err := scratch.SweepIn(place, nil); err != nil {
		t.Fatal(err)
	}
	if found := left(t, place, "*"); len(found) != 3 {
		t.Errorf("left: %v", found)
	}
	if err := scratch.SweepIn(filepath.Join(place, "gone"), nil); err != nil {
		t.Error(err)
	}
}

func TestSpared(t *testing.T) {
	place := t.TempDir()
	d, err := scratch.In(place)
	if err != nil {
		t.Fatal(err)
	}
	spare := func(path string) bool { return path == d.Path() }
	if err := d.Release(); err != nil {
		t.Fatal(err)
	}
	if err := scratch.SweepIn(place, spare); err != nil || len(left(t, place, "*")) != 1 {
		t.Errorf("%v, %v", left(t, place, "*"), err)
	}
	if err := scratch.SweepIn(place, nil); err != nil || len(left(t, place, "*")) != 0 {
		t.Errorf("%v, %v", left(t, place, "*"), err)
	}
}

// A server is known by its data directory, and by nothing else.
func TestServersOfTheDeadAreEnded(t *testing.T) {
	state := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	dir, kill := child(t, state)
	start := func(args ...string) (ended chan struct{}) {
		c := exec.Command("/bin/sh", append([]string{"-c", "read line", "sh"}, args...)...)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended = make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		t.Cleanup(func() { in.Close(); <-ended })
		return ended
	}
	server := start("--datadir=" + dir + "/data")
	other, editor := start("--datadir="+filepath.Dir(dir)+"0/d/data"), start(dir+"/error.log")
	if err := scratch.Sweep(state); err != nil {
		t.Fatal(err)
	}
	select {
	case <-server:
		t.Fatal("ended although its process lives")
	default:
	}
	kill()
	if err := scratch.Sweep(state); err != nil {
		t.Fatal(err)
	}
	<-server
	for _, c := range []chan struct{}{other, editor} {
		select {
		case <-c:
			t.Error("a stranger was ended")
		default:
		}
	}
}

// Where the state directory cannot be written, the temporary one is taken.
func TestWithoutAStateDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"", file} {
		d, err := scratch.Make(state)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(filepath.Dir(d.Path())) != os.TempDir() {
			t.Error(d.Path())
		}
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	}
}
