package architecture

import (
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const mostLines = 450

func TestFilesStayShort(t *testing.T) {
	for _, f := range load(t) {
		code := f.syntax != nil || strings.HasPrefix(f.name, "scripts/")
		if !code || f.isTest() {
			continue
		}
		if n := strings.Count(f.text, "\n"); n > mostLines {
			t.Errorf("%s has %d lines; split it by what it is about (at most %d)", f.name, n, mostLines)
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	comments := map[string]string{} // by directory
	for _, f := range load(t) {
		if f.syntax == nil {
			continue
		}
		comment := comments[f.dir()]
		if f.syntax.Doc != nil {
			comment = f.syntax.Doc.Text()
			want := "Package " + strings.TrimSuffix(f.syntax.Name.Name, "_test")
			if f.syntax.Name.Name == "main" {
				want = "Command " + path.Base(f.dir())
			}
			if !strings.HasPrefix(comment, want) {
				t.Errorf("%s: the package comment must begin with %q", f.name, want)
			}
		}
		comments[f.dir()] = comment
	}
	for _, dir := range sorted(comments) {
		if comments[dir] == "" {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// The words are put together here so that this file does not contain them.
var (
	unfinished = regexp.MustCompile(`\b(` + "TO" + "DO|FIX" + `ME)\b`)
	pretended  = regexp.MustCompile(`(?i)simul` + `ated`)
)

func TestNothingIsLeftOpen(t *testing.T) {
	for _, f := range load(t) {
		if !utf8.ValidString(f.text) {
			continue
		}
		for i, line := range strings.Split(f.text, "\n") {
			if unfinished.MatchString(line) {
				t.Errorf("%s:%d: finish it or open an issue: %s", f.name, i+1, strings.TrimSpace(line))
			}
		}
	}
}

// The product does things or says that it cannot; it never pretends.
func TestNothingIsPretended(t *testing.T) {
	for _, f := range load(t) {
		if f.syntax == nil || f.isTest() || tools[room(f.dir())] || strings.HasPrefix(f.name, "cmd/lab/") {
			continue
		}
		for i, line := range strings.Split(f.text, "\n") {
			if pretended.MatchString(line) {
				t.Errorf("%s:%d: %s", f.name, i+1, strings.TrimSpace(line))
			}
		}
	}
}
