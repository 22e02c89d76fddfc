package screen

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

	"golang.org/x/term"
)

// Asker asks on a terminal. Lines are read by one goroutine, so that a question can
// end without an answer.
type Asker struct {
	Out   io.Writer
	Lines <-chan string
}

var terminalRead atomic.Bool

// TerminalRead tells whether Terminal reads standard input: from then on nobody else
// may, as the lines would go to one or the other.
func TerminalRead() bool { return terminalRead.Load() }

// Terminal is the one reader of standard input; nil when that is no terminal.
var Terminal = sync.OnceValue(func() *Asker {
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
	return &Asker{Out: os.Stderr, Lines: lines}
})

// Answer is what a person means by a line.
func Answer(line string) string { return strings.ToLower(strings.TrimSpace(line)) }

// ErrDeclined is the answer no.
var ErrDeclined = errors.New("not confirmed: nothing was changed")

// Confirm asks a yes-or-no question. Without a terminal the answer is no, with
// a hint.
func Confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	p := Terminal()
	if p == nil {
		return fmt.Errorf("%s There is no terminal to ask on; give --yes when that is meant: %w", question, ErrDeclined)
	}
	fmt.Fprintf(p.Out, "%s [y/N] ", question)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-p.Lines:
		if line = Answer(line); line != "y" && line != "yes" {
			return ErrDeclined
		}
		return nil
	}
}
