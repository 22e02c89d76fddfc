// Command lab builds and handles realistic systems for the demo and for trying
// things out. It is not shipped.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"lifeboat/internal/lab"
	"lifeboat/internal/lab/sles"
)

func main() {
	sles.Init()
	lab.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(exitCode(root().ExecuteContext(ctx)))
}

// exitCode hands the exit code of a command run inside through.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	// Its own words are on standard error already; a wrapped one has more to say.
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() > 0 { //nolint:errorlint // only a bare one
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "lab:", err)
	return 1
}
