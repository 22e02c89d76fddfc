package profile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"lifeboat/internal/host"
)

// Predicates returns those that need nothing but the machine. Packages that know
// more (certificates, databases) bring their own.
func Predicates() map[string]Predicate {
	return map[string]Predicate{
		"file":    predicate("a file exists, or is reached by a link", fileHolds),
		"dir":     predicate("a directory exists", dirHolds),
		"package": predicate("a package is installed, perhaps of at least a version", packageHolds),
		"command": predicate("a command ends with exit code 0 and prints what matches", commandHolds),
		"user":    predicate("a user exists", userHolds),
		"group":   predicate("a group exists", groupHolds),
		"service": predicate("a service runs", serviceHolds),
		"listens": predicate("a TCP port of this machine is answered", listensHolds),
		"lock":    predicate("the process that a pid file names runs", lockHolds),
		"text":    predicate("a file holds text that a regular expression matches", textHolds),
		"setting": predicate("a setting has a value", settingHolds),
		"expr":    predicate("an expression over settings, facts and point is true", exprHolds),
	}
}

// predicate binds a typed function to the untyped contract.
func predicate[T any](summary string, holds func(ctx context.Context, scope Scope, o *T) (bool, string, error)) Predicate {
	return Predicate{
		Definition: Definition{Summary: summary, Options: func() any { return new(T) }},
		Holds: func(ctx context.Context, scope Scope, options any) (bool, string, error) {
			o, ok := options.(*T)
			if !ok {
				return false, "", fmt.Errorf("options are %T", options)
			}
			return holds(ctx, scope, o)
		},
	}
}

type fileOptions struct {
	File string `yaml:"file" short:"true" jsonschema:"required"`
}

func fileHolds(_ context.Context, scope Scope, o *fileOptions) (bool, string, error) {
	info, err := stat(scope, o.File)
	switch {
	case err != nil:
		return false, "", err
	case info == nil:
		return false, o.File + " is not there", nil
	case info.IsDir():
		return false, o.File + " is a directory", nil
	}
	return true, o.File + " is there", nil
}

type dirOptions struct {
	Dir      string `yaml:"dir" short:"true" jsonschema:"required"`
	NotEmpty bool   `yaml:"not_empty,omitempty"` // and has something in it
}

func dirHolds(_ context.Context, scope Scope, o *dirOptions) (bool, string, error) {
	info, err := stat(scope, o.Dir)
	switch {
	case err != nil:
		return false, "", err
	case info == nil || !info.IsDir():
		return false, "directory " + o.Dir + " is not there", nil
	case !o.NotEmpty:
		return true, "directory " + o.Dir + " is there", nil
	}
	path, err := scope.Host.Path(o.Dir)
	if err != nil {
		return false, "", err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return false, "", err
	}
	if len(entries) == 0 {
		return false, "directory " + o.Dir + " is empty", nil
	}
	return true, fmt.Sprintf("directory %s has %d entries", o.Dir, len(entries)), nil
}

// stat looks at a file of the machine; nil means that it is not there.
func stat(scope Scope, path string) (os.FileInfo, error) {
	p, err := scope.Host.Path(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

type packageOptions struct {
	Name    string `yaml:"name" short:"true" jsonschema:"required"`
	AtLeast string `yaml:"at_least,omitempty"` // version, compared number by number
}

func packageHolds(ctx context.Context, scope Scope, o *packageOptions) (bool, string, error) {
	version, installed, err := scope.Host.PackageVersion(ctx, o.Name)
	switch {
	case err != nil:
		return false, "", err
	case !installed:
		return false, "package " + o.Name + " is not installed", nil
	}
	why := fmt.Sprintf("package %s %s is installed", o.Name, version)
	return o.AtLeast == "" || compareVersions(version, o.AtLeast) >= 0, why, nil
}

type commandOptions struct {
	Run     []string `yaml:"run" short:"true" jsonschema:"required"` // arguments, no shell
	User    string   `yaml:"user,omitempty"`
	Matches string   `yaml:"matches,omitempty"` // of what it prints; ^ and $ match at lines
}

// Validate checks the pattern and that a program is named.
func (o *commandOptions) Validate() error {
	if len(o.Run) == 0 || o.Run[0] == "" {
		return errors.New("run must name a program")
	}
	_, err := pattern(o.Matches)
	return err
}

// commandHolds takes a program that is not installed as one that failed.
func commandHolds(ctx context.Context, scope Scope, o *commandOptions) (bool, string, error) {
	line := strings.Join(o.Run, " ")
	out, err := output(ctx, scope, o.Run, o.User)
	var exit *host.ExitError
	switch {
	case errors.As(err, &exit):
		return false, fmt.Sprintf("%s ended with exit code %d", line, exit.Code), nil
	case errors.Is(err, host.ErrNoProgram):
		return false, o.Run[0] + " is not installed", nil
	case err != nil:
		return false, "", err
	case o.Matches == "":
		return true, line + " succeeded", nil
	}
	re, err := pattern(o.Matches)
	if err != nil {
		return false, "", err
	}
	if !re.MatchString(out) {
		return false, fmt.Sprintf("%s printed nothing like %q", line, o.Matches), nil
	}
	return true, fmt.Sprintf("%s printed %q", line, re.FindString(out)), nil
}

type userOptions struct {
	Name string `yaml:"name" short:"true" jsonschema:"required"`
}

func userHolds(_ context.Context, scope Scope, o *userOptions) (bool, string, error) {
	_, err := scope.Host.User(o.Name)
	return accountHolds("user", o.Name, err)
}

type groupOptions struct {
	Name string `yaml:"name" short:"true" jsonschema:"required"`
}

func groupHolds(_ context.Context, scope Scope, o *groupOptions) (bool, string, error) {
	_, err := scope.Host.GroupID(o.Name)
	return accountHolds("group", o.Name, err)
}

func accountHolds(what, name string, err error) (bool, string, error) {
	if errors.Is(err, host.ErrUnknownAccount) {
		return false, what + " " + name + " is not known", nil
	}
	return err == nil, what + " " + name + " exists", err
}

type serviceOptions struct {
	Name string `yaml:"name" short:"true" jsonschema:"required"`
}

func serviceHolds(ctx context.Context, scope Scope, o *serviceOptions) (bool, string, error) {
	active, err := scope.Host.ServiceActive(ctx, o.Name)
	if err != nil || !active {
		return false, "service " + o.Name + " does not run", err
	}
	return true, "service " + o.Name + " runs", nil
}

type lockOptions struct {
	Lock    string `yaml:"lock" short:"true" jsonschema:"required"`
	Program string `yaml:"program,omitempty"` // must occur in the process's command line
}

func lockHolds(_ context.Context, scope Scope, o *lockOptions) (bool, string, error) {
	pid, err := scope.Host.Holder(o.Lock, o.Program)
	if err != nil || pid == 0 {
		return false, "no process holds " + o.Lock, err
	}
	return true, fmt.Sprintf("process %d holds %s", pid, o.Lock), nil
}

type textOptions struct {
	File    string `yaml:"file" jsonschema:"required"`
	Matches string `yaml:"matches" jsonschema:"required"` // ^ and $ match at lines
}

// Validate checks the pattern.
func (o *textOptions) Validate() error {
	_, err := pattern(o.Matches)
	return err
}

func textHolds(_ context.Context, scope Scope, o *textOptions) (bool, string, error) {
	re, err := pattern(o.Matches)
	if err != nil {
		return false, "", err
	}
	text, there, err := readFile(scope, o.File)
	switch {
	case err != nil:
		return false, "", err
	case !there:
		return false, o.File + " is not there", nil
	case !re.MatchString(text):
		return false, fmt.Sprintf("%s holds nothing like %q", o.File, o.Matches), nil
	}
	return true, fmt.Sprintf("%s holds what %q matches", o.File, o.Matches), nil
}

type settingOptions struct {
	Name    string `yaml:"name" short:"true" jsonschema:"required"`
	Equals  string `yaml:"equals,omitempty"`
	Matches string `yaml:"matches,omitempty"`
}

// Validate checks the pattern.
func (o *settingOptions) Validate() error {
	_, err := pattern(o.Matches)
	return err
}

// settingHolds never tells the value: it may be a secret.
func settingHolds(_ context.Context, scope Scope, o *settingOptions) (bool, string, error) {
	value, ok := scope.Settings[o.Name]
	re, err := pattern(o.Matches)
	switch {
	case err != nil:
		return false, "", err
	case !ok || value == "":
		return false, "setting " + o.Name + " has no value", nil
	case o.Equals != "" && value != o.Equals:
		return false, fmt.Sprintf("setting %s is not %q", o.Name, o.Equals), nil
	case o.Matches != "" && !re.MatchString(value):
		return false, fmt.Sprintf("setting %s is nothing like %q", o.Name, o.Matches), nil
	}
	return true, "setting " + o.Name + " is as asked for", nil
}

type exprOptions struct {
	Expr string `yaml:"expr" short:"true" jsonschema:"required"`
}

func exprHolds(_ context.Context, scope Scope, o *exprOptions) (bool, string, error) {
	holds, err := Expr(o.Expr, scope)
	if err != nil || !holds {
		return false, "not " + o.Expr, err
	}
	return true, o.Expr, nil
}
