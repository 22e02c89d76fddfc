package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/hook"
)

func TestAskHook(t *testing.T) {
	question := hook.Question{Hook: hook.Hook{Path: "/hooks/before_init_00_site_a"}, Err: errors.New("exit code 7"), Left: []string{"b"}}
	for typed, want := range map[string]hook.Answer{"r\n": hook.Retry, "what\n I \n": hook.Ignore, "cancel\n": hook.Cancel, "y\n": ""} {
		lines := make(chan string, 2)
		for line := range strings.Lines(typed) {
			lines <- strings.TrimSuffix(line, "\n")
		}
		close(lines)
		var out strings.Builder
		got, err := (&prompter{Out: &out, Lines: lines}).hook(t.Context(), question)
		if got != want || (want == "") != errors.Is(err, runbook.ErrNoTerminal) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
		if !strings.Contains(out.String(), "before_init_00_site_a failed: exit code 7") {
			t.Error(out.String())
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&prompter{Out: io.Discard, Lines: make(chan string)}).hook(ended, question); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := new(app).askHook(t.Context(), question); !errors.Is(err, runbook.ErrNoTerminal) {
		t.Errorf("without a terminal: %v", err)
	}
}
