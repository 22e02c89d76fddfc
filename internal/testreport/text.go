package testreport

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
)

// parents yields the names of the tests that a subtest belongs to.
func parents(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			if !yield(name[:i]) {
				return
			}
		}
	}
}

// frame matches the lines that the testing package adds around a test.
var frame = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME|ATTR|ARTIFACTS) |--- (PASS|FAIL|SKIP): )`)

// said is what a test itself printed.
func said(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		if !frame.MatchString(line) && strings.TrimSpace(line) != "FAIL" {
			b.WriteString(line)
		}
	}
	return b.String()
}

// logged matches the start of what t.Log and t.Skip print.
var logged = regexp.MustCompile(`^\s*[^\s:]+\.go:\d+: ?`)

// reason finds the text that a test gave to t.Skip: the last thing it logged.
func reason(output string) string {
	var text []string
	for line := range strings.Lines(said(output)) {
		if at := logged.FindString(line); at != "" {
			if len(text) > 0 && strings.Contains(at, "testscript.go:") {
				break // after the reason testscript logs the whole story
			}
			text = []string{line[len(at):]}
		} else if len(text) > 0 {
			text = append(text, line)
		}
	}
	for i := range text {
		text[i] = strings.TrimSpace(text[i])
	}
	text = slices.DeleteFunc(text, func(s string) bool { return s == "" })
	if len(text) == 0 {
		return "(no reason given)"
	}
	return strings.Join(text, " ")
}

// unfinished names the tests of a package that began and never ended, leaves only.
func unfinished(p *pkg) string {
	var names []string
	for name, t := range p.tests {
		if !t.children {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.SplitAfter(strings.TrimRight(text, "\n"), "\n")
	if len(all) <= lines {
		return text
	}
	return "[…]\n" + strings.Join(all[len(all)-lines:], "")
}

// few names some of many.
func few(names string) string {
	const most = 4
	all := strings.Split(names, ", ")
	if len(all) <= most {
		return names
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}
