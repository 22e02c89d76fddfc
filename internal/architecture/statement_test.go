package architecture

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest  = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	namedFile  = regexp.MustCompile("`([a-z_-]+(?:\\.txtar|_test\\.go))`")
	definition = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// What the pages claim with a test must have that test.
func TestPagesNameTestsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, pattern := range []string{"../../test/testdata/*.txtar", "../../test/testdata/*/*.txtar"} {
		stories, err := filepath.Glob(pattern)
		if err != nil || len(stories) == 0 {
			t.Fatalf("%s: %d stories, %v", pattern, len(stories), err)
		}
		for _, s := range stories {
			known[filepath.Base(s)] = true
		}
	}
	var pages []file
	for _, f := range load(t) {
		known[path.Base(f.name)] = true
		if strings.HasSuffix(f.name, "_test.go") {
			for _, m := range definition.FindAllStringSubmatch(f.text, -1) {
				known[m[1]] = true
			}
		}
		if strings.HasPrefix(f.name, "docs/") {
			pages = append(pages, f)
		}
	}
	claims := 0
	for _, f := range pages {
		for _, pattern := range []*regexp.Regexp{namedTest, namedFile} {
			for _, m := range pattern.FindAllStringSubmatch(f.text, -1) {
				claims++
				if !known[m[1]] {
					t.Errorf("%s names %s, which is no test", f.name, m[1])
				}
			}
		}
	}
	if claims == 0 {
		t.Error("no page names a test; the pattern must have gone wrong")
	}
}
