// Package notice tells people and watchers what became of a run: by mail, as a POST
// of JSON, as a ping to a service that waits for one, and in the system's journal.
// What is worth telling, and to whom, the configuration says. Nothing here judges a
// run, and nothing that fails here makes a run fail.
package notice

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/config"
)

// Result is how what is told of ended.
type Result string

// The results. Begun is told by pings alone.
const (
	Begun    Result = "begun"
	Done     Result = "done"
	Warnings Result = "warnings"
	Failed   Result = "failed"
)

// What a message is about.
const (
	AboutRun    = "run"
	AboutStatus = "status"
	AboutTrial  = "trial"
)

// Message is what is told. Its JSON is what a webhook gets.
type Message struct {
	Type      string    `json:"type"` // AboutRun …
	Host      string    `json:"host"`
	Systems   []string  `json:"systems,omitempty"`
	Job       string    `json:"job,omitempty"` // as it is called in the schedule: backup, backup-large
	Result    Result    `json:"result,omitempty"`
	State     string    `json:"state,omitempty"` // the result in words: done with warnings, refused
	Exit      int       `json:"exit"`
	Scheduled bool      `json:"scheduled"` // nobody was there
	Started   time.Time `json:"started,omitzero"`
	Finished  time.Time `json:"finished,omitzero"`
	Run       string    `json:"run,omitempty"` // id, where there is one
	Version   string    `json:"version"`       // of this program

	Problems []string `json:"problems,omitempty"` // what is wrong
	Facts    []string `json:"facts,omitempty"`    // what was done
	Next     []string `json:"next,omitempty"`     // commands that help

	// Text is all of it for a person. Services that show a message to people take
	// it from a field of this name.
	Text string `json:"text"`
}

// Bounds of a message: a run that fails a thousand times over is told in a few lines.
const (
	mostLines = 30
	longest   = 1000 // runes of one line
)

// Bounded is the message with as much in it as anybody reads, without control
// characters, and with its text.
func (m Message) Bounded() Message {
	for _, lines := range []*[]string{&m.Problems, &m.Facts, &m.Next} {
		*lines = bounded(*lines)
	}
	m.Text = m.Subject() + "\n" + m.body()
	return m
}

func bounded(lines []string) []string {
	var out []string
	for _, line := range lines {
		if line = plain(line); line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	if more := len(out) - mostLines; more > 0 {
		out = append(out[:mostLines:mostLines], fmt.Sprintf("and %d more", more))
	}
	return out
}

// plain makes one line of a text.
func plain(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)), " ")
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + " …"
	}
	return text
}

// Subject is the message in one line.
func (m Message) Subject() string {
	what := plain(m.Host) + ": "
	of := ""
	if len(m.Systems) > 0 {
		of = " of " + plain(strings.Join(m.Systems, ", "))
	}
	switch m.Type {
	case AboutTrial:
		return what + "a trial of lifeboat's notices"
	case AboutStatus:
		return what + "protection" + of + ": " + plain(m.State)
	}
	return what + plain(m.Job) + of + ": " + plain(m.State)
}

// body is what stands below the subject.
func (m Message) body() string {
	var b strings.Builder
	if m.Type == AboutTrial {
		b.WriteString("\nThis is what `lifeboat notice test` sends. Nothing has happened.\n")
	}
	for _, part := range []struct {
		title, mark string
		lines       []string
	}{{"What is wrong", "- ", m.Problems}, {"What was done", "- ", m.Facts}, {"What to do", "  ", m.Next}} {
		if len(part.lines) == 0 {
			continue
		}
		b.WriteString("\n" + part.title + ":\n")
		for _, line := range part.lines {
			b.WriteString(part.mark + line + "\n")
		}
	}
	var end []string
	if !m.Started.IsZero() {
		end = append(end, "Begun "+m.Started.Local().Format(time.DateTime))
		if !m.Finished.IsZero() {
			end[0] += ", took " + config.Words(m.Finished.Sub(m.Started).Round(time.Second))
		}
	}
	if m.Run != "" {
		end = append(end, "run "+plain(m.Run))
	}
	end = append(end, "lifeboat "+plain(m.Version))
	b.WriteString("\n" + strings.Join(end, "; ") + "\n")
	return b.String()
}

// About tells whether a notice is about a system.
func About(n config.Notice, system string) bool {
	return len(n.Systems) == 0 || slices.Contains(n.Systems, system)
}

// Wants tells whether a message is sent by a notice.
func Wants(n config.Notice, m Message) bool {
	if m.Type == AboutTrial {
		return true
	}
	if !slices.ContainsFunc(m.Systems, func(s string) bool { return About(n, s) }) {
		return false
	}
	kind, _, _ := strings.Cut(m.Job, "-")
	if len(n.Jobs) > 0 && !slices.Contains(n.Jobs, m.Job) && !slices.Contains(n.Jobs, kind) {
		return false
	}
	if !m.Scheduled && !n.ByHand {
		return false
	}
	if n.Ping != nil {
		return true
	}
	switch m.Result {
	case Begun:
		return false
	case Failed:
		return true
	case Warnings:
		return n.On != config.OnFailure
	}
	return n.On == config.OnAlways
}

// isFailure tells whether a ping says that it failed.
func isFailure(n config.Notice, m Message) bool {
	return m.Result == Failed || m.Result == Warnings && n.On == config.OnWarning
}
