package recovery

import (
	"context"
	"strings"

	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// ConfirmOptions is what a person is asked to do.
type ConfirmOptions struct {
	Text string `yaml:"text" json:"text" short:"true" jsonschema:"required"`
}

func confirmStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "asks a person to do something; done: sees that it happened",
			Options: func() any { return &ConfirmOptions{} },
		},
		Compile: func(_ *Recovery, o any) (runbook.Step, error) {
			text := strings.TrimSpace(o.(*ConfirmOptions).Text)
			title, _, _ := strings.Cut(text, "\n")
			return runbook.Step{Title: title, Confirm: text, Hand: text + "\n", Repeat: runbook.RepeatSafe}, nil
		},
	}
}

// RebootOptions says why the machine restarts.
type RebootOptions struct {
	Reason string `yaml:"reason" json:"reason" short:"true" jsonschema:"required"`
}

func rebootStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "restarts the machine; the run is resumed afterwards",
			Options: func() any { return &RebootOptions{} },
		},
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			return runbook.Step{
				Title:  "Restart the machine: " + o.(*RebootOptions).Reason,
				Reboot: true,
				Hand:   "```sh\nshutdown -r now\n```\n",
				Run: func(ctx context.Context, _ runbook.Task) error {
					return r.Host.Reboot(ctx)
				},
			}, nil
		},
	}
}

// SystemOptions is the word stop or start.
type SystemOptions struct {
	Action string `yaml:"action" json:"action" short:"true" jsonschema:"required,enum=stop,enum=start"`
}

func systemStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "stops or starts the system with the profile's own quiesce commands",
			Options: func() any { return &SystemOptions{} },
		},
		Target: func(o any) string { return o.(*SystemOptions).Action },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			if o.(*SystemOptions).Action == "stop" {
				return r.stopStep(), nil
			}
			return r.startStep(), nil
		},
	}
}
