package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"lifeboat/internal/runbook"
)

// asked is a prompter that writes where the terminal does.
type asked struct {
	out    io.Writer
	during func()
}

func (p asked) Ask(context.Context, runbook.Question) (runbook.Answer, error) {
	fmt.Fprintln(p.out, "QUESTION")
	p.during()
	fmt.Fprintln(p.out, "ANSWERED")
	return runbook.AnswerDone, nil
}

// What happened before a question stands above it, also where bars were shown,
// and what happens meanwhile below its answer.
func TestQuestionStandsAlone(t *testing.T) {
	for _, colour := range []bool{false, true} {
		file, err := os.Create(t.TempDir() + "/screen")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		term := newTerminal(file, false)
		term.paint.On = colour
		finished := func(step string) {
			term.Observe(runbook.Event{Type: runbook.StepFinished, Step: step, Title: step})
		}
		term.prompter = asked{file, func() {
			term.Observe(runbook.Event{Type: runbook.StepProgress, Step: "beside", Title: "beside", Bytes: 2, Total: 9})
			finished("meanwhile")
		}}
		term.Observe(runbook.Event{Type: runbook.RunResumed, Title: "the run", Run: "r"})
		term.Observe(runbook.Event{Type: runbook.StepProgress, Step: "beside", Title: "beside", Bytes: 1, Total: 9})
		term.Observe(runbook.Event{Type: runbook.StageStarted, Title: "Stage"})
		finished("before")
		if _, err := term.Ask(t.Context(), runbook.Question{}); err != nil {
			t.Fatal(err)
		}
		finished("after")
		term.Close()
		screen, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		for _, word := range []string{"the run", "Stage", "before", "QUESTION", "ANSWERED", "meanwhile", "after"} {
			next := strings.LastIndex(string(screen), word)
			if next <= at {
				t.Errorf("colour %v: %q is not in its place:\n%q", colour, word, screen)
			}
			at = next
		}
	}
}
