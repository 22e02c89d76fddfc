// Package screen is what verbs have in common in front of a person: text, tables and
// JSON, colour, questions, mistakes of usage, exit codes. It builds on every system
// that one of the programs is built for. What a verb does must not enter, nor anything
// of this machine but its terminal.
package screen

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"lifeboat/internal/runbook/ending"
)

// Version of the program; the build sets it.
var Version = "0.1.0-dev"

// Screen is where one call of the program prints, and how.
type Screen struct {
	Out, Err io.Writer
	JSON     bool
	Code     int // the exit code when there is no error
}

// Printf prints for people.
func (s *Screen) Printf(format string, args ...any) { fmt.Fprintf(s.Out, format, args...) }

// Emit prints a value as one line of JSON.
func (s *Screen) Emit(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// EmitTyped prints an answer of somebody else as --json shows it.
func (s *Screen) EmitTyped(kind string, value any) error {
	return s.Emit(struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{kind, value})
}

// Warn tells of something that failed while the rest went on, which the exit code says
// too.
func (s *Screen) Warn(err error) error {
	s.Code = ending.ExitWarnings
	return s.Remark(err.Error())
}

// Remark tells of what a person should look at although nothing failed.
func (s *Screen) Remark(text string) error {
	if s.JSON {
		return s.Emit(map[string]any{"type": "warning", "error": text})
	}
	fmt.Fprintf(s.Err, "%s %s\n", PainterFor(s.Err).Yellow("warning:"), text)
	return nil
}

// Fail tells of the error that ends a call, and what can be done about it. No text says
// that it was told already.
func (s *Screen) Fail(command, text string, code int, hints ...string) {
	if code == ending.ExitInterrupted {
		text = strings.ReplaceAll(text, context.Canceled.Error(), ending.ErrInterrupted.Error())
	}
	if s.JSON {
		_ = json.NewEncoder(s.Err).Encode(map[string]any{"type": "error", "error": text, "exit": code})
		return
	}
	if text != "" {
		fmt.Fprintf(s.Err, "%s %s\n", PainterFor(s.Err).Red("lifeboat:"), text)
	}
	for _, hint := range hints {
		if hint != "" {
			fmt.Fprintln(s.Err, hint)
		}
	}
	if code == ending.ExitUsage && command != "" {
		fmt.Fprintf(s.Err, "See '%s --help'.\n", command)
	}
}
