package profile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/types"
)

// askTimeout bounds what a condition waits for the machine.
const askTimeout = 30 * time.Second

// functions are what expr conditions can ask the machine. They are kept few:
// whatever decides more than which of several commands applies is a Condition.
func functions(scope Scope) map[string]any {
	return map[string]any{
		// file tells whether a file or directory is there.
		"file": func(path string) bool {
			if scope.Host == nil {
				return false
			}
			p, err := scope.Host.Path(path)
			if err != nil {
				return false
			}
			_, err = os.Stat(p)
			return err == nil
		},
		// program tells whether a program is installed.
		"program": func(name string) bool {
			if scope.Host == nil {
				return false
			}
			_, err := scope.Host.Look(name)
			return err == nil
		},
		// unit tells whether systemd runs the machine and knows a unit file.
		"unit": func(name string) bool { return scope.Host != nil && scope.Host.HasUnit(name) },
		// active tells whether a service runs.
		"active": func(name string) (bool, error) {
			if scope.Host == nil {
				return false, nil
			}
			ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
			defer cancel()
			return scope.Host.ServiceActive(ctx, name)
		},
		// runs tells whether a process has that program among its arguments.
		"runs": func(program string) (bool, error) {
			if scope.Host == nil {
				return false, nil
			}
			return scope.Host.Running(program)
		},
		// at_least compares versions number by number: at_least("1.10", "1.9").
		"at_least": func(version, least string) bool { return compareVersions(version, least) >= 0 },
	}
}

// Expr decides a when: expression. A setting or fact without a value is an empty
// text there, and what a point does not hold is nil.
func Expr(text string, scope Scope) (bool, error) {
	env := functions(scope)
	env["settings"] = orEmpty(scope.Settings)
	env["facts"] = orEmpty(scope.Facts)
	env["point"] = scope.Point
	if scope.Point == nil {
		env["point"] = map[string]any{}
	}
	program, err := expr.Compile(text, expr.Env(env), expr.AsBool())
	if err != nil {
		return false, fmt.Errorf("condition %q: %w", text, firstLine(err))
	}
	result, err := expr.Run(program, env)
	if err != nil {
		return false, fmt.Errorf("condition %q: %w", text, firstLine(err))
	}
	return result.(bool), nil
}

// compileExpr checks an expression against what the profile declares.
func compileExpr(text string, p *Profile) error {
	env := types.Map{"point": types.Map{types.Extra: types.Any}}
	for name, f := range functions(Scope{}) {
		env[name] = types.TypeOf(f)
	}
	settings, facts := types.Map{}, types.Map{}
	for name := range p.Settings {
		settings[name] = types.String
	}
	for _, name := range p.factNames() {
		facts[name] = types.String
	}
	env["settings"], env["facts"] = settings, facts
	if _, err := expr.Compile(text, expr.Env(env), expr.AsBool()); err != nil {
		return firstLine(err)
	}
	return nil
}

// Commands returns those of the commands that apply, with their settings
// replaced.
func Commands(list []Command, scope Scope) ([][]string, error) {
	var out [][]string
	for _, c := range list {
		if c.When != "" {
			applies, err := Expr(c.When, scope)
			if err != nil {
				return nil, err
			}
			if !applies {
				continue
			}
		}
		args := make([]string, len(c.Run))
		for i, arg := range c.Run {
			text, err := Expand(arg, scope.Settings)
			if err != nil {
				return nil, fmt.Errorf("command %s: %w", strings.Join(c.Run, " "), err)
			}
			args[i] = text
		}
		out = append(out, args)
	}
	return out, nil
}

// firstLine drops the drawing that expr adds below its messages.
func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
