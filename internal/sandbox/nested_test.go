package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestNested runs this test program inside a sandbox, where it makes another
// one, in which a third must be refused.
func TestNested(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := lower(t)
	write(t, dir+"/tree/file", "outer\n")
	s := started(t, Options{Devices: true, Binds: []Bind{{Source: exe, Target: "/usr/local/bin/nest", ReadOnly: true}}})
	if s.record.Nested {
		t.Skip("needs a machine whose root is no overlay")
	}
	sh(t, s, "echo middle > "+dir+"/tree/file; mkdir "+dir+"/live; echo x > "+dir+"/live/x")
	var out bytes.Buffer
	err = s.Run(t.Context(), Command{
		Args: []string{"/usr/local/bin/nest"}, Env: []string{"SANDBOX_TEST_NEST=" + dir}, Stdout: &out, Stderr: &out,
	})
	if want := "file middle\nlive \nrenamed\nthird refused\n<nil>\n"; err != nil || out.String() != want {
		t.Errorf("%v\ngot  %q\nwant %q", err, out.String(), want)
	}
	if got := sh(t, s, "cat "+dir+"/tree/file; ls "+dir+"/live /var/lib/inner 2>&1 | tail -1"); got != "middle\nx" {
		t.Errorf("the outer sandbox changed: %q", got)
	}
}

// nestedProcess is the outer sandbox's part of TestNested, and, with an empty
// dir, the inner one's.
func nestedProcess(dir string) {
	ctx := context.Background()
	if dir == "inner" {
		_, err := Create(ctx, Options{Dir: "/var/lib/third"})
		if errors.Is(err, ErrTooDeep) {
			fmt.Println("third refused")
		} else {
			fmt.Println("third:", err)
		}
		os.Exit(0)
	}
	s, err := Create(ctx, Options{
		Dir: "/var/lib/inner", Size: 64 << 20, Empty: []string{dir + "/live"},
		Binds: []Bind{{Source: "/usr/local/bin/nest", Target: "/usr/local/bin/nest"}},
	})
	if err == nil {
		err = s.Start(ctx)
	}
	if err == nil {
		line := fmt.Sprintf(`cd %s; echo file $(cat tree/file); echo live $(ls live); perl -e 'rename("tree","t") or die $!' && echo renamed`, dir)
		var out strings.Builder
		err = s.Run(ctx, Command{Args: []string{"sh", "-ec", line}, Stdout: &out, Stderr: &out})
		fmt.Print(strings.ReplaceAll(out.String(), "live\n", "live \n"))
	}
	if err == nil {
		err = s.Run(ctx, Command{Args: []string{"/usr/local/bin/nest"}, Env: []string{"SANDBOX_TEST_NEST=inner"}, Stdout: os.Stdout})
	}
	if err == nil {
		err = s.Destroy(ctx)
	}
	fmt.Println(err)
	os.Exit(0)
}
