package testreport

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Target is one fuzz function.
type Target struct {
	Package string // relative to the module, as in ./internal/repository
	Name    string // FuzzIndex
}

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// Targets finds the fuzz functions in the tests of a module by reading its
// source, which is a second's work where asking every test binary takes minutes.
func Targets(module fs.FS) ([]Target, error) {
	var found []Target
	err := fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (strings.HasPrefix(base, ".") || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(module, name)
		if err != nil {
			return err
		}
		for _, match := range fuzzFunc.FindAllSubmatch(source, -1) {
			found = append(found, Target{"./" + path.Dir(name), string(match[1])})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for fuzz targets: %w", err)
	}
	return found, nil
}

// Deadline tells whether a fuzz run failed only because its time was over: the
// fuzzing engine now and then reports its own end as a failure of the target
// (golang.org/issue/75804). A real finding leaves its input behind.
func (r *Report) Deadline() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != 1 || len(r.failures) != 1 {
		return false
	}
	output := []byte(r.failures[0].output)
	return bytes.Contains(output, []byte("context deadline exceeded")) &&
		!bytes.Contains(output, []byte("Failing input written"))
}
