package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"lifeboat/internal/runbook"
)

// prompter asks on a terminal. Lines are read by one goroutine, so that a
// question can end without an answer.
type prompter struct {
	out   io.Writer
	lines <-chan string
}

// terminalRead tells whether theTerminal reads standard input: from then on nobody
// else may, as the lines would go to one or the other.
var terminalRead atomic.Bool

// theTerminal is the one reader of standard input; nil when that is no terminal.
var theTerminal = sync.OnceValue(func() *prompter {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	lines := make(chan string)
	terminalRead.Store(true)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	return &prompter{out: os.Stderr, lines: lines}
})

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
		fmt.Fprintf(p.out, "\n  That cannot be seen yet: %s\n", q.Seen)
	}
	fmt.Fprintf(p.out, "\n  %s\n", indent(q.Text))
	choices := "[d] it is done, [s] stop here and resume later"
	if q.Repeat {
		choices = "[r] run it again, " + choices
	}
	if q.Watched {
		choices += " (goes on by itself when it is seen)"
	}
	for {
		fmt.Fprintf(p.out, "  %s: ", choices)
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.out)
			return runbook.AnswerStop, ctx.Err()
		case line, ok := <-p.lines:
			switch line = answer(line); {
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

// answer is what a person means by a line.
func answer(line string) string { return strings.ToLower(strings.TrimSpace(line)) }

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
		fmt.Fprintln(p.out)
	}()
	fmt.Fprintf(p.out, "%s: ", question)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case line, ok := <-p.lines:
		if !ok {
			return nil, fmt.Errorf("ask for the password: %w", io.EOF)
		}
		return []byte(line), nil
	}
}

// errDeclined is the answer no.
var errDeclined = errors.New("not confirmed: nothing was changed")

// confirm asks a yes-or-no question. Without a terminal the answer is no, with
// a hint.
func confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	p := theTerminal()
	if p == nil {
		return fmt.Errorf("%s There is no terminal to ask on; give --yes when that is meant: %w", question, errDeclined)
	}
	fmt.Fprintf(p.out, "%s [y/N] ", question)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-p.lines:
		if line = answer(line); line != "y" && line != "yes" {
			return errDeclined
		}
		return nil
	}
}
