// Package strict reads YAML into Go values and forgives nothing: an unknown key,
// a key given twice, a word of the wrong type. Every problem names file and line
// and, where a word is wrong, the nearest right one; all problems are told at
// once. What the values mean stays with the packages that read them.
package strict

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v4"
)

// maxSize bounds a document, in bytes. Profiles come out of recovery points too,
// and nothing a person writes by hand comes near it.
const maxSize = 1 << 20

// Problem is one thing wrong with a document.
type Problem struct {
	File string
	Line int // 1-based; 0 when the whole file is meant
	Text string
}

func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Problems is everything wrong with a document, in the order of its lines.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Document is one YAML document being read. It is used by one goroutine.
type Document struct {
	// Root is the document's top node.
	Root *yaml.Node

	file     string
	handlers map[reflect.Type]func(*yaml.Node, reflect.Value)
	problems Problems
}

// Parse reads exactly one document. Anchors, aliases and private tags are
// refused: they make what a person reads differ from what is meant, and are the
// way to blow a small file up. The file name is only used in messages.
func Parse(file string, data []byte) (*Document, error) {
	d := &Document{file: file, handlers: map[reflect.Type]func(*yaml.Node, reflect.Value){}}
	if len(data) > maxSize {
		return nil, Problems{{File: file, Text: fmt.Sprintf("is larger than %d bytes", maxSize)}}
	}
	var top yaml.Node
	if err := yaml.Load(data, &top); err != nil {
		return nil, Problems{d.syntax(err)}
	}
	if top.Kind != yaml.DocumentNode || len(top.Content) != 1 {
		return nil, Problems{{File: file, Text: "holds no YAML document"}}
	}
	d.Root = top.Content[0]
	d.plain(d.Root)
	if err := d.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Document) syntax(err error) Problem {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return Problem{File: d.file, Text: err.Error()}
	}
	text := load.Message
	if load.ContextMsg != "" {
		text += " (" + load.ContextMsg + ")"
	}
	return Problem{File: d.file, Line: load.Mark.Line, Text: strings.TrimPrefix(text, "yaml: ")}
}

// plain refuses what makes YAML more than a tree of words.
func (d *Document) plain(node *yaml.Node) {
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		d.Problem(node, "anchors and aliases are not allowed; write the value out")
		return
	case strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!"):
		d.Problem(node, "the tag %s is not allowed", node.Tag)
	}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && child.Kind != yaml.ScalarNode {
			d.Problem(child, "a key must be a word")
			continue
		}
		d.plain(child)
	}
}

// Handle makes f decode every value of type T, so that a package can give its
// own types a shape that tags cannot say.
func Handle[T any](d *Document, f func(node *yaml.Node, into *T)) {
	d.handlers[reflect.TypeFor[T]()] = func(node *yaml.Node, v reflect.Value) {
		f(node, v.Addr().Interface().(*T))
	}
}

// Problem records that something is wrong at a node.
func (d *Document) Problem(node *yaml.Node, format string, args ...any) {
	line := 0
	if node != nil {
		line = node.Line
	}
	d.ProblemAt(line, format, args...)
}

// ProblemAt records that something is wrong in a line.
func (d *Document) ProblemAt(line int, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// Count is the number of problems so far.
func (d *Document) Count() int { return len(d.problems) }

// Err returns all problems as Problems, or nil.
func (d *Document) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return a.Line - b.Line })
	return slices.Compact(d.problems)
}

// Entry is one key of a mapping with its value.
type Entry struct {
	Key   string
	Name  *yaml.Node
	Value *yaml.Node
}

// Entries lists the keys of a mapping node in the order of the file. A key given
// twice is a problem and is listed once.
func (d *Document) Entries(node *yaml.Node) []Entry {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	seen := map[string]int{}
	var entries []Entry
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if first, twice := seen[key.Value]; twice {
			d.Problem(key, "%s is given twice; the first is in line %d", key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		entries = append(entries, Entry{Key: key.Value, Name: key, Value: node.Content[i+1]})
	}
	return entries
}

// Nearest returns the known word closest to a mistyped one, or "" when none is
// close enough to be meant.
func Nearest(word string, known []string) string {
	best, distance := "", len([]rune(word))/3+2
	for _, k := range slices.Sorted(slices.Values(known)) {
		d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(k))
		if d < distance && d < len([]rune(k)) {
			best, distance = k, d
		}
	}
	return best
}

// Suggest returns what to append to a message about an unknown word: the nearest
// known one or, when none is near, all of them.
func Suggest(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	if len(known) == 0 {
		return ""
	}
	return "; known are " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}
