package runbook

import (
	"context"
	"fmt"
)

// Plan is what a runbook would do now, as a dry run shows it.
type Plan struct {
	Kind   string      `json:"kind"`
	System string      `json:"system"`
	Title  string      `json:"title,omitempty"`
	Stages []PlanStage `json:"stages"`
}

// PlanStage is a stage of a Plan.
type PlanStage struct {
	Name   string     `json:"name"`
	Title  string     `json:"title,omitempty"`
	Always bool       `json:"always,omitempty"`
	Steps  []PlanStep `json:"steps"`
}

// PlanStep is a step of a Plan.
type PlanStep struct {
	ID      string   `json:"id"`
	Title   string   `json:"title,omitempty"`
	Needs   []string `json:"needs,omitempty"`
	Outlook Outlook  `json:"outlook"`
	Text    string   `json:"text,omitempty"` // why skipped, what was seen, why it cannot be told
	Confirm string   `json:"confirm,omitempty"`
	Effects []string `json:"effects,omitempty"`
	Hand    string   `json:"hand,omitempty"`
	Undo    bool     `json:"undo,omitempty"` // can be rolled back
}

// Outlook says what would become of a step.
type Outlook string

// What can become of a step.
const (
	WouldRun    Outlook = "run"
	WouldAsk    Outlook = "ask"     // a person is waited for
	WouldReboot Outlook = "restart" // the run goes on after it
	WouldSkip   Outlook = "skip"
	WasDone     Outlook = "already done"
	// Unclear steps depend on what steps before them leave behind.
	Unclear Outlook = "decided when it is reached"
)

// DryRun tells what the runbook would do now. It asks When and Done of each
// step and runs nothing; what they answer may change when earlier steps run.
func (e *Engine) DryRun(ctx context.Context, rb Runbook) (*Plan, error) {
	if err := rb.Validate(); err != nil {
		return nil, err
	}
	plan := &Plan{Kind: rb.Kind, System: rb.System, Title: rb.Title, Stages: []PlanStage{}}
	for _, st := range rb.Stages {
		ps := PlanStage{Name: st.Name, Title: st.Title, Always: st.Always, Steps: []PlanStep{}}
		for i := range st.Steps {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			ps.Steps = append(ps.Steps, e.planStep(ctx, &st.Steps[i]))
		}
		plan.Stages = append(plan.Stages, ps)
	}
	return plan, nil
}

func (e *Engine) planStep(ctx context.Context, s *Step) (p PlanStep) {
	p = PlanStep{
		ID: s.ID, Title: s.Title, Needs: s.Needs, Outlook: WouldRun,
		Confirm: s.Confirm, Effects: s.Effects, Hand: s.Hand, Undo: s.Undo != nil,
	}
	switch {
	case s.Reboot:
		p.Outlook = WouldReboot
	case s.Confirm != "":
		p.Outlook = WouldAsk
	}
	defer func() {
		if v := recover(); v != nil {
			p.Outlook, p.Text = Unclear, fmt.Sprintf("internal error, please report it: %v", v)
		}
		p.Text = e.secrets.text(p.Text)
	}()
	if s.When != nil {
		applies, why, err := s.When(ctx)
		if err != nil {
			p.Outlook, p.Text = Unclear, err.Error()
			return p
		}
		switch {
		case !applies && s.Arrives:
			p.Text = "once it is restored: " + why
			return p
		case !applies:
			p.Outlook, p.Text = WouldSkip, why
			return p
		}
	}
	if s.Done != nil {
		done, seen, err := s.Done(ctx)
		p.Text = seen
		switch {
		case err != nil:
			p.Outlook, p.Text = Unclear, err.Error()
		case done && s.Reboot:
			// Steps before it may make it necessary.
			p.Outlook, p.Text = Unclear, "not now: "+seen
		case done:
			p.Outlook = WasDone
		}
	}
	return p
}
