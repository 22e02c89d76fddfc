package facts

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// Exit codes of programs that did not run, as a shell gives them.
const (
	notFound = 127
	notRun   = 126
)

// block is one thing that was gathered, as it was.
type block struct {
	kind, name string
	text       string
	exit       int // of a run
}

// record is everything that was gathered. Facts are made of it in one way, whoever
// has gathered.
type record struct {
	by     string
	at     time.Time
	user   int    // who gathered
	root   string // "" for the running machine
	blocks []block
}

func (r *record) add(kind, name string, text []byte, exit int) {
	r.blocks = append(r.blocks, block{kind, name, fit(text), exit})
}

// fit makes text of foreign bytes: without zero bytes and secrets, line ends of Unix,
// what is no UTF-8 replaced.
func fit(text []byte) string {
	text = bytes.ReplaceAll(text, []byte{0}, nil)
	s := strings.ToValidUTF8(string(withoutSecrets(text)), "\uFFFD")
	return strings.ReplaceAll(s, "\r\n", "\n")
}

func (r *record) find(kind, name string) (block, bool) {
	i := slices.IndexFunc(r.blocks, func(b block) bool { return b.kind == kind && b.name == name })
	if i < 0 {
		return block{}, false
	}
	return r.blocks[i], true
}

func (r *record) text(kind, name string) string {
	b, _ := r.find(kind, name)
	return b.text
}

// lines are the lines of a block that say something.
func (r *record) lines(kind, name string) []string { return saying(r.text(kind, name)) }

func saying(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// below lists the file blocks of a directory.
func (r *record) below(dir, suffix string) []block {
	var list []block
	for _, b := range r.blocks {
		if b.kind == "file" && strings.HasPrefix(b.name, dir+"/") && strings.HasSuffix(b.name, suffix) {
			list = append(list, b)
		}
	}
	return list
}

// facts makes the facts.
func (r *record) facts() *Facts {
	f := &Facts{Format: Format, Collected: r.at.UTC().Truncate(time.Second), By: r.by, Live: r.root == "", Tree: r.root}
	if r.user != 0 {
		f.unknown("rights", "the facts were gathered without the rights of root")
	}
	r.system(f)
	r.storage(f)
	r.boot(f)
	r.packages(f)
	r.repositories(f)
	r.running(f)
	return f
}

func (f *Facts) unknown(what, why string) { f.Unknown = append(f.Unknown, Unknown{what, why}) }

// assignments reads NAME=value lines as a shell would without expansion.
func assignments(text string) map[string]string {
	values := map[string]string{}
	for _, line := range saying(text) {
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		values[strings.TrimSpace(key)] = unquote(strings.TrimSpace(value))
	}
	return values
}

func unquote(value string) string {
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		return value[1 : len(value)-1]
	}
	return value
}
