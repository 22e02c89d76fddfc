package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const hooked = good + `    hooks:
      before: {command: [/usr/local/sbin/drain, smt], timeout: 5m}
      after: [{command: [/usr/local/sbin/undrain], on_failure: stop, user: smt}, {command: [date]}]
      components:
        database: {before: {command: [note]}}
`

func TestHooks(t *testing.T) {
	c, err := Parse("lifeboat.yaml", []byte(hooked))
	if err != nil {
		t.Fatal(err)
	}
	h := c.Systems[0].Hooks
	if len(h.Before) != 1 || h.Before[0].Limit() != 5*time.Minute || len(h.After) != 2 || h.After[0].User != "smt" || h.After[1].Limit() != DefaultHookTimeout || h.Components["database"].Before[0].Command[0] != "note" {
		t.Errorf("%+v", h)
	}
	if line := h.Lines["database"]; line != 1+strings.Count(hooked[:strings.Index(hooked, "database:")], "\n") {
		t.Errorf("line %d", line)
	}
	text, err := Format(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again", text)
	if err == nil {
		h.Lines = again.Systems[0].Hooks.Lines // another file
	}
	if err != nil || !reflect.DeepEqual(h, again.Systems[0].Hooks) {
		t.Errorf("%v, %s", err, text)
	}
	for says, change := range map[string][2]string{
		"command is missing":                     {"command: [note]", "timeout: 1s"},
		"a hook needs a program":                 {"[note]", "[]"},
		"must be a list":                         {"[note]", "note"},
		"more than 24h":                          {"5m", "25h"},
		": timeout: a hook without a time limit": {"5m", "0s"},
		"leave timeout out for 10 min":           {"5m", "0"},
		"is no name of a user":                   {"user: smt", "user: 'a b'"},
		"is none of stop, warn":                  {"on_failure: stop", "on_failure: ignore"},
		"unknown key befor":                      {"before: {command: [/usr", "befor: {command: [/usr"},
		"unknown key during":                     {"database: {before", "database: {during"},
		"must be a mapping (key: value":          {"components:\n        database: {before: {command: [note]}}", "components: [database]"},
	} {
		_, err := Parse("lifeboat.yaml", []byte(strings.Replace(hooked, change[0], change[1], 1)))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
