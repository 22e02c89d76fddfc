package runbook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// askRepeat asks what to do with a step that was started and has no result.
func (r *stepRun) askRepeat(ctx context.Context) (Answer, error) {
	s := r.step
	q := Question{
		Run: r.run.ID, Step: s.ID, Title: s.Title, Repeat: true,
		Text: "This step was started and then interrupted, and running it twice may do harm. " +
			"Look whether it has happened, and say whether to run it again or to take it as done.",
	}
	r.tell(r.about(Event{Type: StepWaiting, Text: q.Text}))
	_, answer, err := r.put(ctx, q, nil)
	return answer, err
}

// askManual waits until a person has done what Confirm says. When the step has
// nothing to run, Done ends the waiting and must hold.
func (r *stepRun) askManual(ctx context.Context) (seen string, err error) {
	s := r.step
	q := Question{Run: r.run.ID, Step: s.ID, Title: s.Title, Text: s.Confirm}
	var done func(context.Context) (bool, string, error)
	if s.Done != nil && s.Run == nil && !s.Reboot {
		q.Watched, done = true, r.done
	}
	r.tell(r.about(Event{Type: StepWaiting, Text: q.Text}))
	for {
		seen, answer, err := r.put(ctx, q, done)
		if err != nil {
			return "", err
		}
		if done == nil {
			return "a person says that it is done", nil
		}
		if answer != AnswerDone { // Done ended the question
			return seen, nil
		}
		holds, seen, err := done(ctx)
		if holds && err == nil {
			return seen, nil
		}
		if q.Seen = seen; err != nil {
			q.Seen = err.Error()
		}
	}
}

// put asks one question, one person being asked at a time. When done comes to
// hold meanwhile, the question ends with what was seen and AnswerStop.
func (r *stepRun) put(ctx context.Context, q Question, done func(context.Context) (bool, string, error)) (string, Answer, error) {
	waiting := &WaitingError{Step: q.Step, Title: q.Title, Text: q.Text, Seen: q.Seen}
	if r.engine.o.Prompter == nil {
		return "", AnswerStop, waiting
	}
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return "", AnswerStop, ctx.Err()
	}
	type reply struct {
		answer Answer
		err    error
	}
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	replies := make(chan reply, 1)
	go func() {
		answer, err := r.engine.o.Prompter.Ask(asked, q)
		replies <- reply{answer, err}
	}()
	var tick <-chan time.Time
	if done != nil {
		ticker := time.NewTicker(r.engine.o.Poll)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-tick:
			// While a person works on it, looking may fail as well.
			if holds, seen, err := done(ctx); err == nil && holds {
				cancel()
				<-replies
				return seen, AnswerStop, nil
			}
		case a := <-replies:
			switch {
			case ctx.Err() != nil:
				return "", AnswerStop, ctx.Err()
			case errors.Is(a.err, ErrNoTerminal):
				return "", AnswerStop, waiting
			case a.err != nil:
				return "", AnswerStop, fmt.Errorf("ask: %w", a.err)
			case a.answer == AnswerDone, a.answer == AnswerRetry && q.Repeat:
				return "", a.answer, nil
			}
			return "", AnswerStop, waiting
		}
	}
}
