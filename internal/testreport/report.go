// Package testreport turns the event stream of `go test -json` into what a
// person wants to read: one line a package while it runs, failures in full, and
// at the end every skipped test with its reason and one line of totals. It is
// used by `make test` only and knows nothing of Lifeboat; no product package
// may import it.
package testreport

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Report gathers the results of one or more `go test -json` runs. Its methods
// may be called from different goroutines.
type Report struct {
	out   io.Writer
	label string

	mu       sync.Mutex
	packages map[string]*pkg
	builds   map[string]*strings.Builder // compiler output by import path
	passed   int
	failed   int
	skipped  []skip
	failures []failure
	bare     []string // packages without tests
	spoke    time.Time
}

type pkg struct {
	tests                   map[string]*test
	output                  strings.Builder // what belongs to no test
	passed, failed, skipped int
	started                 time.Time
}

type test struct {
	output      strings.Builder
	started     time.Time
	children    bool
	childFailed bool
}

type skip struct{ pkg, test, reason string }

type failure struct{ pkg, test, output string }

// event is one line of the stream, see `go doc cmd/test2json` and, for the
// build events, `go help buildjson`.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	FailedBuild string
	Elapsed     float64 // seconds
}

// New makes a report that prints its progress to out. The label, if there is
// one, follows the packages' names there.
func New(out io.Writer, label string) *Report {
	return &Report{
		out:      out,
		label:    label,
		packages: map[string]*pkg{},
		builds:   map[string]*strings.Builder{},
		spoke:    time.Now(),
	}
}

// Read consumes one stream to its end. Lines that are no events, such as what a
// tool printed in between, are passed on to the reader of the report.
func (r *Report) Read(stream io.Reader) error {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.take(e)
			} else {
				r.say("%s", strings.TrimRight(string(line), "\n"))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the test events: %w", err)
		}
	}
}

func (r *Report) take(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Action {
	case "build-output":
		b := r.builds[e.ImportPath]
		if b == nil {
			b = &strings.Builder{}
			r.builds[e.ImportPath] = b
		}
		b.WriteString(e.Output)
		return
	case "build-fail":
		return // the packages that needed it fail, and name it
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &pkg{tests: map[string]*test{}, started: time.Now()}
		r.packages[e.Package] = p
	}
	if e.Test == "" {
		r.takePackage(p, e)
		return
	}
	r.takeTest(p, e)
}

func (r *Report) takeTest(p *pkg, e event) {
	t := p.tests[e.Test]
	if t == nil {
		t = &test{started: time.Now()}
		p.tests[e.Test] = t
		for parent := range parents(e.Test) {
			if up := p.tests[parent]; up != nil {
				up.children = true
			}
		}
	}
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
		return
	case "pass":
		// A test with subtests is counted through them.
		if !t.children {
			p.passed++
			r.passed++
		}
	case "skip":
		p.skipped++
		r.skipped = append(r.skipped, skip{e.Package, e.Test, reason(t.output.String())})
	case "fail":
		for parent := range parents(e.Test) {
			if up := p.tests[parent]; up != nil {
				up.childFailed = true
			}
		}
		said := said(t.output.String())
		if !t.childFailed {
			p.failed++
			r.failed++
		}
		if !t.childFailed || said != "" {
			r.failures = append(r.failures, failure{e.Package, e.Test, said})
		}
	default:
		return
	}
	delete(p.tests, e.Test)
}

func (r *Report) takePackage(p *pkg, e event) {
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
		return
	case "skip":
		r.bare = append(r.bare, e.Package)
	case "pass":
		r.progress("ok  ", e, p)
	case "fail":
		// Tests that never ended, a panic, an exit in TestMain, no build.
		if p.failed == 0 || len(p.tests) > 0 {
			p.failed++
			r.failed++
			r.failures = append(r.failures, failure{e.Package, unfinished(p), r.trouble(p, e)})
		}
		r.progress("FAIL", e, p)
	default:
		return
	}
	delete(r.packages, e.Package)
}

// trouble is all that is known of a package that failed outside its tests.
func (r *Report) trouble(p *pkg, e event) string {
	var b strings.Builder
	if build := r.builds[e.FailedBuild]; build != nil {
		b.WriteString(build.String())
	}
	for _, t := range p.tests {
		b.WriteString(said(t.output.String()))
	}
	b.WriteString(said(p.output.String()))
	return b.String()
}

func (r *Report) progress(word string, e event, p *pkg) {
	name := strings.TrimSpace(e.Package + " " + r.label)
	line := fmt.Sprintf("%s %-48s %7.1fs  %d passed", word, name, e.Elapsed, p.passed)
	if p.failed > 0 {
		line += fmt.Sprintf(", %d failed", p.failed)
	}
	if p.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", p.skipped)
	}
	r.spoke = time.Now()
	fmt.Fprintln(r.out, line)
	// Whoever sees only a part of the output sees what failed.
	for _, f := range r.failures {
		if f.pkg == e.Package {
			fmt.Fprintf(r.out, "     FAILED %s\n%s", f.test, indent(tail(f.output, 40)))
		}
	}
}

func (r *Report) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spoke = time.Now()
	fmt.Fprintf(r.out, format+"\n", args...)
}

// Failed tells whether anything that was read failed.
func (r *Report) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed > 0
}

// Fail records a failure that no event told of.
func (r *Report) Fail(name, output string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	r.failures = append(r.failures, failure{pkg: name, output: output})
}

// Add takes over the results of another report that has ended.
func (r *Report) Add(other *Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed += other.passed
	r.failed += other.failed
	r.skipped = append(r.skipped, other.skipped...)
	r.failures = append(r.failures, other.failures...)
	r.bare = append(r.bare, other.bare...)
}
