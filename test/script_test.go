// Package test runs the user stories in testdata against the programs as they
// are built: every .txtar file is one story, with real servers in sandboxes where
// it needs them. What one package does alone is tested beside that package.
package test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/sandbox"
)

var update = flag.Bool("update", false, "write what commands print into the scripts that compare it")

// together bounds how many stories run at once: each may have several database
// servers.
const together = "3"

// programs is the directory of the built lifeboat and lab.
var programs string

func TestMain(m *testing.M) {
	sandbox.Init()
	sles.Init()
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", together); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lifeboat-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-o", dir, "./cmd/lifeboat", "./cmd/lab")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		return 1
	}
	if err := os.WriteFile(filepath.Join(dir, "on"), []byte(onScript), 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	programs = dir
	return m.Run()
}

// onScript is the command `on SYSTEM COMMAND...`, which runs a command inside
// a lab system of the story.
const onScript = `#!/bin/sh
system=$1
shift
exec lab exec "$LABS/$system" -- "$@"
`

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               setup,
		Condition:           condition,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":         exits,
			"eventually":    eventually,
			"administrator": administrator,
			"fleet":         fleet,
			"opsidocument":  opsiDocument,
		},
	})
}

// setup gives a story its own home, an umask-proof state and the built programs,
// and sees to it that nothing of it is left when it ends, however it ends.
func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("XDG_CACHE_HOME", filepath.Join(home, ".cache"))
	env.Setenv("LC_ALL", "C.UTF-8")
	env.Setenv("TZ", "UTC")
	env.Setenv("PATH", programs+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("LABS", filepath.Join(env.WorkDir, "labs"))
	env.Setenv("LIFEBOAT", filepath.Join(programs, "lifeboat"))
	env.Defer(func() { cleanUp(env) })
	return nil
}

// condition knows, beside testscript's own, [root]: the story may mount, change
// owners and make namespaces.
func condition(name string) (bool, error) {
	if name == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}
