package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

// Hooks are commands of the site around a backup, or around the capture of one
// component.
type Hooks struct {
	Before HookList `yaml:"before,omitempty"`
	After  HookList `yaml:"after,omitempty"`
}

// SystemHooks are those of a system, with those of its components.
type SystemHooks struct {
	Hooks      `yaml:",inline"`
	Components map[string]Hooks `yaml:"components,omitempty"`
	Lines      map[string]int   `yaml:"-"` // where the hooks of each component stand
}

// HookList is run in its order; a single hook may stand for a list.
type HookList []Hook

// What the failure of a hook does.
const (
	HookStop = "stop" // what it is around does not happen, or counts as failed
	HookWarn = "warn"
)

// Hook is one command.
type Hook struct {
	Command []string      `yaml:"command" jsonschema:"required"` // arguments, no shell
	Timeout time.Duration `yaml:"timeout,omitempty"`             // default DefaultHookTimeout
	// OnFailure is stop before and warn after, unless said otherwise.
	OnFailure string `yaml:"on_failure,omitempty" jsonschema:"enum=stop,enum=warn"`
	User      string `yaml:"user,omitempty"` // default the one who runs lifeboat
}

// DefaultHookTimeout is how long a hook may take that does not say.
const DefaultHookTimeout = 10 * time.Minute

// Limit is how long the hook may take.
func (h Hook) Limit() time.Duration {
	if h.Timeout == 0 {
		return DefaultHookTimeout
	}
	return h.Timeout
}

// IsZero tells whether there is none.
func (h Hooks) IsZero() bool { return len(h.Before)+len(h.After) == 0 }

// IsZero tells whether there is none.
func (h SystemHooks) IsZero() bool { return h.Hooks.IsZero() && len(h.Components) == 0 }

func handleHooks(doc *strict.Document) {
	strict.Handle(doc, func(node *yaml.Node, h *SystemHooks) {
		doc.Fill(node, h)
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value != "components" {
				continue
			}
			h.Lines = map[string]int{}
			for of := node.Content[i+1].Content; len(of) > 1; of = of[2:] {
				h.Lines[of[0].Value] = of[0].Line
			}
		}
	})
	strict.Handle(doc, func(node *yaml.Node, h *Hook) {
		doc.Fill(node, h)
		for i := 0; i+1 < len(node.Content); i += 2 {
			// Else it would say nothing, and be the usual time.
			if d, err := strict.ParseDuration(node.Content[i+1].Value); node.Content[i].Value == "timeout" && err == nil && d == 0 {
				doc.Problem(node.Content[i+1], "timeout: a hook without a time limit could keep a backup from ever ending; leave timeout out for %s, or say as much as it may need, at most 24h", Words(DefaultHookTimeout))
			}
		}
	})
	strict.Handle(doc, func(node *yaml.Node, l *HookList) {
		if node.Kind == yaml.MappingNode {
			var one Hook
			doc.Decode(node, &one)
			*l = HookList{one}
			return
		}
		doc.Decode(node, (*[]Hook)(l))
	})
}

// userName is what useradd(8) of the usual systems takes.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._-]{0,63}\$?$`)

// Validate checks what a hook is made of.
func (h *Hook) Validate() error {
	var errs []error
	if len(h.Command) == 0 || slices.Contains(h.Command[:1], "") {
		errs = append(errs, errors.New("command: a hook needs a program"))
	}
	if h.Timeout > 24*time.Hour {
		errs = append(errs, errors.New("timeout: more than 24h"))
	}
	if h.User != "" && !userName.MatchString(h.User) {
		errs = append(errs, fmt.Errorf("user: %q is no name of a user", h.User))
	}
	return errors.Join(errs...)
}
