package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/host"
)

// maxRead bounds a configuration file and a command's answer, in bytes.
const maxRead = 4 << 20

// Sources returns those that need nothing but the machine.
func Sources() map[string]Source {
	return map[string]Source{
		"ini":     source("a key of a section of an INI file", readINI),
		"yaml":    source("a value of a YAML file, by its path a.b.c", readYAML),
		"text":    source("a whole file; matches takes a part of it", readText),
		"package": source("the version of an installed package", readPackage),
		"command": source("what a command prints", readCommand),
		"dsn":     source("a part of a Perl DBI data source name", readDSN),
		"value":   source("a text, made of other settings", readValue),
		"first":   firstSource(),
	}
}

// source binds a typed function to the untyped contract.
func source[T any](summary string, read func(ctx context.Context, scope Scope, o *T) (string, bool, error)) Source {
	return Source{
		Definition: Definition{Summary: summary, Options: func() any { return new(T) }},
		Read: func(ctx context.Context, scope Scope, options any) (string, bool, error) {
			o, ok := options.(*T)
			if !ok {
				return "", false, fmt.Errorf("options are %T", options)
			}
			return read(ctx, scope, o)
		},
	}
}

type iniOptions struct {
	File    string `yaml:"file" short:"true" jsonschema:"required"`
	Section string `yaml:"section,omitempty"` // "" is what stands before the first section
	Key     string `yaml:"key" jsonschema:"required"`
}

// readINI reads as Perl's Config::IniFiles does: only whole lines are comments,
// and a value is everything behind the first =, without the blanks around it.
// Passwords may hold # ; quotes and backslashes, which INI libraries interpret,
// so none is used. Of a key given twice the last counts, and one without a value
// is absent.
func readINI(_ context.Context, scope Scope, o *iniOptions) (string, bool, error) {
	text, there, err := readFile(scope, o.File)
	if err != nil || !there {
		return "", false, err
	}
	section, found := "", ""
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' && line[len(line)-1] == ']' {
			section = strings.TrimSpace(line[1 : len(line)-1])
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		if section == o.Section && strings.TrimSpace(key) == o.Key {
			found = strings.TrimSpace(value)
		}
	}
	return found, found != "", nil
}

type yamlOptions struct {
	File string `yaml:"file" short:"true" jsonschema:"required"`
	Key  string `yaml:"key" jsonschema:"required"` // path of keys: database.host
}

func readYAML(_ context.Context, scope Scope, o *yamlOptions) (string, bool, error) {
	text, there, err := readFile(scope, o.File)
	if err != nil || !there {
		return "", false, err
	}
	var top yaml.Node
	if err := yaml.Load([]byte(text), &top); err != nil {
		return "", false, fmt.Errorf("read %s: %w", o.File, err)
	}
	node := &top
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for key := range strings.SplitSeq(o.Key, ".") {
		if node = child(node, key); node == nil {
			return "", false, nil
		}
	}
	if node.Kind != yaml.ScalarNode {
		return "", false, fmt.Errorf("%s: %s is no single value", o.File, o.Key)
	}
	return node.Value, node.Tag != "!!null" && node.Value != "", nil
}

func child(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			if value := node.Content[i+1]; value.Kind != yaml.AliasNode {
				return value
			}
			return node.Content[i+1].Alias
		}
	}
	return nil
}

type fileTextOptions struct {
	File string `yaml:"file" short:"true" jsonschema:"required"`
}

func readText(_ context.Context, scope Scope, o *fileTextOptions) (string, bool, error) {
	text, there, err := readFile(scope, o.File)
	return strings.TrimSpace(text), there, err
}

type packageName struct {
	Name string `yaml:"name" short:"true" jsonschema:"required"`
}

func readPackage(ctx context.Context, scope Scope, o *packageName) (string, bool, error) {
	return scope.Host.PackageVersion(ctx, o.Name)
}

type commandLine struct {
	Run  []string `yaml:"run" short:"true" jsonschema:"required"` // arguments, no shell
	User string   `yaml:"user,omitempty"`
}

// Validate checks that a program is named.
func (o *commandLine) Validate() error {
	if len(o.Run) == 0 || o.Run[0] == "" {
		return errors.New("run must name a program")
	}
	return nil
}

// readCommand takes a program that fails or is not installed as no value.
func readCommand(ctx context.Context, scope Scope, o *commandLine) (string, bool, error) {
	out, err := output(ctx, scope, o.Run, o.User)
	var exit *host.ExitError
	if errors.As(err, &exit) || errors.Is(err, host.ErrNoProgram) {
		return "", false, nil
	}
	out = strings.TrimSpace(out)
	return out, out != "", err
}

type valueOptions struct {
	Value string `yaml:"value" short:"true" jsonschema:"required"`
}

func readValue(_ context.Context, _ Scope, o *valueOptions) (string, bool, error) {
	return o.Value, true, nil
}

type firstOptions struct {
	First []Setting `yaml:"first" short:"true" jsonschema:"required"`
}

// firstSource is a placeholder for the loader: the registry reads it itself,
// because only it knows the sources inside.
func firstSource() Source {
	return Source{Definition: Definition{
		Summary: "the first of several that has a value",
		Options: func() any { return new(firstOptions) },
	}}
}

// readFile reads a file of the machine; there is false when it does not exist.
func readFile(scope Scope, name string) (text string, there bool, err error) {
	path, err := scope.Host.Path(name)
	if err != nil {
		return "", false, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", false, errors.Join(err, fmt.Errorf("%s is no regular file", name))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err == nil && len(data) > maxRead {
		err = fmt.Errorf("is larger than %d bytes", maxRead)
	}
	if err != nil {
		return "", false, fmt.Errorf("read %s: %w", name, err)
	}
	return string(data), true, nil
}

// output runs a command that only looks and returns what it prints.
func output(ctx context.Context, scope Scope, args []string, user string) (string, error) {
	var out bytes.Buffer
	err := scope.Host.Run(ctx, host.Command{Args: args, User: user, Stdout: &out})
	if out.Len() > maxRead {
		return "", fmt.Errorf("%s printed more than %d bytes", args[0], maxRead)
	}
	return out.String(), err
}

// pattern compiles a regular expression; ^ and $ match at lines. Settings in it
// are taken as any text until they are known.
func pattern(text string) (*regexp.Regexp, error) {
	re, err := regexp.Compile("(?m)" + text)
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression: %w", text, err)
	}
	return re, nil
}
