package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "lifeboat"

// file is one text file of the module, tests and scripts included.
type file struct {
	name    string // from the root of the module, with slashes
	text    string
	syntax  *ast.File // of Go files only
	imports []string
}

func (f file) dir() string { return path.Dir(f.name) }

// isTest tells tests, and the packages made for tests such as storagetest.
func (f file) isTest() bool {
	return strings.HasSuffix(f.name, "_test.go") || isTestDir(f.dir())
}

func isTestDir(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

// room is the first path element below internal/, or "" outside of it.
func room(dir string) string {
	rest, ok := strings.CutPrefix(dir, "internal/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// own turns an import path of this module into a directory.
func own(importPath string) (dir string, ok bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// load reads every file of the module but what is built or generated.
func load(t *testing.T) []file {
	t.Helper()
	root := os.DirFS(filepath.Join("..", ".."))
	var files []file
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch base := d.Name(); {
			case name == ".", base == ".ci":
				return nil
			case strings.HasPrefix(base, "."), name == "bin", name == "dist", base == "testdata":
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || name == "go.sum" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f := file{name: name, text: string(text)}
		if strings.HasSuffix(name, ".go") {
			f.syntax, err = parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
			if err != nil {
				return err
			}
			for _, spec := range f.syntax.Imports {
				p, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				f.imports = append(f.imports, p)
			}
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatalf("read the source: %v", err)
	}
	return files
}

// linked is what a program is made of: the directories of this module that it
// imports, itself included, and every package it names from elsewhere.
func linked(files []file, program string) (dirs map[string]bool, foreign map[string]string) {
	byDir := map[string][]file{}
	for _, f := range files {
		if f.syntax != nil && !f.isTest() {
			byDir[f.dir()] = append(byDir[f.dir()], f)
		}
	}
	dirs, foreign = map[string]bool{program: true}, map[string]string{}
	for queue := []string{program}; len(queue) > 0; queue = queue[1:] {
		for _, f := range byDir[queue[0]] {
			for _, p := range f.imports {
				dir, ok := own(p)
				if !ok {
					foreign[p] = f.name
				} else if !dirs[dir] {
					dirs[dir] = true
					queue = append(queue, dir)
				}
			}
		}
	}
	return dirs, foreign
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
