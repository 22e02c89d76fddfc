package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
)

// prompter asks what a run, a rescue or a kit wants to know.
type prompter screen.Asker

// theTerminal asks there; nil when there is none.
func theTerminal() *prompter { return (*prompter)(screen.Terminal()) }

// runPrompter returns nil when nobody can answer.
func runPrompter() runbook.Prompter {
	if p := theTerminal(); p != nil {
		return p
	}
	return nil
}

// Ask puts a question of a run to the person at the terminal.
func (p *prompter) Ask(ctx context.Context, q runbook.Question) (runbook.Answer, error) {
	if q.Seen != "" {
		fmt.Fprintf(p.Out, "\n  That cannot be seen yet: %s\n", q.Seen)
	}
	fmt.Fprintf(p.Out, "\n  %s\n", indent(q.Text))
	choices := "[d] it is done, [s] stop here and resume later"
	if q.Repeat {
		choices = "[r] run it again, " + choices
	}
	if q.Watched {
		choices += " (goes on by itself when it is seen)"
	}
	for {
		fmt.Fprintf(p.Out, "  %s: ", choices)
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.Out)
			return runbook.AnswerStop, ctx.Err()
		case line, ok := <-p.Lines:
			switch line = screen.Answer(line); {
			case !ok:
				return runbook.AnswerStop, runbook.ErrNoTerminal
			case line == "d" || line == "done":
				return runbook.AnswerDone, nil
			case line == "s" || line == "stop":
				return runbook.AnswerStop, nil
			case q.Repeat && (line == "r" || line == "retry"):
				return runbook.AnswerRetry, nil
			}
		}
	}
}

// password reads a line without showing it.
func (p *prompter) password(ctx context.Context, question string) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("ask for the password: %w", err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, fmt.Errorf("ask for the password: %w", err)
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before)
		fmt.Fprintln(p.Out)
	}()
	fmt.Fprintf(p.Out, "%s: ", question)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case line, ok := <-p.Lines:
		if !ok {
			return nil, fmt.Errorf("ask for the password: %w", io.EOF)
		}
		return []byte(line), nil
	}
}
