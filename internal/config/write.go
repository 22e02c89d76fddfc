package config

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v4"

	"lifeboat/internal/storage/redact"
)

// Write writes a new configuration, with comments for the person who edits it
// next, readable by its owner only. An existing file is fs.ErrExist and stays.
func Write(file string, c *Config) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("write configuration %s: %w", file, fs.ErrExist)
	}
	text, err := Format(c)
	if err != nil {
		return err
	}
	if _, err := Parse(file, text); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := renameio.WriteFile(file, text, 0o600, renameio.IgnoreUmask()); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// FormatRepository returns the lines of one repository, for a person who adds it to
// a file. A password in its URL is left out.
func FormatRepository(r Repository) ([]byte, error) {
	r.URL = redact.URL(r.URL)
	var out bytes.Buffer
	if err := layout.ExecuteTemplate(&out, "repository", r); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return append(bytes.TrimLeft(out.Bytes(), "\n"), '\n'), nil
}

// Format returns the text of a configuration file.
func Format(c *Config) ([]byte, error) {
	var out bytes.Buffer
	if err := layout.Execute(&out, c); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return out.Bytes(), nil
}

var layout = template.Must(template.New("lifeboat.yaml").Funcs(template.FuncMap{"yaml": flow, "options": options}).Parse(`{{define "repository"}}
  - name: {{yaml .Name}}
    # A directory, or sftp:, rest: or s3: as restic writes them.
    url: {{yaml .URL}}
    # One of: {file: PATH}, {command: [PROGRAM, ARGUMENT]}, {env: NAME},
    # {credential: NAME}. Keep a copy outside this machine: without the password
    # nobody can read the recovery points.
    password: {{yaml .Password}}
{{- if .Retention}}
    retention: {{yaml .Retention}}
{{- end}}
{{- if .Compression}}
    compression: {{yaml .Compression}}
{{- end}}
{{- if not .Cache.IsZero}}
    cache: {{yaml .Cache}}
{{- end}}
{{- range options .Store}}
    {{.}}
{{- end}}
{{- end}}# What Lifeboat protects on this machine, and where the recovery points go.
# Check it with: lifeboat review

repositories:
{{- range .Repositories}}
{{- template "repository" .}}
{{- end}}

systems:
{{- range .Systems}}
  - name: {{yaml .Name}}
    profile: {{yaml .Profile}}
{{- if .Repositories}}
    # Points are made in the first one and copied to the others.
    repositories: {{yaml .Repositories}}
{{- end}}
    # Which scheduled points "lifeboat forget" leaves; without it all stay:
    # retention: {daily: 14, weekly: 8, monthly: 12}
{{- if .Retention}}
    retention: {{yaml .Retention}}
{{- end}}
    # Settings are read from the system's own configuration. Override one here:
    # settings: {name: value}
{{- if .Settings}}
    settings: {{yaml .Settings}}
{{- end}}
    # Take an optional component in (true), or leave another out (false):
    # components: {name: true}
{{- if .Components}}
    components: {{yaml .Components}}
{{- end}}
    # Symbolic links may lead there on purpose: a share that is saved by other means.
    # saved_elsewhere: [/mnt/share]
{{- if .SavedElsewhere}}
    saved_elsewhere: {{yaml .SavedElsewhere}}
{{- end}}
    # What is done by itself once "lifeboat schedule on" was called; without it a
    # backup every night and a verify every week. A drill is worth adding:
    # schedule: {backup: daily 02:22, verify: Sun 04:22, prune: Sun 06:22, drill: {at: Sun 08:00, depth: quick}}
{{- if .Schedule}}
    schedule: {{yaml .Schedule}}
{{- end}}
    # Commands around each backup (docs/hooks.md):
    # hooks: {before: {command: [/usr/local/sbin/freeze, now], timeout: 5min}}
{{- if not .Hooks.IsZero}}
    hooks: {{yaml .Hooks}}
{{- end}}
{{- else}} []
{{- end}}

# Who has what a recovery needs and no recovery point holds, for the recovery kit:
# kit: {elsewhere: [{what: CA password, who: safe of the computer centre}]}
{{- if .Kit.Elsewhere}}
kit: {{yaml .Kit}}
{{- end}}

# Who is told when a run fails or ends with warnings (docs/notices.md):
# notices:
#   - name: admins
#     mail: {server: mail.example.com, from: lifeboat@example.com, to: admins@example.com}
{{- if .Notices}}
notices: {{yaml .Notices}}
{{- end}}

{{- if .Metrics.Textfile}}

metrics: {{yaml .Metrics}}
{{- end}}

# Journals and locks.
state_dir: {{yaml .StateDir}}
`))

// flow writes a value on one line, quoted where YAML needs it.
func flow(value any) (string, error) {
	var node yaml.Node
	text, err := yaml.Dump(value)
	if err != nil {
		return "", err
	}
	if err := yaml.Load(text, &node); err != nil {
		return "", err
	}
	if len(node.Content) == 1 && node.Content[0].Kind != yaml.ScalarNode {
		node.Content[0].Style = yaml.FlowStyle
	}
	text, err = yaml.Dump(&node, yaml.WithLineWidth(-1))
	return strings.TrimSpace(string(text)), err
}

// options writes what is set of a store's options, one key a line.
func options(s Store) ([]string, error) {
	text, err := yaml.Dump(s)
	if err != nil {
		return nil, err
	}
	var node yaml.Node
	if err := yaml.Load(text, &node); err != nil || len(node.Content) != 1 {
		return nil, err
	}
	var lines []string
	keys := node.Content[0].Content
	for i := 0; i+1 < len(keys); i += 2 {
		value, err := flow(keys[i+1])
		if err != nil {
			return nil, err
		}
		lines = append(lines, keys[i].Value+": "+value)
	}
	return lines, nil
}
