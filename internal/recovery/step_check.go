package recovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// CheckOptions is one checked statement; exactly one of its keys is given.
type CheckOptions struct {
	FilesEqual  []string           `yaml:"files_equal,omitempty" json:"files_equal,omitempty"` // two paths of the machine
	Component   string             `yaml:"component,omitempty" json:"component,omitempty"`     // the kind's own comparison with the point
	Login       *LoginCheck        `yaml:"login,omitempty" json:"login,omitempty"`
	Readable    *ReadableCheck     `yaml:"readable,omitempty" json:"readable,omitempty"`
	Command     *CommandCheck      `yaml:"command,omitempty" json:"command,omitempty"`
	SQL         *SQLCheck          `yaml:"sql,omitempty" json:"sql,omitempty"`
	Condition   *profile.Condition `yaml:"condition,omitempty" json:"condition,omitempty"` // any predicate, say a certificate
	Hint        string             `yaml:"hint,omitempty" json:"hint,omitempty"`
	Description string             `yaml:"name,omitempty" json:"name,omitempty"`
}

// LoginCheck tries the application's own database account.
type LoginCheck struct {
	Component string `yaml:"component" json:"component"`
}

// ReadableCheck tries whether a user can read a file.
type ReadableCheck struct {
	Path string `yaml:"path" json:"path"`
	User string `yaml:"user" json:"user"`
}

// CommandCheck runs a command that only reads. With records, its lines were
// kept at backup and are compared.
type CommandCheck struct {
	Run        []string   `yaml:"run,omitempty" json:"run,omitempty" short:"true"`
	Any        [][]string `yaml:"any,omitempty" json:"any,omitempty"` // alternatives, as in a run step
	User       string     `yaml:"user,omitempty" json:"user,omitempty"`
	ExpectExit int        `yaml:"expect_exit,omitempty" json:"expect_exit,omitempty"`
	Records    string     `yaml:"records,omitempty" json:"records,omitempty"`
}

// call is the command as a run step has it.
func (o *CommandCheck) call() *RunOptions {
	return &RunOptions{Command: o.Run, Any: o.Any, User: o.User, ExpectExit: o.ExpectExit}
}

// Validate refuses a check without a command.
func (o *CommandCheck) Validate() error { return o.call().Validate() }

// SQLCheck runs a reading statement.
type SQLCheck struct {
	Component string `yaml:"component" json:"component"`
	Query     string `yaml:"query" json:"query"`
	Equals    string `yaml:"equals,omitempty" json:"equals,omitempty"`   // of the first field
	Records   string `yaml:"records,omitempty" json:"records,omitempty"` // rows were kept at backup and are compared
}

// Validate refuses a check with no key or several.
func (o *CheckOptions) Validate() error {
	if n := len(o.given()); n != 1 {
		return fmt.Errorf("a check takes exactly one of files_equal, component, login, readable, command, sql, condition; this one has %d", n)
	}
	if len(o.FilesEqual) != 0 && len(o.FilesEqual) != 2 {
		return errors.New("files_equal takes two paths")
	}
	return nil
}

func (o *CheckOptions) given() []string {
	var keys []string
	add := func(key string, set bool) {
		if set {
			keys = append(keys, key)
		}
	}
	add("files equal", len(o.FilesEqual) > 0)
	add(o.Component, o.Component != "")
	add("login", o.Login != nil)
	add("readable", o.Readable != nil)
	add("command", o.Command != nil)
	add("sql", o.SQL != nil)
	add("condition", o.Condition != nil)
	return keys
}

// components lists those that the check refers to.
func (o *CheckOptions) components() []string {
	switch {
	case o.Component != "":
		return []string{o.Component}
	case o.Login != nil:
		return []string{o.Login.Component}
	case o.SQL != nil:
		return []string{o.SQL.Component}
	}
	return nil
}

func checkStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary:    "checks one statement and records the result",
			Options:    func() any { return &CheckOptions{} },
			Components: func(o any) []string { return o.(*CheckOptions).components() },
		},
		Target: func(o any) string { return o.(*CheckOptions).title() },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*CheckOptions)
			step := runbook.Step{Title: "Check: " + opts.title(), Repeat: runbook.RepeatSafe, Hand: r.checkByHand(opts)}
			if names := opts.components(); len(names) > 0 {
				if _, err := r.record(names[0]); err != nil {
					step.Hand = "" // there is nothing to compare with
				}
				step.When = func(context.Context) (bool, string, error) {
					_, err := r.record(names[0])
					if err != nil || !r.wanted(names[0]) {
						return false, names[0] + " was not restored", nil
					}
					return true, "", nil
				}
			}
			step.Run = func(ctx context.Context, task runbook.Task) error {
				checks, err := r.check(ctx, task, opts)
				if err != nil {
					return err
				}
				for i := range checks {
					if checks[i].Hint == "" {
						checks[i].Hint = opts.Hint
					}
				}
				return report(task, opts.title(), checks)
			}
			return step, nil
		},
	}
}

func (o *CheckOptions) title() string {
	switch {
	case o.Description != "":
		return o.Description
	case len(o.FilesEqual) == 2:
		return o.FilesEqual[0] + " equals " + o.FilesEqual[1]
	case o.Component != "":
		return o.Component + " is as it was saved"
	case o.Login != nil:
		return "login to " + o.Login.Component + " with the configured account"
	case o.Readable != nil:
		return o.Readable.Path + " can be read by " + o.Readable.User
	case o.Command != nil:
		return strings.Join(o.Command.call().lists()[0], " ")
	case o.SQL != nil:
		return o.SQL.Query
	}
	return "condition"
}

// checkByHand tells how the statement is checked by hand, and what to expect.
func (r *Recovery) checkByHand(o *CheckOptions) string {
	text := o.byHand(r.Host) + r.expected(o) + r.listed(o)
	if o.Login != nil {
		text = r.loginByHand(o.Login.Component)
	}
	if o.Hint != "" && text != o.Hint {
		text += "\nIf it does not hold: " + o.Hint + "\n"
	}
	return text
}

// listed is what a condition looks for, where its predicate has a list of that.
func (r *Recovery) listed(o *CheckOptions) string {
	if o.Condition == nil {
		return ""
	}
	options, err := profile.ExpandOptions(o.Condition.Options, r.settings)
	if err != nil {
		return ""
	}
	by, ok := options.(interface{ Listed() []string })
	if !ok {
		return ""
	}
	text := "This is looked for:\n\n"
	for _, entry := range by.Listed() {
		text += "    " + line(entry) + "\n"
	}
	return text
}

// loginByHand is no block to paste: the client asks for the password.
func (r *Recovery) loginByHand(name string) string {
	spec, err := r.spec(name)
	if err != nil {
		return ""
	}
	c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: r.Scope(context.Background()).Settings}, spec)
	if err != nil {
		return ""
	}
	client, ok := c.(interface{ LoginCommand() []string })
	if !ok {
		return ""
	}
	return "The client asks for the password, which stands in the restored configuration:\n\n    " + quoteAll(client.LoginCommand()) + "\n"
}

func (o *CheckOptions) byHand(h *host.Host) string {
	switch {
	case len(o.FilesEqual) == 2:
		return "```sh\ncmp " + quoteAll(o.FilesEqual) + "\n```\n"
	case o.Readable != nil:
		return "```sh\nrunuser -u " + quote(o.Readable.User) + " -- test -r " + quote(o.Readable.Path) + " && echo readable\n```\n"
	case o.Command != nil:
		return o.Command.call().byHand(h)
	case o.SQL != nil:
		return "```sql\n" + o.SQL.Query + ";\n```\n"
	}
	return ""
}

// maxExpected bounds how many recorded rows the runbook prints.
const maxExpected = 12

// expected tells what the answer was when the point was made.
func (r *Recovery) expected(o *CheckOptions) string {
	name := ""
	switch {
	case o.Command != nil:
		name = o.Command.Records
	case o.SQL != nil:
		name = o.SQL.Records
	}
	rows, ok := r.Manifest.Records[name]
	if !ok {
		return ""
	}
	text := fmt.Sprintf("\nRows when the point was made: %d\n\n", len(rows))
	for _, row := range rows[:min(len(rows), maxExpected)] {
		text += "    " + line(strings.Join(row, "  ")) + "\n"
	}
	if len(rows) > maxExpected {
		text += "    …\n"
	}
	return text
}

func (r *Recovery) check(ctx context.Context, task runbook.Task, o *CheckOptions) ([]runbook.Check, error) {
	one := func(ok bool, expected, found string) []runbook.Check {
		return []runbook.Check{{Name: o.title(), OK: ok, Expected: expected, Found: found}}
	}
	switch {
	case len(o.FilesEqual) == 2:
		return r.filesEqual(o)
	case o.Component != "":
		c, err := r.component(ctx, task, o.Component)
		if err != nil {
			return nil, err
		}
		record, err := r.record(o.Component)
		if err != nil {
			return nil, err
		}
		checks, err := c.Check(ctx, record)
		return r.spare(record, checks), err
	case o.Login != nil:
		db, err := r.database(ctx, task, o.Login.Component)
		if err != nil {
			return nil, err
		}
		if err := db.Login(ctx); err != nil {
			return one(false, "login works", err.Error()), nil
		}
		return one(true, "login works", "login works"), nil
	case o.Readable != nil:
		args := []string{"test", "-r", o.Readable.Path}
		if err := r.run(ctx, task, args, o.Readable.User, 0); err != nil {
			if ctxError(err) {
				return nil, err
			}
			return one(false, "readable", "not readable"), nil
		}
		return one(true, "readable", "readable"), nil
	case o.Command != nil:
		return r.commandCheck(ctx, o)
	case o.SQL != nil:
		return r.sqlCheck(ctx, task, o)
	}
	holds, why, err := r.Catalog.Profile.Holds(ctx, *o.Condition, r.Scope(ctx))
	return one(holds, "holds", why), err
}

func (r *Recovery) filesEqual(o *CheckOptions) ([]runbook.Check, error) {
	var content [2][]byte
	for i, name := range o.FilesEqual {
		p, err := r.Host.Path(name)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return []runbook.Check{{Name: o.title(), Expected: "equal", Found: err.Error()}}, nil
		}
		content[i] = data
	}
	check := runbook.Check{Name: o.title(), OK: bytes.Equal(content[0], content[1]), Expected: "equal", Found: "equal"}
	if !check.OK {
		check.Found = "different"
	}
	return []runbook.Check{check}, nil
}

// database returns a component that is one.
func (r *Recovery) database(ctx context.Context, task runbook.Task, name string) (component.Querier, error) {
	c, err := r.component(ctx, task, name)
	if err != nil {
		return nil, err
	}
	db, ok := c.(component.Querier)
	if !ok {
		return nil, fmt.Errorf("component %s is no database", name)
	}
	return db, nil
}
