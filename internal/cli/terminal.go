package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
)

// terminal shows a run's events to a person: one line a step, and on a real
// terminal a bar for each step that tells its progress. Colour and bars appear
// only there.
type terminal struct {
	out     io.Writer // where lines go now: real, the bars or, during a question, held
	real    io.Writer
	held    bytes.Buffer
	verbose bool
	// prompter puts what is waited for as a question; nil when nobody is there.
	prompter runbook.Prompter
	asking   bool
	paint    screen.Painter

	mu      sync.Mutex
	bars    *mpb.Progress
	running map[string]*mpb.Bar
	started map[string]time.Time
}

func newTerminal(out io.Writer, verbose bool) *terminal {
	return &terminal{out: out, real: out, verbose: verbose, paint: screen.PainterFor(out), running: map[string]*mpb.Bar{}, started: map[string]time.Time{}}
}

// Close takes the bars away. Nothing may be observed afterwards.
func (t *terminal) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	t.release()
}

// clear takes the bars away and waits until all that went through them is shown:
// they write from a goroutine of their own, a while later.
func (t *terminal) clear() {
	for _, bar := range t.running {
		bar.Abort(true)
	}
	clear(t.running)
	if t.bars != nil {
		t.bars.Wait()
		t.bars, t.out = nil, t.real
	}
}

// hold keeps lines back while a person is asked, so that the question stays the
// last thing on the screen.
func (t *terminal) hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	t.asking, t.out = true, &t.held
}

// release shows what was kept back.
func (t *terminal) release() {
	if !t.asking {
		return
	}
	t.asking, t.out = false, t.real
	_, _ = t.held.WriteTo(t.real)
}

// Ask puts a question of a run below everything that has happened until then.
func (t *terminal) Ask(ctx context.Context, q runbook.Question) (runbook.Answer, error) {
	t.hold()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.release()
	}()
	return t.prompter.Ask(ctx, q)
}

// Observe shows one event.
func (t *terminal) Observe(e runbook.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e = cleaned(e)
	switch e.Type {
	case runbook.RunStarted, runbook.RunResumed, runbook.RunRollback:
		verb := map[runbook.EventType]string{runbook.RunStarted: "", runbook.RunResumed: "resumed: ", runbook.RunRollback: "taking back: "}[e.Type]
		t.line("%s%s  (run %s)", verb, t.paint.Bold(e.Title), e.Run)
	case runbook.RunWaiting:
		t.line("%s", e.Text)
	case runbook.StageStarted:
		t.line("\n%s", t.paint.Bold(firstOf(e.Title, e.Stage)))
	case runbook.StepProgress:
		t.progress(e)
	case runbook.StepLog:
		if t.verbose {
			t.line("         %s", e.Text)
		}
	case runbook.StepWarning:
		t.line("  %s %s", t.paint.Yellow("warning"), e.Text)
	case runbook.StepCheck:
		t.check(e)
	case runbook.StepWaiting:
		t.drop(e.Step)
		if t.prompter != nil {
			return // the question says it
		}
		t.line("  %s %s", t.paint.Yellow("waiting"), indent(firstOf(e.Text, e.Title)))
	case runbook.StepSkipped:
		t.drop(e.Step)
		t.result("skipped", e, e.Text)
	case runbook.StepAlreadyDone:
		t.drop(e.Step)
		t.result("already", e, e.Text)
	case runbook.StepFinished, runbook.UndoFinished:
		t.drop(e.Step)
		word := "done   "
		if e.Type == runbook.UndoFinished {
			word = "undone " // the title is that of the way forward
		}
		t.result(t.paint.Green(word), e, took(e.Seconds))
	case runbook.StepFailed, runbook.UndoFailed, runbook.StepInterrupted:
		t.drop(e.Step)
		word := t.paint.Red("FAILED ")
		if e.Warn {
			word = t.paint.Yellow("warning")
		}
		if e.Type == runbook.StepInterrupted {
			word = t.paint.Yellow("stopped")
		}
		t.result(word, e, "")
		if text := firstOf(e.Error, e.Text); text != "" {
			t.line("          %s", indent(text))
		}
		if e.Hint != "" {
			t.line("          %s", e.Hint)
		}
	}
}

func (t *terminal) check(e runbook.Event) {
	c := e.Check
	if c == nil {
		return
	}
	switch {
	case c.OK && t.verbose:
		t.line("          %s %s: %s", t.paint.Green("ok"), c.Name, c.Found)
	case c.OK:
	case c.Skipped:
		t.line("  %s %s: %s", t.paint.Yellow("skipped"), c.Name, c.Found)
		if c.Hint != "" {
			t.line("          %s", c.Hint)
		}
	default:
		word := t.paint.Red("not ok ")
		if c.Warning {
			word = t.paint.Yellow("warning")
		}
		t.line("  %s %s: expected %s, found %s", word, c.Name, firstOf(c.Expected, "nothing"), firstOf(c.Found, "nothing"))
		if c.Hint != "" {
			t.line("          %s", c.Hint)
		}
	}
}

func (t *terminal) result(word string, e runbook.Event, remark string) {
	if remark != "" {
		remark = "  " + t.paint.Faint("("+screen.FirstLine(remark)+")")
	}
	t.line("  %s %s%s", word, firstOf(e.Title, e.Step), remark)
}

func (t *terminal) line(format string, args ...any) {
	fmt.Fprintf(t.out, format+"\n", args...)
}

// cleaned takes away what would act on a terminal: text of events comes from
// commands, servers and archives.
func cleaned(e runbook.Event) runbook.Event {
	e.Title, e.Text, e.Error, e.Hint = screen.Clean(e.Title), screen.Clean(e.Text), screen.Clean(e.Error), screen.Clean(e.Hint)
	if e.Check != nil {
		c := *e.Check
		c.Name, c.Expected, c.Found, c.Hint = screen.Clean(c.Name), screen.Clean(c.Expected), screen.Clean(c.Found), screen.Clean(c.Hint)
		e.Check = &c
	}
	return e
}

// progress moves or makes the bar of a step.
func (t *terminal) progress(e runbook.Event) {
	if !t.paint.On || t.asking {
		return
	}
	if t.bars == nil {
		t.bars = mpb.New(mpb.WithOutput(t.real), mpb.WithWidth(30), mpb.WithRefreshRate(200*time.Millisecond), mpb.WithAutoRefresh())
		t.out = t.bars
	}
	bar, ok := t.running[e.Step]
	if !ok {
		bar = t.bars.AddBar(e.Total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name("          "+short(firstOf(e.Title, e.Step), 34), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(
				decor.CountersKibiByte("% .1f / % .1f"),
				decor.Name("  "), decor.AverageSpeed(decor.SizeB1024(0), "% .0f"),
				decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO),
			),
		)
		t.running[e.Step] = bar
	}
	bar.SetTotal(max(e.Total, e.Bytes), false)
	bar.SetCurrent(e.Bytes)
}

func (t *terminal) drop(step string) {
	bar, ok := t.running[step]
	if !ok {
		return
	}
	bar.Abort(true)
	delete(t.running, step)
	if len(t.running) == 0 {
		t.clear()
	}
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func indent(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n          ")
}

func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// took tells a duration that is worth telling.
func took(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < 100*time.Millisecond {
		return ""
	}
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
