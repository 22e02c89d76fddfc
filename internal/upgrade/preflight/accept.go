package preflight

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"lifeboat/internal/strict"
)

// Accepted is what a person has accepted: ids of findings, and the words for those
// that need some.
type Accepted map[string][]string

// Bounds of an accept-list.
const (
	maxAcceptFile = 1 << 20
	maxAcceptLine = 64 << 10
)

// Add takes ID or ID=WORD[,WORD…], as the accept-list and --accept have it. The id has
// to be one of Rules.
func (a Accepted) Add(text string) error {
	id, words, _ := strings.Cut(strings.TrimSpace(text), "=")
	id = strings.TrimSpace(id)
	var ids []string
	for _, r := range rules {
		if r.id == id && r.accept == never && !sometimes[id] {
			return fmt.Errorf("%s cannot be accepted: do what the report says instead", id)
		}
		ids = append(ids, r.id)
	}
	if !slices.Contains(ids, id) {
		return fmt.Errorf("there is no finding %.60q%s", id, strict.Suggest(id, ids))
	}
	if a[id] == nil {
		a[id] = []string{}
	}
	for word := range strings.SplitSeq(words, ",") {
		if word = strings.TrimSpace(word); word != "" && !slices.Contains(a[id], word) {
			a[id] = append(a[id], word)
		}
	}
	return nil
}

// sometimes are ids whose findings can be accepted in some cases only.
var sometimes = map[string]bool{"disk-space-low": true}

// ReadAccepted reads an accept-list: one ID or ID=WORD[,WORD…] a line; what follows a #
// at the beginning or behind a blank is a comment. At most 1 MiB is read.
func ReadAccepted(r io.Reader) (Accepted, error) {
	a := Accepted{}
	in := &io.LimitedReader{R: r, N: maxAcceptFile + 1}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxAcceptLine)
	for n := 1; lines.Scan(); n++ {
		line := " " + strings.ReplaceAll(lines.Text(), "\t", " ")
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := a.Add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if in.N == 0 {
		return nil, fmt.Errorf("it is longer than %d bytes", maxAcceptFile)
	}
	return a, nil
}

// covers tells whether a finding is accepted, with all its words.
func (a Accepted) covers(f Finding) bool {
	words, ok := a[f.ID]
	if !ok {
		return false
	}
	return !slices.ContainsFunc(f.Words, func(w string) bool { return !slices.Contains(words, w) })
}

// Accept is what accepts a finding, as the command line takes it.
func (f Finding) Accept() string {
	if len(f.Words) == 0 {
		return f.ID
	}
	return f.ID + "=" + strings.Join(f.Words, ",")
}

// unused lists acceptances that nothing was found for, or of other words.
func (a Accepted) unused(findings []Finding) []string {
	var list []string
	for id, words := range a {
		i := slices.IndexFunc(findings, func(f Finding) bool { return f.ID == id })
		if i < 0 || !findings[i].Acceptable {
			list = append(list, id)
			continue
		}
		for _, w := range words {
			if !slices.Contains(findings[i].Words, w) {
				list = append(list, id+"="+w)
			}
		}
	}
	slices.Sort(list)
	return list
}

// words makes items fit for an accept-list, where commas and blanks have a meaning.
func words(items []string) []string {
	list := make([]string, len(items))
	for i, item := range items {
		list[i] = strings.Map(func(r rune) rune {
			if r == ',' || unicode.IsSpace(r) {
				return '_'
			}
			return r
		}, item)
	}
	return list
}
