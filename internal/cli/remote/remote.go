// Package remote is the verbs of an administrator's desk: they speak to a fleet server
// from wherever they are called, and need nothing there but a terminal, a token and
// certificates. Together they are the client program, which builds for systems that
// nothing else of Lifeboat builds for; on Linux they are verbs among others. What acts
// on a machine must not enter, nor what opens a fleet's own keys or records.
package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook/ending"
)

// Desk is what the verbs share.
type Desk struct {
	*screen.Screen
	Home Home
}

// Home is how a machine that belongs to a fleet knows about it without being told. The
// zero value is a machine that belongs to none.
type Home struct {
	// Directory is where a fleet server has its keys, unless --directory says otherwise.
	Directory string
	// Look finds out what is known, and adds the authorities that vouch for the server.
	Look func(directory string, authorities *x509.CertPool) (Place, error)
}

// Place is where a fleet server is, and what lets in there; "" is what is not known.
type Place struct{ URL, TokenFile string }

// Commands are the verbs.
func (d *Desk) Commands() []*cobra.Command {
	return []*cobra.Command{d.hostCommand(), d.configCommand(), d.tokenCommand(), d.auditCommand()}
}

// Main runs the client program, these verbs and nothing else, and returns its exit
// code. The first interruption ends what goes on, the second the program.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	d := &Desk{Screen: &screen.Screen{Out: out, Err: errs}}
	root := d.Root(`Lifeboat brings a management server back. This is the program for an
administrator's desk: it speaks to a fleet server, which knows many hosts, and does
nothing with the machine that it runs on.`, `  lifeboat host list --server https://fleet.example.com:8444 --token-file admin.token
  lifeboat host code smt1
  lifeboat audit verify`)
	root.AddCommand(d.Commands()...)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return d.Code
	}
	code := exitCode(err)
	d.Fail(command.CommandPath(), err.Error(), code)
	return code
}

func exitCode(err error) int {
	switch {
	case screen.IsUsage(err):
		return ending.ExitUsage
	case errors.Is(err, screen.ErrDeclined), errors.Is(err, ending.ErrRefused):
		return ending.ExitRefused
	case errors.Is(err, context.Canceled):
		return ending.ExitInterrupted
	}
	return ending.ExitFailed
}
