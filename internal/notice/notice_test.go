package notice

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
)

func TestWants(t *testing.T) {
	scheduled := Message{Type: AboutRun, Systems: []string{"smt"}, Job: "backup-large", Scheduled: true}
	of := func(m Message, r Result) Message { m.Result = r; return m }
	byHand := scheduled
	byHand.Scheduled = false
	mail, ping := config.Notice{Mail: &config.Mail{}}, config.Notice{Ping: &config.Ping{}}
	with := func(n config.Notice, change func(*config.Notice)) config.Notice { change(&n); return n }
	for name, c := range map[string]struct {
		n    config.Notice
		m    Message
		want bool
	}{
		"a failure":                  {mail, of(scheduled, Failed), true},
		"warnings":                   {mail, of(scheduled, Warnings), true},
		"all is well":                {mail, of(scheduled, Done), false},
		"a beginning":                {mail, of(scheduled, Begun), false},
		"failures only":              {with(mail, func(n *config.Notice) { n.On = config.OnFailure }), of(scheduled, Warnings), false},
		"always":                     {with(mail, func(n *config.Notice) { n.On = config.OnAlways }), of(scheduled, Done), true},
		"always, a beginning":        {with(mail, func(n *config.Notice) { n.On = config.OnAlways }), of(scheduled, Begun), false},
		"by hand":                    {mail, of(byHand, Failed), false},
		"by hand, wanted":            {with(mail, func(n *config.Notice) { n.ByHand = true }), of(byHand, Failed), true},
		"another system":             {with(mail, func(n *config.Notice) { n.Systems = []string{"opsi"} }), of(scheduled, Failed), false},
		"this system":                {with(mail, func(n *config.Notice) { n.Systems = []string{"opsi", "smt"} }), of(scheduled, Failed), true},
		"another job":                {with(mail, func(n *config.Notice) { n.Jobs = []string{"verify"} }), of(scheduled, Failed), false},
		"this sort of job":           {with(mail, func(n *config.Notice) { n.Jobs = []string{"backup"} }), of(scheduled, Failed), true},
		"this very job":              {with(mail, func(n *config.Notice) { n.Jobs = []string{"backup-large"} }), of(scheduled, Failed), true},
		"a ping, a beginning":        {ping, of(scheduled, Begun), true},
		"a ping, all is well":        {ping, of(scheduled, Done), true},
		"a trial, whatever is named": {with(mail, func(n *config.Notice) { n.Jobs = []string{"verify"} }), Message{Type: AboutTrial}, true},
	} {
		if got := Wants(c.n, c.m); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isFailure(ping, of(scheduled, Warnings)) || !isFailure(with(ping, func(n *config.Notice) { n.On = config.OnWarning }), of(scheduled, Warnings)) || !isFailure(ping, of(scheduled, Failed)) {
		t.Error("what a ping calls a failure")
	}
}

func TestMessageIsBoundedAndPlain(t *testing.T) {
	m := Message{
		Type: AboutRun, Host: "smt1", Systems: []string{"smt"}, Job: "backup", State: "failed\r\nBcc: x@example.com", Version: "1",
		Problems: []string{"one\x1b[31m\nline", strings.Repeat("long ", 1000), "one\x1b[31m\nline"}, Next: []string{"lifeboat backup smt"},
		Started: time.Now().Add(-time.Minute), Finished: time.Now(), Run: "run-1",
	}
	for i := range 100 {
		m.Facts = append(m.Facts, fmt.Sprint("fact ", i))
	}
	m = m.Bounded()
	if got := m.Subject(); strings.ContainsAny(got, "\r\n") || !strings.HasPrefix(got, "smt1: backup of smt: failed") {
		t.Errorf("subject %q", got)
	}
	if len(m.Problems) != 2 || m.Problems[0] != "one[31m line" || len(m.Problems[1]) > 1100 || len(m.Facts) != mostLines+1 || m.Facts[mostLines] != "and 70 more" {
		t.Errorf("%q, %d facts", m.Problems, len(m.Facts))
	}
	for _, part := range []string{"What is wrong:\n- one[31m line\n", "What to do:\n  lifeboat backup smt\n", "took 1 min; run run-1; lifeboat 1\n"} {
		if !strings.Contains(m.Text, part) {
			t.Errorf("%q is not in\n%s", part, m.Text)
		}
	}
}
